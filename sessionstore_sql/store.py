"""``SQLSessionStore``: sessions in the SQL database an application already runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore_sql.calls import DirectCalls
from sessionstore_sql.coalescing import CoalescedCalls
from sessionstore_sql.codec import JSONCodec, StateCodec
from sessionstore_sql.engines import create_engine, dialect_of
from sessionstore_sql.errors import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    LoadError,
    SerializationError,
    SessionStoreError,
    UpdateError,
    UpdateTtlError,
    for_operation,
)
from sessionstore_sql.execution import BoundExecutor, Effect, PooledExecutor
from sessionstore_sql.operations import Operations
from sessionstore_sql.records import SessionId, SessionRecord, require_batch_size, require_ttl
from sessionstore_sql.schema import DEFAULT_TABLE, session_table
from sessionstore_sql.statements import build_statements
from sessionstore_sql.telemetry import CarefulObserver, Telemetry, watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.execution import Result
    from sessionstore_sql.records import JSON
    from sessionstore_sql.telemetry import Observer

_OPERATIONS = ("create", "update", "update_ttl", "load", "delete", "change_id", "delete_expired")


class _SessionOperations:
    """The seven operations: arguments checked, states turned to bytes, errors attributed."""

    def __init__(
        self, calls: DirectCalls | CoalescedCalls, codec: StateCodec, observer: Observer | None
    ) -> None:
        self._calls = calls
        self._codec = codec
        if observer is not None:
            watch(self, _OPERATIONS, observer)

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session; see ``SessionStorageBackend.create``.

        An expired session of this id is replaced. One statement on PostgreSQL and SQLite; on
        MySQL and MariaDB one, and two or three more where the id is taken.
        """
        _require_id(session_id)
        _require_record(record)
        state = self._encode(CreateError, record.state)
        await _attributed(CreateError, self._calls.create(session_id, state, record.ttl))

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace a live session; see ``SessionStorageBackend.update``. One statement."""
        _require_id(session_id)
        _require_record(record)
        state = self._encode(UpdateError, record.state)
        await _attributed(UpdateError, self._calls.update(session_id, state, record.ttl))

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Extend a live session; see ``SessionStorageBackend.update_ttl``. One statement."""
        _require_id(session_id)
        require_ttl(ttl)
        await _attributed(UpdateTtlError, self._calls.update_ttl(session_id, ttl))

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return a live session; see ``SessionStorageBackend.load``. One statement."""
        _require_id(session_id)
        found = await _attributed(LoadError, self._calls.load(session_id))
        if found is None:
            return None
        data, ttl = found
        return SessionRecord(self._decode(data), ttl)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session; see ``SessionStorageBackend.delete``. One statement."""
        _require_id(session_id)
        await _attributed(DeleteError, self._calls.delete(session_id))

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another id; see ``SessionStorageBackend.change_id``.

        One UPDATE of the key. Where the new id is taken, an expired session is removed from it
        first, in a statement of its own.
        """
        _require_id(old_id)
        _require_id(new_id)
        await _attributed(ChangeIdError, self._calls.change_id(old_id, new_id))

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions, oldest first; see ``SessionStorageBackend.delete_expired``.

        Each batch is a transaction of its own, or several; with ``None``, batches of 1,000 at the
        most follow each other until nothing is left. The order is that of the deadlines, except
        among sessions that expired within the same 4.5 minutes and are more than four batches (or
        2,000, if that is more). Rows that someone else has locked are left for the next call.

        After a lost connection a batch is tried again, and what the first try removed is not in
        the count.
        """
        if batch_size is not None:
            require_batch_size(batch_size)
        return await _attributed(DeleteExpiredError, self._calls.delete_expired(batch_size))

    def _encode(self, operation: type[SessionStoreError], state: dict[str, JSON]) -> bytes:
        try:
            return self._codec.encode(state)
        except SerializationError as error:
            cause = error
        raise for_operation(operation, cause)

    def _decode(self, data: bytes | None) -> dict[str, JSON]:
        try:
            if data is not None:
                return self._codec.decode(data)
            cause = DeserializationError("a stored value is of another type than its column")
        except DeserializationError as error:
            cause = error
        raise for_operation(LoadError, cause)


class SQLSessionStore(_SessionOperations):
    """Server-side sessions in PostgreSQL, MySQL, MariaDB or SQLite.

    It implements ``SessionStorageBackend``; what each operation does is documented there. The
    database's clock decides what is live. The table must exist: see ``sessionstore_sql.migrate``.

    Args:
        engine_or_url: Where the sessions are. A URL, as text or SQLAlchemy's: the store makes an
            engine tuned for the database, owns it, and disposes it in ``aclose``. A URL without
            a driver gets asyncpg, aiomysql or aiosqlite. An ``AsyncEngine``: the store uses its
            pool, in transactions of its own, and never disposes it.
        table: The name of the table.
        schema: The schema it is in; ``None`` for the connection's own.
        codec: Turns states into bytes; JSON where none is given.
        engine_options: For ``create_async_engine``, over the store's own; only with a URL.
        coalesce: Whether calls that wait at the same time are answered by one statement.
        telemetry: Watches the store, and the stores that ``bind`` returns; see
            ``sessionstore_sql.otel``. ``None``: nobody does.

    Constructing a store does no I/O. A store works in every event loop that its engine works
    in: with ``poolclass=NullPool`` among the ``engine_options``, in several.

    Raises:
        TypeError, ValueError: An argument is of a wrong type, or names what is not supported.
        ModuleNotFoundError: The driver of the URL is not installed.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        engine_or_url: AsyncEngine | URL | str,
        *,
        table: str = DEFAULT_TABLE,
        schema: str | None = None,
        codec: StateCodec | None = None,
        engine_options: Mapping[str, Any] | None = None,
        coalesce: bool = True,
        telemetry: Telemetry | None = None,
    ) -> None:
        _require_telemetry(telemetry)
        session_rows = session_table(table, schema=schema)
        self._owns_engine = not isinstance(engine_or_url, AsyncEngine)
        if isinstance(engine_or_url, AsyncEngine):
            if engine_options is not None:
                raise ValueError("engine_options go with a URL; this engine is made already")
            engine = engine_or_url
        else:
            engine = create_engine(engine_or_url, engine_options)
        dialect = dialect_of(engine)
        self._engine = engine
        observer = (
            None
            if telemetry is None
            else CarefulObserver(telemetry.observer(engine, dialect, session_rows.fullname))
        )
        if not self._owns_engine and dialect.autocommit_is_free:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._executor = PooledExecutor(
            engine,
            dialect,
            session_rows.fullname,
            owns_engine=self._owns_engine,
            observer=observer,
        )
        self._operations = Operations(dialect, build_statements(session_rows, dialect))
        self._direct = calls = DirectCalls(self._executor, self._operations)
        self._coalesced = (
            CoalescedCalls(calls, self._executor, dialect.batches(session_rows))
            if coalesce
            else None
        )
        super().__init__(
            self._coalesced or calls, JSONCodec() if codec is None else codec, observer
        )
        if observer is not None:
            watch(self, ("delete_expired_exclusively", "count_expired"), observer)

    @property
    def engine(self) -> AsyncEngine:
        """The engine: the one given, or the store's own, which is in autocommit."""
        return self._engine

    def bind(self, connection: AsyncConnection) -> SessionStorageBackend:
        """Return the same operations as part of the caller's transaction on ``connection``.

        They commit when the caller does: a login row and a rotated id together, or not at all.
        ``DuplicateIdError`` and ``UnknownIdError`` leave the transaction usable. Nothing is
        tried again: a deadlock surfaces as a transient ``DatabaseError``, for the caller to
        repeat the whole transaction. So does, at REPEATABLE READ and above, an id that was taken
        after the transaction began.

        The operations raise ``ValueError`` on a connection in autocommit, which has no transaction
        to be part of: those of an engine that the store made itself are.

        Raises:
            TypeError: ``connection`` is not an ``AsyncConnection``.
            ValueError: It is a connection to another kind of database.
        """
        if not isinstance(connection, AsyncConnection):
            raise TypeError(f"bind takes an AsyncConnection, not {type(connection).__name__}")
        dialect = self._executor.dialect
        if dialect_of(connection.engine) is not dialect:
            raise ValueError("the connection is to another kind of database than the store")
        observer = self._executor.observer
        executor = BoundExecutor(connection, dialect, self._executor.table, observer)
        calls = DirectCalls(executor, self._operations)
        return _SessionOperations(calls, self._codec, observer)

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Remove expired sessions as ``delete_expired`` does, unless someone else does so already.

        For purges that every node of an application starts, one of which is enough. The database
        tells them apart, by an advisory lock on PostgreSQL and ``GET_LOCK`` on MySQL and MariaDB,
        which is held for this batch only; it doesn't wait. ``delete_expired`` knows nothing of it.
        On SQLite, and on a cluster without ``GET_LOCK``, it does what ``delete_expired`` does.

        Returns:
            How many were removed. ``None``: none, as another call is under way, in this process
            or elsewhere.

        Raises:
            DatabaseError: The database failed.
        """
        require_batch_size(batch_size)
        return await _attributed(
            DeleteExpiredError, self._direct.delete_expired_exclusively(batch_size)
        )

    async def count_expired(self) -> int:
        """Return how many expired sessions there are: what ``delete_expired`` would remove.

        Exact at the moment of the statement, which counts in an index: about a second for some
        millions of them. It reads without locks.

        Raises:
            DatabaseError: The database failed.
        """
        return await self._executor.run(self._operations.count_expired, Effect.READ)

    async def aclose(self) -> None:
        """Answer the calls that wait, and close the store's own engine.

        An engine that was given is left alone. May be repeated; a call made afterwards opens
        the engine again.
        """
        if self._coalesced is not None:
            await self._coalesced.drain()
        if self._owns_engine:
            await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _attributed(operation: type[SessionStoreError], call: Awaitable[Result]) -> Result:
    try:
        return await call
    except SessionStoreError as error:
        cause = error
    raise for_operation(operation, cause)


def _require_id(session_id: object) -> None:
    if not isinstance(session_id, SessionId):
        raise TypeError(f"a session id is a SessionId, not {type(session_id).__name__}")


def _require_telemetry(telemetry: object) -> None:
    if telemetry is None or (isinstance(telemetry, Telemetry) and not isinstance(telemetry, type)):
        return
    got = telemetry if isinstance(telemetry, type) else type(telemetry)
    raise TypeError(
        "telemetry is an instance, such as OpenTelemetry() of sessionstore_sql.otel, "
        f"not {got.__name__}"
    )


def _require_record(record: object) -> None:
    if not isinstance(record, SessionRecord):
        raise TypeError(f"a record is a SessionRecord, not {type(record).__name__}")
