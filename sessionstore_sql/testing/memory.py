"""A backend that keeps sessions in memory, for the tests of applications."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sessionstore_sql.accounts.about import encode_about
from sessionstore_sql.accounts.arguments import (
    check_replace,
    check_revoke,
    check_sessions_of,
    check_sign_in,
    check_sign_out,
    check_update_if,
    require_lifetime,
    require_max_sessions,
)
from sessionstore_sql.accounts.events import (
    AccountEvent,
    AccountEventKind,
    report,
    require_on_event,
)
from sessionstore_sql.accounts.sessions import (
    UNCHANGED,
    AccountSession,
    SessionHandle,
    SessionInfo,
)
from sessionstore_sql.accounts.subjects import SubjectKeys
from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import (
    ChangeIdError,
    CreateError,
    DeleteError,
    LoadError,
    LoadSessionError,
    ReplaceError,
    SessionStoreError,
    SignInError,
    UpdateError,
    UpdateIfError,
    UpdateTtlError,
    for_operation,
)
from sessionstore_sql.records import (
    SessionRecord,
    require_batch_size,
    require_id,
    require_record,
    require_ttl,
)
from sessionstore_sql.testing.memory_rows import SignIn
from sessionstore_sql.testing.memory_table import MemoryTable
from sessionstore_sql.testing.memory_values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sessionstore_sql.accounts.events import OnEvent
    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import JSON, SessionId


class MemorySessionStore:
    """Sessions in the memory of this process: both Protocols, for the tests of an application.

    It keeps to the contract as ``SQLSessionStore`` does and takes options of the same names, so
    an application can be given one in place of the other. The sessions are lost with the object.
    It is safe to use from several tasks, event loops and threads.

        @pytest.fixture
        def store():
            return MemorySessionStore()

    Args:
        lifetime: Absolute lifetime of sessions; ``None``: none.
        max_sessions: Maximum number of live sessions of one subject; ``None``: no limit.
        subject_keys: Keys under which subjects are hashed, the newest first.
        on_event: Called with each ``AccountEvent``.
        codec: Turns states into bytes; JSON if it is left out.
        clock: Returns the time, with a time zone; the system's, if it is left out. A
            ``ManualClock`` lets a test move it.
        sessions_of_store: Another store whose sessions, and clock, this one shares. With other
            options, it acts as another process of a deployment does.

    Raises:
        TypeError, ValueError: An option is of a wrong type or range.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        *,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        subject_keys: Sequence[bytes | None] = (),
        on_event: OnEvent | None = None,
        codec: StateCodec | None = None,
        clock: Callable[[], datetime] | None = None,
        sessions_of_store: MemorySessionStore | None = None,
    ) -> None:
        require_lifetime(lifetime)
        require_max_sessions(max_sessions)
        require_on_event(on_event)
        if clock is not None and sessions_of_store is not None:
            raise ValueError("sessions_of_store brings its own clock")
        self._lifetime = lifetime
        self._max_sessions = max_sessions
        self._subjects = SubjectKeys(subject_keys)
        self._on_event = on_event
        self._codec: StateCodec = JSONCodec() if codec is None else codec
        self._values = Values(self._codec, self._subjects)
        self._table: MemoryTable = (
            MemoryTable(_system_clock if clock is None else clock)
            if sessions_of_store is None
            else sessions_of_store._table  # noqa: SLF001  # of the same class
        )

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session; see ``SessionStorageBackend.create``."""
        require_id(session_id)
        require_record(record)
        with _attributed(CreateError):
            state = self._codec.encode(record.state)
            self._table.create(session_id, state, record.ttl, self._lifetime)

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace a live session; see ``SessionStorageBackend.update``."""
        require_id(session_id)
        require_record(record)
        with _attributed(UpdateError):
            self._table.update(session_id, self._codec.encode(record.state), record.ttl)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Extend a live session; see ``SessionStorageBackend.update_ttl``."""
        require_id(session_id)
        require_ttl(ttl)
        with _attributed(UpdateTtlError):
            self._table.extend(session_id, ttl)

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return a live session; see ``SessionStorageBackend.load``."""
        require_id(session_id)
        with _attributed(LoadError):
            found = self._table.find(session_id)
            return None if found is None else self._values.record(found)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session; see ``SessionStorageBackend.delete``."""
        require_id(session_id)
        with _attributed(DeleteError):
            self._table.delete(session_id)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another id; see ``SessionStorageBackend.change_id``."""
        require_id(old_id)
        require_id(new_id)
        with _attributed(ChangeIdError):
            self._table.move(old_id, new_id)

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions; see ``SessionStorageBackend.delete_expired``."""
        if batch_size is not None:
            require_batch_size(batch_size)
        return self._table.purge(batch_size)

    async def sign_in(  # noqa: PLR0913  # options, each by keyword
        self,
        old_id: SessionId | None,
        new_id: SessionId,
        record: SessionRecord,
        *,
        subject: str,
        about: dict[str, JSON] | None = None,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> SessionHandle:
        """Make a session that of ``subject``; see ``AccountSessionBackend.sign_in``."""
        check_sign_in(
            old_id,
            new_id,
            record,
            subject=subject,
            about=about,
            lifetime=lifetime,
            max_sessions=max_sessions,
            version=version,
            idle_ttl=idle_ttl,
        )
        with _attributed(SignInError):
            wanted = SignIn(
                state=self._codec.encode(record.state),
                ttl=record.ttl,
                digests=self._subjects.digests(subject),
                about=encode_about(self._codec, subject, {} if about is None else about),
                keeps_about=about is None,
                lifetime=self._lifetime if lifetime is None else lifetime,
                max_sessions=self._max_sessions if max_sessions is None else max_sessions,
                version=version,
                idle_ttl=idle_ttl,
            )
            handle, is_new, evicted = self._table.sign_in(old_id, new_id, wanted)
        kind = AccountEventKind.SIGNED_IN if is_new else AccountEventKind.REAUTHENTICATED
        await self._report(kind, subject, [handle])
        await self._report(AccountEventKind.EVICTED, subject, evicted)
        return handle

    async def load_session(self, session_id: SessionId) -> AccountSession | None:
        """Return a live session and its account; see ``AccountSessionBackend.load_session``."""
        require_id(session_id)
        with _attributed(LoadSessionError):
            found = self._table.find(session_id)
            return None if found is None else self._values.account_session(found)

    async def sessions_of(self, subject: str, *, limit: int = 100) -> list[SessionInfo]:
        """Return a user's live sessions; see ``AccountSessionBackend.sessions_of``."""
        check_sessions_of(subject, limit)
        rows = self._table.live_of(self._subjects.digests(subject))
        return [self._values.info(row, account) for row, account in rows[:limit]]

    async def revoke(
        self, subject: str, *, only: SessionHandle | None = None, keep: SessionHandle | None = None
    ) -> int:
        """End a user's sessions; see ``AccountSessionBackend.revoke``."""
        check_revoke(subject, only, keep)
        ended = self._table.remove_of(self._subjects.digests(subject), only=only, keep=keep)
        await self._report(AccountEventKind.REVOKED, subject, ended)
        return len(ended)

    async def sign_out(self, session_id: SessionId, session: AccountSession) -> None:
        """End a session; see ``AccountSessionBackend.sign_out``."""
        account = check_sign_out(session_id, session)
        ended = self._table.discard(session_id)
        if not ended and account is not None:
            handle = SessionHandle.from_bytes(account.handle)
            ended = bool(self._table.remove_of(account.digests, only=handle))
        if ended and session.handle is not None:
            await self._report(AccountEventKind.SIGNED_OUT, None, [session.handle])

    async def replace(
        self,
        old_id: SessionId,
        new_id: SessionId,
        record: SessionRecord,
        *,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> None:
        """Replace id and state of a live session; see ``AccountSessionBackend.replace``."""
        check_replace(old_id, new_id, record, version=version, idle_ttl=idle_ttl)
        with _attributed(ReplaceError):
            state = self._codec.encode(record.state)
            self._table.replace(
                old_id, new_id, state, record.ttl, version=version, idle_ttl=idle_ttl
            )

    async def update_if(
        self,
        session_id: SessionId,
        record: SessionRecord,
        version: int,
        *,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> int:
        """Replace an unchanged session; see ``AccountSessionBackend.update_if``."""
        check_update_if(session_id, record, version, idle_ttl)
        with _attributed(UpdateIfError):
            state = self._codec.encode(record.state)
            return self._table.update(
                session_id, state, record.ttl, version=version, idle_ttl=idle_ttl
            )

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close, and the sessions remain."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _report(
        self, kind: AccountEventKind, subject: str | None, handles: Sequence[SessionHandle]
    ) -> None:
        if handles:
            event = AccountEvent(kind, subject, tuple(handles), len(handles))
            await report(self._on_event, event)


def _system_clock() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _attributed(operation: type[SessionStoreError]) -> Iterator[None]:
    try:
        yield
    except SessionStoreError as error:
        cause = error
    else:
        return
    raise for_operation(operation, cause)
