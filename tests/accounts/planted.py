"""What the tests on leaks plant in account operations, and where they look for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

from sessionstore_sql import (
    AccountSession,
    ConflictError,
    DuplicateIdError,
    SerializationError,
    SessionHandle,
    SessionId,
    SessionRecord,
    SessionStoreError,
    UnknownIdError,
)
from sessionstore_sql.accounts.sessions import AccountReference
from sessionstore_sql.records import key_of
from sessionstore_sql.testing.accounts.support import FullBackend, session_of
from tests.leaks import Logged, forms_of, shows
from tests.telemetry.exported import Exported

HOUR = timedelta(hours=1)
SUBJECT = "planted-subject-ünï"
ABOUT: dict[str, Any] = {"planted-about": "planted-device"}
RECORD = SessionRecord({"planted-state": "planted-value"}, HOUR)
BAD: Any = {"planted-about": object()}
KEYS = (b"planted-key-of-subjects", None)
LIVE, GONE, NEW, TAKEN = [
    SessionId(f"planted-id-{name}") for name in ("live", "gone", "new", "taken")
]
HANDLE = SessionHandle.from_bytes(b"planted-handle-0")
DIGESTS = (b"planted-digest-of-subject-012345",)

Calls = list[tuple[Callable[[], Awaitable[object]], type[SessionStoreError]]]


class Watch:
    """What left the store: log records, spans, metrics, errors, and the handles to look for."""

    def __init__(self, exported: Exported, log: Logged) -> None:
        self.exported = exported
        self.log = log
        self.handles = [HANDLE]

    def require_nothing_shown(self, errors: list[SessionStoreError], *extra: bytes) -> None:
        """Look for everything that was planted, in every form."""
        forms = {form.lower() for each in self._secrets(*extra) for form in forms_of(each)}
        seen = {"log": self.log.text, "telemetry": self.exported.everything()}
        found = [
            (place, form) for place, text in seen.items() for form in forms if form in text.lower()
        ]
        # Errors may name the place that a codec rejects, such as about['planted-about'].
        shown = [place for error in errors for place in shows(error, *self._texts(*extra))]
        assert sorted({*map(str, found), *shown}) == []

    def _secrets(self, *extra: bytes) -> Iterator[bytes]:
        yield from (b"planted", SUBJECT.encode(), *extra)
        for each in (LIVE, GONE, NEW, TAKEN):
            yield key_of(each)
        for handle in self.handles:
            yield from (handle.value.encode(), bytes(handle))

    def _texts(self, *extra: bytes) -> list[str]:
        names = [SUBJECT, "planted-subject", "planted-device", "planted-value", "planted-id"]
        names += ["planted-handle", "planted-digest"]
        secrets = [*self._secrets(*extra)][1:] + [each.encode() for each in names]
        return [form for each in secrets for form in forms_of(each)]


async def planted(store: FullBackend, watch: Watch) -> AccountSession:
    """Sign in with all that may be given, and return the session."""
    await store.create(TAKEN, RECORD)
    watch.handles.append(await store.sign_in(None, LIVE, RECORD, subject=SUBJECT, about=ABOUT))
    return await session_of(store, LIVE)


def loaded_session() -> AccountSession:
    """Return a session that was loaded once."""
    return AccountSession(
        RECORD, HANDLE, HOUR, None, 1, account=AccountReference(DIGESTS, b"planted-handle-0")
    )


def failing_calls(store: FullBackend, version: int) -> Calls:
    """Return each way in which a live session's operations are rejected, with its cause."""
    no_json = SessionRecord(BAD, HOUR)
    sign_in = store.sign_in
    return [
        (lambda: sign_in(GONE, NEW, RECORD, subject=SUBJECT, about=ABOUT), UnknownIdError),
        (lambda: sign_in(None, TAKEN, RECORD, subject=SUBJECT), DuplicateIdError),
        (lambda: sign_in(LIVE, LIVE, RECORD, subject=SUBJECT), DuplicateIdError),
        (lambda: sign_in(LIVE, TAKEN, RECORD, subject=SUBJECT), DuplicateIdError),
        (
            lambda: sign_in(LIVE, NEW, RECORD, subject=SUBJECT, version=version + 1),
            ConflictError,
        ),
        (
            lambda: sign_in(None, NEW, RECORD, subject=SUBJECT, about=BAD),
            SerializationError,
        ),
        (lambda: sign_in(None, NEW, no_json, subject=SUBJECT), SerializationError),
        (lambda: store.replace(GONE, NEW, RECORD), UnknownIdError),
        (lambda: store.replace(LIVE, TAKEN, RECORD), DuplicateIdError),
        (lambda: store.replace(LIVE, NEW, no_json), SerializationError),
        (
            lambda: store.replace(LIVE, NEW, RECORD, version=version + 1),
            ConflictError,
        ),
        (lambda: store.update_if(GONE, RECORD, version), UnknownIdError),
        (lambda: store.update_if(LIVE, RECORD, version + 1), ConflictError),
        (lambda: store.update_if(LIVE, no_json, version), SerializationError),
    ]


def every_call(store: FullBackend) -> list[Callable[[], Awaitable[object]]]:
    """Return a call of each account operation, and of each form of it."""
    return [
        lambda: store.sign_in(None, NEW, RECORD, subject=SUBJECT, about=ABOUT),
        lambda: store.sign_in(None, NEW, RECORD, subject=SUBJECT, max_sessions=1),
        lambda: store.sign_in(LIVE, NEW, RECORD, subject=SUBJECT, version=1),
        lambda: store.load_session(LIVE),
        lambda: store.sessions_of(SUBJECT),
        lambda: store.revoke(SUBJECT),
        lambda: store.revoke(SUBJECT, only=HANDLE),
        lambda: store.revoke(SUBJECT, keep=HANDLE),
        lambda: store.sign_out(LIVE, loaded_session()),
        lambda: store.replace(LIVE, NEW, RECORD, version=1),
        lambda: store.update_if(LIVE, RECORD, 1),
    ]
