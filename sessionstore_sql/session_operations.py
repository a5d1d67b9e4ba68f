"""The seven operations of a session store: arguments, states, rows, and errors.

An argument is checked before any I/O, a record becomes a row once, and what the engine room answers
for rows becomes a record, or the documented error of a session id.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.errors import (
    ConflictError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    SerializationError,
    SessionStoreError,
    UnknownIdError,
    for_operation,
)
from sessionstore_sql.records import (
    MAX_TTL,
    SessionRecord,
    key_of,
    new_version,
    require_batch_size,
    require_id,
    require_record,
    require_ttl,
)
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.effects import Outcome
from sessionstore_sql.sql.operations import (
    BINARY,
    CHANGE_ID,
    CHANGE_ID_TO_ITSELF,
    CREATE,
    DELETE,
    LOAD,
    UPDATE,
    UPDATE_TTL,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from contextlib import AbstractContextManager

    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.sql.batching import Dispatcher
    from sessionstore_sql.sql.execution import Executor
    from sessionstore_sql.sql.operation_kinds import Operation, Result
    from sessionstore_sql.sql.operations import Loaded
    from sessionstore_sql.sql.purge import TablePurger

_NOTHING = nullcontext()

_MICROSECOND = timedelta(microseconds=1)
_MAX_MICROSECONDS = MAX_TTL // _MICROSECOND


class SessionOperations:
    """The operations of ``SessionStorageBackend``, on a pool or on one connection."""

    def __init__(
        self,
        executor: Executor,
        dispatcher: Dispatcher,
        purger: TablePurger,
        codec: StateCodec,
        lifetime: int | None,
    ) -> None:
        self._executor = executor
        self._dispatcher = dispatcher
        self._purger = purger
        self._codec = codec
        self._lifetime = lifetime
        observer = executor.observer
        self._observed = _unobserved if observer is None else observer.operation

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session; see ``SessionStorageBackend.create``.

        An expired session with this id is replaced. One statement on PostgreSQL and SQLite. On
        MySQL and MariaDB one statement, and two or three more if the id is taken.
        """
        with self._observed(CREATE.name):
            require_id(session_id)
            require_record(record)
            row = self._row(CREATE, session_id, record)
            if self._lifetime is not None:
                row.ttl = min(row.ttl, self._lifetime)
            await self._write(CREATE, row, session_id)

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace a live session; see ``SessionStorageBackend.update``. One statement."""
        with self._observed(UPDATE.name):
            require_id(session_id)
            require_record(record)
            await self._write(UPDATE, self._row(UPDATE, session_id, record), session_id)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Extend a live session; see ``SessionStorageBackend.update_ttl``. One statement."""
        with self._observed(UPDATE_TTL.name):
            require_id(session_id)
            require_ttl(ttl)
            row = Row(key_of(session_id), ttl // _MICROSECOND)
            await self._write(UPDATE_TTL, row, session_id)

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return a live session; see ``SessionStorageBackend.load``. One statement."""
        with self._observed(LOAD.name):
            require_id(session_id)
            try:
                # Not kept in a variable: the traceback of an error would show the state.
                return self._record(await self._dispatcher.dispatch(LOAD, Row(key_of(session_id))))
            except SessionStoreError as error:
                cause = error
            raise for_operation(LOAD.error, cause)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session; see ``SessionStorageBackend.delete``. One statement."""
        with self._observed(DELETE.name):
            require_id(session_id)
            await self._write(DELETE, Row(key_of(session_id)), session_id)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another id; see ``SessionStorageBackend.change_id``.

        One UPDATE of the key. If the new id is taken, an expired session is removed from it first,
        in a statement of its own.
        """
        with self._observed(CHANGE_ID.name):
            require_id(old_id)
            require_id(new_id)
            row = Row(key_of(old_id), new_key=key_of(new_id))
            operation = CHANGE_ID_TO_ITSELF if row.key == row.new_key else CHANGE_ID
            await self._write(operation, row, old_id, new_id)

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions, oldest first; see ``SessionStorageBackend.delete_expired``.

        Each batch is one transaction, or several. With ``None``, batches of at most 1,000 follow
        each other until no expired session is left. The order is that of the deadlines, except
        among sessions that expired within the same 4.5 minutes, if these are more than two batches
        (or 2,000, if that is more). Rows that another transaction has locked are left to the next
        call.

        After a lost connection a batch is tried again. What the first attempt removed is not
        counted.
        """
        with self._observed("delete_expired"):
            if batch_size is not None:
                require_batch_size(batch_size)
            removing = self._purger.delete_expired(self._executor, batch_size)
            return await attributed(DeleteExpiredError, removing) or 0

    async def _write(
        self,
        operation: Operation[Outcome],
        row: Row,
        session_id: SessionId,
        new_id: SessionId | None = None,
    ) -> None:
        """Have a row written, and raise the error for any other outcome than ``DONE``.

        Args:
            operation: A write.
            row: The row to write.
            session_id: The id that ``UNKNOWN`` and ``CONFLICT`` are about, and ``DUPLICATE``
                without a new id.
            new_id: The id that ``DUPLICATE`` is about.
        """
        cause: SessionStoreError
        try:
            outcome = await self._dispatcher.dispatch(operation, row)
        except SessionStoreError as error:
            cause = error
        else:
            if outcome is Outcome.DONE:
                return
            if outcome is Outcome.UNKNOWN:
                cause = UnknownIdError(session_id)
            elif outcome is Outcome.CONFLICT:
                cause = ConflictError(session_id)
            else:
                cause = DuplicateIdError(new_id or session_id)
        raise for_operation(operation.error, cause)

    def _row(
        self, operation: Operation[Outcome], session_id: SessionId, record: SessionRecord
    ) -> Row:
        try:
            state = self._codec.encode(record.state)
        except SerializationError as error:
            cause = error
        else:
            ttl = record.ttl // _MICROSECOND
            return Row(key_of(session_id), ttl, state, version=new_version())
        raise for_operation(operation.error, cause)

    def _record(self, loaded: Loaded | None) -> SessionRecord | None:
        """Return the record of a row that was loaded."""
        return None if loaded is None else self._live_record(*loaded)

    def _live_record(self, state: object, remaining: int) -> SessionRecord:
        """Return the record of a live row.

        SQLite may return values of other types, if they were written by hand. Making bytes of a
        number would allocate as many bytes as the number says. A text as the deadline is later
        than every number, but leaves nothing to live.
        """
        if not isinstance(state, BINARY) or remaining <= 0:
            raise DeserializationError("a stored value is of another type than its column")
        # A deadline written by hand may be later than that of any record.
        ttl = _MICROSECOND * remaining if remaining < _MAX_MICROSECONDS else MAX_TTL
        return SessionRecord(self._codec.decode(bytes(state)), ttl)


def _unobserved(_name: str) -> AbstractContextManager[None]:
    """Return an empty context: ``Observer.operation`` for a store without an observer."""
    return _NOTHING


async def attributed(operation: type[SessionStoreError], call: Awaitable[Result]) -> Result:
    """Return the result of ``call``, and raise its errors as those of ``operation``."""
    try:
        return await call
    except SessionStoreError as error:
        cause = error
    raise for_operation(operation, cause)
