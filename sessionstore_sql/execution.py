"""Running work on a connection: whose connection it is, and what is tried again.

``work`` is a function of a connection. SQLAlchemy's ``Connection`` is synchronous, so it runs
in a greenlet that hands every wait of the driver to the event loop.
"""

from __future__ import annotations

import asyncio
import enum
import random
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool, StaticPool
from sqlalchemy.util import greenlet_spawn

from sessionstore_sql.dialects import Failure
from sessionstore_sql.dialects.sending import is_autocommit
from sessionstore_sql.errors import UnknownIdError
from sessionstore_sql.failures import classify, database_error, stumbled
from sessionstore_sql.time_limits import TimeLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import Pool

    from sessionstore_sql.dialects import Dialect
    from sessionstore_sql.telemetry import Observer
    from sessionstore_sql.time_limits import TimeLimit

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Connection], Result]

_ATTEMPTS = {
    Failure.ABORTED: 10,
    Failure.LOCKED: 3,
    Failure.STALE_PLAN: 3,
    Failure.UNREACHABLE: 3,
    Failure.READ_ONLY: 2,
    Failure.LOST: 2,
}
"""How often a call is made in all where its attempts end so (hazard D2); others are made once."""

_RETRYING_S = 10
"""No attempt begins later than so many seconds after the first: the caller has waited enough."""

_SPOILS_CONNECTION = {
    Failure.LOST,
    Failure.UNANSWERED,
    Failure.READ_ONLY,
    Failure.UNREACHABLE,  # of a Galera node that left the cluster; the others may be had
}
"""Failures after which the connection goes out of the pool, whatever SQLAlchemy thinks of it."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
"""Seconds; doubling, and a random part of it, so that rivals do not meet again."""

_LONGEST_TURN = 1.0
"""Seconds that a writer waits for those of its own process before it tries all the same."""

CONNECT_TIMEOUT_S = 12
"""Seconds that it may take to connect, once there is room in the pool. The drivers' own timeouts
are shorter, but those of aiomysql and asyncmy end with the TCP handshake."""

_RAISED_BY_DRIVERS = (SQLAlchemyError, OSError)
"""asyncpg's OSError and TimeoutError come through SQLAlchemy as they are (hazard A3)."""


class Effect(enum.Enum):
    """What doing the work twice would do, which decides what a lost connection means."""

    READ = enum.auto()
    """Nothing: it changes nothing."""
    REPEATABLE = enum.auto()
    """The same as doing it once."""
    ONCE = enum.auto()
    """Something else: the second time it could collide with its own first."""


class Executor(Protocol):
    """Runs work on connections of one kind."""

    @property
    def observer(self) -> Observer | None:
        """Who watches the work, if anybody does."""
        ...

    async def run(self, work: Work[Result], effect: Effect) -> Result:
        """Return what ``work`` returns.

        Args:
            work: Called with a connection, perhaps several times. It may raise a
                ``SessionStoreError``, which is passed on.
            effect: What doing it twice would do.

        Raises:
            DatabaseError: For what SQLAlchemy or the driver raised.
        """
        ...


class PooledExecutor:
    """Runs work on a connection of an engine; when ``run`` returns, it is committed."""

    def __init__(
        self,
        engine: AsyncEngine,
        dialect: Dialect,
        table: str,
        *,
        owns_engine: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """Use ``engine``.

        Of one of our own, an attempt is given up whose answer takes longer than the dialect's
        timeout, and whatever is raised while it connects is the database's failure.
        """
        self.engine = engine
        self.dialect = dialect
        self.table = table
        self.answer_timeout_s = dialect.answer_timeout_s if owns_engine else None
        self.connect_timeout_s = float(CONNECT_TIMEOUT_S)
        self.owns_engine = owns_engine
        self.observer = observer
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limits: TimeLimits | None = None
        self._turns_of_all: asyncio.Lock | None = None
        self._turns_of_writers: asyncio.Lock | None = None
        self._connections = 0
        self._under_way = 0

    async def run(
        self,
        work: Work[Result],
        effect: Effect,
        is_conclusive: Callable[[Result], bool] = lambda _result: True,
    ) -> Result:
        """Return what ``work`` returns; what the server rolled back is tried again.

        Where the connection was lost and the work done again, its result has to be conclusive:
        what it lacks may be what the lost attempt did.
        """
        self._require_own_loop()
        lost: _Failed | None = None
        attempts = 0
        latest = asyncio.get_running_loop().time() + _RETRYING_S
        while True:
            attempts += 1
            attempt = _Attempt(self, work)
            try:
                result = await self._make(attempt, effect)
                if lost is None or is_conclusive(result):
                    return result
                failed = lost
                break
            except UnknownIdError:
                if lost is None:
                    raise
                # The lost attempt may be what made it unknown: a delete that did succeed.
                failed = lost
                break
            except Exception as error:  # noqa: BLE001  # re-raised if it is not the database's
                failed = attempt.failed(error)
            if failed.failure.unknown and effect is not Effect.READ:
                lost = failed
            is_over = lost is not None and effect is Effect.ONCE
            is_over |= asyncio.get_running_loop().time() >= latest
            if is_over or attempts >= _ATTEMPTS.get(failed.failure, 1):
                break
            if self.observer is not None:
                self.observer.retrying(failed.error)
            await asyncio.sleep(_pause_after(attempts))
        unknown = lost is not None
        raised = database_error(
            failed.error, failed.failure, self.dialect, self.table, outcome_unknown=unknown
        )
        raised.connection_failed |= failed.before_sending
        raise raised

    async def _make(self, attempt: _Attempt[Result], effect: Effect) -> Result:
        assert self._limits is not None
        self._under_way += 1
        try:
            async with self._turn(effect):
                with self._limits.of_this_task() as limit:
                    result = await greenlet_spawn(attempt, limit)
        finally:
            self._under_way -= 1
        if self._under_way >= self._connections:
            # Somebody waits for the connection just returned. Without a pause, a caller that asks
            # again at once would take it back, again and again, and the others starve.
            await asyncio.sleep(0)
        return result

    def _require_own_loop(self) -> None:
        """Raise ``RuntimeError`` where the pool's connections belong to another event loop.

        They would fail with whatever the driver stumbles over, or wait for ever (hazard A11).
        """
        loop, pool = asyncio.get_running_loop(), self.engine.pool
        if loop is self._loop and pool is self._pool:
            return
        if pool is self._pool and not isinstance(pool, (NullPool, StaticPool)):
            raise RuntimeError(
                "the connections of this session store belong to another event loop: dispose the "
                "engine between loops, or make it with poolclass=NullPool"
            )
        self._loop, self._pool = loop, pool
        self._connections, queue_timeout_s = sys.maxsize, 0.0
        if isinstance(pool, QueuePool):
            self._connections, queue_timeout_s = pool.size(), pool.timeout()
        self.connect_timeout_s = queue_timeout_s + CONNECT_TIMEOUT_S
        self._limits = TimeLimits(loop)
        self._under_way = 0
        # One connection for everybody, as of an in-memory database: the end of one call's
        # transaction would be the end of another's.
        self._turns_of_all = asyncio.Lock() if isinstance(pool, StaticPool) else None
        self._turns_of_writers = asyncio.Lock() if self.dialect.has_one_writer else None

    def _turn(self, effect: Effect) -> AbstractAsyncContextManager[object]:
        if self._turns_of_all is not None:
            return self._turns_of_all
        if self._turns_of_writers is None or effect is Effect.READ:
            return nullcontext()
        return _in_turn(self._turns_of_writers)


class _Attempt(Generic[Result]):
    """One try on one connection, which knows afterwards how far it got."""

    __slots__ = ("_executor", "_sent", "_work")

    def __init__(self, executor: PooledExecutor, work: Work[Result]) -> None:
        self._executor = executor
        self._work = work
        self._sent = False

    def __call__(self, limit: TimeLimit) -> Result:
        """Return what the work returns, within ``limit``, which is set here."""
        engine, answer_timeout_s = self._executor.engine, self._executor.answer_timeout_s
        if answer_timeout_s is not None:
            limit.set(self._executor.connect_timeout_s)
        with engine.sync_engine.connect() as connection:
            self._sent = True
            if answer_timeout_s is not None:
                limit.set(answer_timeout_s)
            try:
                result = self._work(connection)
                if not is_autocommit(connection):
                    connection.commit()
            except _RAISED_BY_DRIVERS as error:
                failure = self.failed(error).failure
                if failure is Failure.STALE_PLAN:
                    _invalidate_all(connection, error)
                elif failure in _SPOILS_CONNECTION:
                    connection.invalidate(error)
                raise
            return result

    def failed(self, error: Exception) -> _Failed:
        """Return what ``error`` means; what comes of the work and not of the database goes on."""
        if not isinstance(error, _RAISED_BY_DRIVERS):
            if self._sent:
                raise error
            # SQLAlchemy 2.0 lets asyncpg's errors of connecting through as they are, with their
            # code; 2.1 too, where asyncpg has none for them.
            known = hasattr(error, "sqlstate") or self._executor.dialect.is_unreachable(error)
            if not known and not self._executor.owns_engine:
                raise error  # the host's own, of what it has put into its engine
            if not known:
                error = stumbled(error, self._executor.engine.url)
        failure = classify(error, self._executor.dialect, sent=self._sent)
        return _Failed(error, failure, before_sending=not self._sent)


class _Failed(NamedTuple):
    error: Exception
    failure: Failure
    before_sending: bool


@dataclass(frozen=True, slots=True)
class BoundExecutor:
    """Runs work on the caller's connection, as part of the caller's transaction.

    Nothing is tried again: what aborted has taken the caller's earlier statements along.
    """

    connection: AsyncConnection
    dialect: Dialect
    table: str
    observer: Observer | None = None

    async def run(self, work: Work[Result], effect: Effect) -> Result:
        """Return what ``work`` returns; the caller commits."""

        def part(connection: Connection) -> Result:
            if is_autocommit(connection):
                raise ValueError(
                    "the connection commits each statement by itself, so nothing can be part of "
                    "its transaction: bind a connection of an engine without AUTOCOMMIT"
                )
            return work(connection)

        try:
            return await self.connection.run_sync(part)
        except _RAISED_BY_DRIVERS as raised:
            error = raised
        failure = classify(error, self.dialect, sent=True)
        unknown = failure.unknown and effect is not Effect.READ
        raise database_error(error, failure, self.dialect, self.table, outcome_unknown=unknown)


@asynccontextmanager
async def _in_turn(writers: asyncio.Lock) -> AsyncIterator[None]:
    """Wait for the writers of this process that came before, but not for long.

    Who waits here goes on at once, and in turn; in the database, it would sleep and try again, by
    chance (hazard S6). If another process has the database, all of them do that after all: each
    call's wait has its own bound, and is not added to those of the calls before it.
    """
    has_turn = True
    try:
        async with asyncio.timeout(_LONGEST_TURN):
            await writers.acquire()
    except TimeoutError:
        has_turn = False
    try:
        yield
    finally:
        if has_turn:
            writers.release()


def _invalidate_all(connection: Connection, error: BaseException) -> None:
    """Have this connection and those in the pool replaced before they are used again.

    The others have prepared the same statements. Of the drivers, only SQLAlchemy's execution on
    asyncpg can have them prepare anew (hazard A4).
    """
    if not connection.invalidated:
        connection.engine.pool._invalidate(connection.connection, error)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _pause_after(attempts: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempts)
    return random.uniform(0, longest)  # noqa: S311  # spreads rivals; nothing to guess
