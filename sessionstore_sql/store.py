"""``SQLSessionStore``: sessions in the SQL database an application already runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore_sql.account_operations import AccountOperations
from sessionstore_sql.accounts.options import AccountOptions
from sessionstore_sql.codec import JSONCodec, StateCodec
from sessionstore_sql.errors import DeleteExpiredError
from sessionstore_sql.records import require_batch_size
from sessionstore_sql.schema import DEFAULT_TABLE, session_table
from sessionstore_sql.session_operations import attributed
from sessionstore_sql.sql.batching import BatchingDispatcher, ImmediateDispatcher
from sessionstore_sql.sql.bound import BoundExecutor
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.engines import create_engine, describe, dialect_of
from sessionstore_sql.sql.execution import PooledExecutor
from sessionstore_sql.sql.operation_kinds import SessionTable
from sessionstore_sql.sql.purge import TablePurger
from sessionstore_sql.sql.statements import build_statements
from sessionstore_sql.telemetry import CarefulObserver, Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL

    from sessionstore_sql.accounts.events import OnEvent


class SQLSessionStore(AccountOperations):
    """Server-side sessions in PostgreSQL, MySQL, MariaDB or SQLite.

    The store implements ``SessionStorageBackend`` and ``AccountSessionBackend``, which document the
    operations. The database's clock decides which sessions are live. The table must exist: see
    ``sessionstore_sql.migrate``.

    Args:
        engine_or_url: The database. For a URL, as text or as SQLAlchemy's ``URL``, the store
            creates an engine that is tuned for the database, and disposes it in ``aclose``. The
            default drivers are asyncpg, aiomysql and aiosqlite. An ``AsyncEngine`` is shared: the
            store uses its own transactions, and never disposes the engine.
        table: The name of the table.
        schema: The schema of the table. ``None``: the default schema of the connection.
        codec: Encodes states as bytes. ``None``: as JSON.
        engine_options: Options for ``create_async_engine``, which replace those of the store. Only
            with a URL.
        coalesce: Whether calls that wait at the same time share one statement.
        telemetry: Watches the store, and the stores that ``bind`` returns; see
            ``sessionstore_sql.otel``. ``None``: no telemetry.
        lifetime: Absolute lifetime of sessions, after which they end even if they are used.
            It counts from ``sign_in``, and for anonymous sessions from ``create``. ``None``: none.
        max_sessions: Maximum number of live sessions of one user. ``None``: no limit.
        subject_keys: Keys of at least 16 bytes under which user ids are hashed, the newest first.
            ``None`` among them stands for a plain SHA-256, which is the default.
        on_event: A function, or a coroutine function, that is called with each ``AccountEvent``
            after it was committed. Operations of stores that ``bind`` returns are not reported.

    Creating a store does no I/O. A store works in one event loop. To use it in several, pass
    ``engine_options={"poolclass": NullPool}``.

    Raises:
        TypeError, ValueError: An argument has a wrong type, or names something that is not
            supported.
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
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        subject_keys: Sequence[bytes | None] = (),
        on_event: OnEvent | None = None,
    ) -> None:
        _require_telemetry(telemetry)
        options = AccountOptions(lifetime, max_sessions, subject_keys, on_event)
        session_rows = session_table(table, schema=schema)
        self._owns_engine = not isinstance(engine_or_url, AsyncEngine)
        if isinstance(engine_or_url, AsyncEngine):
            if engine_options is not None:
                raise ValueError("engine_options need a URL: this engine already exists")
            engine = engine_or_url
        else:
            engine = create_engine(engine_or_url, engine_options)
        dialect = dialect_of(engine)
        self._engine = engine
        observer = None
        if telemetry is not None:
            description = describe(engine, session_rows.fullname)
            observer = CarefulObserver(telemetry.observer(engine, description))
        if not self._owns_engine and dialect.autocommit_is_free:
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pool = PooledExecutor(
            engine,
            dialect,
            session_rows.fullname,
            owns_engine=self._owns_engine,
            observer=observer,
        )
        self._table = SessionTable(
            dialect,
            build_statements(session_rows, dialect, options.lifetime, len(options.subjects)),
            dialect.batches(session_rows, options.lifetime, len(options.subjects)),
            dialect.endings(session_rows),
        )
        dispatcher = BatchingDispatcher if coalesce else ImmediateDispatcher
        super().__init__(
            self._pool,
            dispatcher(self._pool, self._table),
            TablePurger(dialect, session_rows),
            JSONCodec() if codec is None else codec,
            options=options,
            table=self._table,
        )

    @property
    def engine(self) -> AsyncEngine:
        """The engine that was given, or the store's own, whose connections are in autocommit."""
        return self._engine

    def bind(self, connection: AsyncConnection) -> AccountOperations:
        """Return the same operations as part of the caller's transaction on ``connection``.

        The caller commits them: for example, a login row and a rotated id together, or neither.
        ``DuplicateIdError`` and ``UnknownIdError`` leave the transaction usable. Nothing is
        retried: a deadlock raises a transient ``DatabaseError``, and the caller has to repeat the
        whole transaction. The same happens at REPEATABLE READ and above if an id was taken after
        the transaction began.

        On a connection in autocommit, the operations raise ``ValueError``, as there is no
        transaction that they could be part of. Connections of the store's own engine are in
        autocommit.

        On MySQL and MariaDB, ``revoke``, ``sign_out`` and a ``sign_in`` with a limit raise
        ``ValueError`` below REPEATABLE READ: a session that is being rotated would escape them.
        The level is that of the database session: one that ``SET TRANSACTION`` gives to a single
        transaction cannot be seen. No event is reported for what a bound store does, as the
        transaction may be rolled back.

        A ``sign_in`` with a limit waits for other transactions that have signed in the same user
        with one. On PostgreSQL at REPEATABLE READ and above it does not see their sessions, so the
        limit may be exceeded until the user's next sign-in.

        Raises:
            TypeError: ``connection`` is not an ``AsyncConnection``.
            ValueError: It is a connection to another kind of database.
        """
        if not isinstance(connection, AsyncConnection):
            raise TypeError(f"bind takes an AsyncConnection, not {type(connection).__name__}")
        dialect = self._pool.dialect
        if dialect_of(connection.engine) is not dialect:
            raise ValueError("the connection is to another kind of database than the store")
        executor = BoundExecutor(connection, dialect, self._pool.table, self._pool.observer)
        return AccountOperations(
            executor,
            ImmediateDispatcher(executor, self._table),
            self._purger,
            self._codec,
            options=self._options.without_events(),
            table=self._table,
        )

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Remove expired sessions as ``delete_expired`` does, unless another such call is running.

        It is meant for purges that every node of an application starts, although one is enough.
        The database decides which one runs, by an advisory lock on PostgreSQL and by ``GET_LOCK``
        on MySQL and MariaDB. The lock is held for this batch only, and never waited for.
        ``delete_expired`` ignores it. On SQLite, and on a cluster without ``GET_LOCK``, this does
        what ``delete_expired`` does.

        Returns:
            The number of deleted sessions. ``None``: another call is running, in this process or
            elsewhere.

        Raises:
            DatabaseError: The database failed.
        """
        with self._observed("delete_expired_exclusively"):
            require_batch_size(batch_size)
            removing = self._purger.delete_expired(self._executor, batch_size, exclusively=True)
            return await attributed(DeleteExpiredError, removing)

    async def count_expired(self) -> int:
        """Return how many expired sessions there are: what ``delete_expired`` would remove.

        The number is exact at the moment of the statement, which counts in an index. That takes
        about a second for a few million sessions, and locks nothing.

        Raises:
            DatabaseError: The database failed.
        """
        with self._observed("count_expired"):
            return await self._executor.run(self._purger.count_expired, Effect.READ)

    async def aclose(self) -> None:
        """Wait for the calls in flight, and dispose the store's own engine.

        It has no open connections afterwards. Calls that are made meanwhile wait until then. They,
        and all later calls, open connections again. An engine that was given is not disposed.
        ``aclose`` may be called again.
        """
        async with self._pool.loops.hold_calls():
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


def _require_telemetry(telemetry: object) -> None:
    if telemetry is None or (isinstance(telemetry, Telemetry) and not isinstance(telemetry, type)):
        return
    got = telemetry if isinstance(telemetry, type) else type(telemetry)
    raise TypeError(
        "telemetry is an instance, such as OpenTelemetry() of sessionstore_sql.otel, "
        f"not {got.__name__}"
    )
