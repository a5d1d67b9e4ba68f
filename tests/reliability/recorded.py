"""A session store whose every call goes into the history."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple, TypeVar

from sessionstore_sql import (
    JSON,
    AccountSession,
    ConflictError,
    DatabaseError,
    DuplicateIdError,
    SessionHandle,
    SessionId,
    SessionInfo,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
)
from tests.reliability.history import Answer, Outcome, Recorder

_NAME = re.compile(r".+-\d{1,6}")
_FOREIGN = "not a state of this run"

_Result = TypeVar("_Result")


class Loaded(NamedTuple):
    """What ``load_session`` returned."""

    state: str
    session: AccountSession


class RecordedStore:
    """The operations, on ids and handles given as text and states given by name.

    They raise nothing but cancellation: they return the outcome, which is in the history then. A
    version is given as the name of the state that was loaded with it.
    """

    def __init__(
        self,
        store: SQLSessionStore,
        recorder: Recorder,
        on_write: Callable[[], None] = lambda: None,
    ) -> None:
        """Wrap ``store``; ``on_write`` is called after each write that was acknowledged."""
        self._store = store
        self._recorder = recorder
        self._on_write = on_write
        self._versions: dict[str, int] = {}

    async def create(self, session_id: str, state: str, ttl: timedelta) -> Outcome:
        """Store a new session."""
        number = self._recorder.call("create", session_id, state=state, ttl=_nanoseconds(ttl))
        record = SessionRecord(_written(state), ttl)
        return await self._write(number, self._store.create(SessionId(session_id), record))

    async def update(self, session_id: str, state: str, ttl: timedelta) -> Outcome:
        """Replace state and deadline."""
        number = self._recorder.call("update", session_id, state=state, ttl=_nanoseconds(ttl))
        record = SessionRecord(_written(state), ttl)
        return await self._write(number, self._store.update(SessionId(session_id), record))

    async def update_ttl(self, session_id: str, ttl: timedelta) -> Outcome:
        """Replace the deadline."""
        number = self._recorder.call("update_ttl", session_id, ttl=_nanoseconds(ttl))
        return await self._write(number, self._store.update_ttl(SessionId(session_id), ttl))

    async def load(self, session_id: str) -> str | None:
        """Return the name of a live session's state; ``None`` also where the load failed."""
        number = self._recorder.call("load", session_id)
        _, record = await self._answer(number, self._store.load(SessionId(session_id)), _of_record)
        return None if record is None else _read(record)

    async def delete(self, session_id: str) -> Outcome:
        """Remove a session."""
        number = self._recorder.call("delete", session_id)
        return await self._write(number, self._store.delete(SessionId(session_id)))

    async def change_id(self, old_id: str, new_id: str) -> Outcome:
        """Give a session another id."""
        number = self._recorder.call("change_id", old_id, new_id)
        call = self._store.change_id(SessionId(old_id), SessionId(new_id))
        return await self._write(number, call)

    async def sign_in(  # noqa: PLR0913  # those of the store
        self,
        old_id: str | None,
        new_id: str,
        state: str,
        ttl: timedelta,
        *,
        subject: str,
        expected: str | None = None,
    ) -> Outcome:
        """Make a session that of a user."""
        ids = (new_id,) if old_id is None else (old_id, new_id)
        given = {"state": state, "ttl": _nanoseconds(ttl), "expected": expected}
        number = self._recorder.call("sign_in", *ids, subject=subject, **given)
        call = self._store.sign_in(
            None if old_id is None else SessionId(old_id),
            SessionId(new_id),
            SessionRecord(_written(state), ttl),
            subject=subject,
            version=self._version_of(expected),
        )
        return await self._write(number, call, _of_handle)

    async def replace(
        self, old_id: str, new_id: str, state: str, ttl: timedelta, expected: str | None = None
    ) -> Outcome:
        """Replace id, state and deadline."""
        given = {"state": state, "ttl": _nanoseconds(ttl), "expected": expected}
        number = self._recorder.call("replace", old_id, new_id, **given)
        record, version = SessionRecord(_written(state), ttl), self._version_of(expected)
        call = self._store.replace(SessionId(old_id), SessionId(new_id), record, version=version)
        return await self._write(number, call)

    async def update_if(
        self, session_id: str, state: str, ttl: timedelta, expected: str
    ) -> Outcome:
        """Replace state and deadline unless another state than ``expected`` was stored."""
        given = {"state": state, "ttl": _nanoseconds(ttl), "expected": expected}
        number = self._recorder.call("update_if", session_id, **given)
        record = SessionRecord(_written(state), ttl)
        call = self._store.update_if(SessionId(session_id), record, self._versions[expected])

        def note(version: int) -> Answer:
            self._versions[state] = version
            return Answer(Outcome.DONE)

        return await self._write(number, call, note)

    async def load_session(self, session_id: str) -> Loaded | None:
        """Return a live session; ``None`` also where the load failed."""
        number = self._recorder.call("load_session", session_id)
        call = self._store.load_session(SessionId(session_id))
        _, session = await self._answer(number, call, _of_session)
        if session is None:
            return None
        loaded = Loaded(_read(session.record), session)
        self._versions[loaded.state] = session.version
        return loaded

    async def sessions_of(self, subject: str) -> list[str]:
        """Return the handles of a user's live sessions; none also where that failed."""
        number = self._recorder.call("sessions_of", subject=subject)
        answer = await self._answer(number, self._store.sessions_of(subject), _of_list)
        return list(_of_list(answer[1] or []).handles)

    async def revoke(
        self, subject: str, *, only: str | None = None, keep: str | None = None
    ) -> Outcome:
        """End all sessions of a user, one of them, or all but one."""
        name = "revoke" if only is keep else "revoke_others" if only is None else "revoke_only"
        handles = tuple(each for each in (only, keep) if each is not None)
        number = self._recorder.call(name, subject=subject, handles=handles)
        named = {"only": only, "keep": keep}
        options = {
            name: None if value is None else SessionHandle(value) for name, value in named.items()
        }
        return await self._write(number, self._store.revoke(subject, **options))

    async def sign_out(self, session_id: str, session: AccountSession) -> Outcome:
        """End a loaded session, whatever its id is by now."""
        handles = () if session.handle is None else (session.handle.value,)
        number = self._recorder.call(
            "sign_out", session_id, subject=session.subject, handles=handles
        )
        return await self._write(number, self._store.sign_out(SessionId(session_id), session))

    async def delete_expired(self, batch_size: int | None = None) -> Outcome:
        """Remove expired sessions."""
        number = self._recorder.call("delete_expired")
        outcome, _ = await self._answer(number, self._store.delete_expired(batch_size))
        return outcome

    def _version_of(self, state: str | None) -> int | None:
        return None if state is None else self._versions[state]

    async def _write(
        self,
        number: int,
        call: Awaitable[_Result],
        describe: Callable[[_Result], Answer] = lambda _: Answer(Outcome.DONE),
    ) -> Outcome:
        outcome, _ = await self._answer(number, call, describe)
        if outcome is Outcome.DONE:
            self._on_write()
        return outcome

    async def _answer(
        self,
        number: int,
        call: Awaitable[_Result],
        describe: Callable[[_Result], Answer] = lambda _: Answer(Outcome.DONE),
    ) -> tuple[Outcome, _Result | None]:
        result: _Result | None = None
        try:
            result = await call
        except DuplicateIdError:
            answer = Answer(Outcome.DUPLICATE)
        except UnknownIdError:
            answer = Answer(Outcome.UNKNOWN_ID)
        except ConflictError:
            answer = Answer(Outcome.CONFLICT)
        except DatabaseError as error:
            outcome = Outcome.UNKNOWN if error.outcome_unknown else Outcome.FAILED
            answer = Answer(outcome, error=_described(error), transient=error.transient)
        except Exception as error:  # noqa: BLE001  # what the contract doesn't know is a finding
            answer = Answer(Outcome.BROKEN, error=_described(error))
        else:
            answer = describe(result)
        self._recorder.answer(number, answer)
        return answer.outcome, result


def _of_record(record: SessionRecord | None) -> Answer:
    if record is None:
        return Answer(Outcome.DONE)
    return Answer(Outcome.DONE, state=_read(record), ttl=_nanoseconds(record.ttl))


def _of_session(session: AccountSession | None) -> Answer:
    if session is None:
        return Answer(Outcome.DONE)
    handles = () if session.handle is None else (session.handle.value,)
    return replace(_of_record(session.record), subject=session.subject, handles=handles)


def _of_handle(handle: SessionHandle) -> Answer:
    return Answer(Outcome.DONE, handles=(handle.value,))


def _of_list(infos: list[SessionInfo]) -> Answer:
    return Answer(Outcome.DONE, handles=tuple(each.handle.value for each in infos))


def _written(name: str) -> dict[str, JSON]:
    """Return the state of this name, which ends with its size; it cannot be compressed."""
    size = int(name.rpartition("-")[2])
    return {"name": name, "padding": hashlib.shake_256(name.encode()).hexdigest(size // 2)}


def _read(record: SessionRecord) -> str:
    """Return the name of a state, if it is whole."""
    name = record.state.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return _FOREIGN
    return name if record.state == _written(name) else _FOREIGN


def _nanoseconds(ttl: timedelta) -> int:
    return ttl // timedelta(microseconds=1) * 1_000


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
