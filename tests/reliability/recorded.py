"""A session store whose every call goes into the history."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sessionstore_sql import (
    JSON,
    DatabaseError,
    DuplicateIdError,
    SessionId,
    SessionRecord,
    SessionStorageBackend,
    UnknownIdError,
)
from tests.reliability.history import Answer, Outcome, Recorder

_NAME = re.compile(r".+-\d{1,6}")
_FOREIGN = "not a state of this run"


class RecordedStore:
    """The seven operations, on ids given as text and states given by name.

    They raise nothing but cancellation: they return the outcome, which is in the history then.
    """

    def __init__(
        self,
        store: SessionStorageBackend,
        recorder: Recorder,
        on_write: Callable[[], None] = lambda: None,
    ) -> None:
        """Wrap ``store``; ``on_write`` is called after each write that was acknowledged."""
        self._store = store
        self._recorder = recorder
        self._on_write = on_write

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
        _, record = await self._answer(number, self._store.load(SessionId(session_id)))
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

    async def delete_expired(self, batch_size: int | None = None) -> Outcome:
        """Remove expired sessions."""
        number = self._recorder.call("delete_expired")
        outcome, _ = await self._answer(number, self._store.delete_expired(batch_size))
        return outcome

    async def _write(self, number: int, call: Awaitable[None]) -> Outcome:
        outcome, _ = await self._answer(number, call)
        if outcome is Outcome.DONE:
            self._on_write()
        return outcome

    async def _answer(
        self, number: int, call: Awaitable[object]
    ) -> tuple[Outcome, SessionRecord | None]:
        record: SessionRecord | None = None
        try:
            result = await call
        except DuplicateIdError:
            answer = Answer(Outcome.DUPLICATE)
        except UnknownIdError:
            answer = Answer(Outcome.UNKNOWN_ID)
        except DatabaseError as error:
            outcome = Outcome.UNKNOWN if error.outcome_unknown else Outcome.FAILED
            answer = Answer(outcome, error=_described(error), transient=error.transient)
        except Exception as error:  # noqa: BLE001  # what the contract doesn't know is a finding
            answer = Answer(Outcome.BROKEN, error=_described(error))
        else:
            answer = Answer(Outcome.DONE)
            if isinstance(result, SessionRecord):
                record = result
                answer = Answer(Outcome.DONE, state=_read(record), ttl=_nanoseconds(record.ttl))
        self._recorder.answer(number, answer)
        return answer.outcome, record


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
