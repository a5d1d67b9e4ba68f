"""Running work on a connection: attempt, classify, retry.

Work is a function of a SQLAlchemy ``Connection``, which is synchronous. It runs in a greenlet that
passes every wait of the driver to the event loop.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol

from sessionstore_sql.sql.committed import is_after_commit
from sessionstore_sql.sql.compiled import NotOnLineError
from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.sql.direct import invalidate_idle, is_autocommit, is_unobserved, on_connection
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.event_loop import EventLoops
from sessionstore_sql.sql.failures import database_error
from sessionstore_sql.sql.operation_kinds import Result, Work
from sessionstore_sql.sql.retrying import (
    MAX_ATTEMPTS,
    RETRYING_S,
    Diagnosis,
    Failed,
    invalidate_closed,
    pause_s,
    replace_if_closed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.event_loop import LoopState, TimeLimit
    from sessionstore_sql.sql.leases import Lease
    from sessionstore_sql.sql.operation_kinds import OnLine, Runner
    from sessionstore_sql.telemetry import Observer


def always(_result: object) -> bool:
    """Return that a result is certain whatever earlier attempts did."""
    return True


class Executor(Protocol):
    """Runs work on connections of one kind.

    Attributes:
        is_bound: Whether the caller commits what the work does.
    """

    is_bound: bool

    @property
    def observer(self) -> Observer | None:
        """The observer of the store, if it has one."""
        ...

    async def run(
        self,
        work: Work[Result],
        effect: Effect,
        *arguments: object,
        is_conclusive: Callable[[Result], bool] = ...,
        on_line: OnLine[Result] | None = None,
    ) -> Result:
        """Return what ``work`` returns.

        Args:
            work: Called with a connection and ``arguments``, perhaps several times. It may raise
                a ``SessionStoreError``, which is passed on.
            effect: What running it a second time would do.
            arguments: What the work takes besides a connection.
            is_conclusive: Returns whether a result is certain although an earlier attempt was lost
                and may have taken effect.
            on_line: Does the same as ``work`` on a leased connection, which is faster.

        Raises:
            DatabaseError: SQLAlchemy or the driver raised an error.
        """
        ...

    def call(self) -> AbstractAsyncContextManager[Runner]:
        """Return a context for a call that runs several pieces of work, one after another.

        The context's value runs the work as ``run`` does. ``aclose`` waits for the whole call.
        """
        ...


class PooledExecutor:
    """Runs work on a connection of an engine. When ``run`` returns, the work is committed."""

    is_bound = False

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

        If the store made it, attempts end after the dialect's timeout, and every exception that is
        raised while connecting is a failure of the database.
        """
        self.engine = engine
        self.dialect = dialect
        self.table = table
        self.observer = observer
        self.answer_timeout_s = dialect.answer_timeout_s if owns_engine else None
        self.loops = EventLoops(engine, has_one_writer=dialect.has_one_writer)
        self.diagnosis = Diagnosis(engine, dialect, owns_engine=owns_engine)

    async def run(
        self,
        work: Work[Result],
        effect: Effect,
        *arguments: object,
        is_conclusive: Callable[[Result], bool] = always,
        on_line: OnLine[Result] | None = None,
    ) -> Result:
        """Return what ``work`` returns. Work that the server has rolled back is run again.

        Raises:
            RuntimeError: The engine's connections belong to another event loop.
        """
        here = await self._open_loop()
        return await self.run_in(
            here, work, effect, *arguments, is_conclusive=is_conclusive, on_line=on_line
        )

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Runner]:
        """Return a context for a call that runs several pieces of work, one after another."""
        here = await self._open_loop()
        here.in_flight += 1
        try:
            yield partial(self.run_in, here)
        finally:
            here.in_flight -= 1
            if here.idle is not None:
                here.ended()

    def here(self) -> LoopState:
        """Return the state of the running loop.

        Raises:
            RuntimeError: The engine's connections belong to another event loop.
        """
        loops = self.loops
        here = loops.latest
        if (
            here is None
            or here.loop is not asyncio.get_running_loop()
            or here.pool is not loops.engine.pool
        ):
            return loops.current()
        return here

    async def _open_loop(self) -> LoopState:
        """Return the state of the running loop, when calls are not held back in it."""
        while (here := self.here()).closing is not None:
            await here.reopened()
        return here

    async def run_in(
        self,
        here: LoopState,
        work: Work[Result],
        effect: Effect,
        *arguments: object,
        is_conclusive: Callable[[Result], bool] = always,
        on_line: OnLine[Result] | None = None,
    ) -> Result:
        """Return what ``work`` returns, for a call that ``aclose`` waits for if it is running.

        If the connection was lost and the work was run again, the result has to be conclusive: it
        may be due to what the lost attempt did.
        """
        here.in_flight += 1
        try:
            lost: Failed | None = None
            attempts = 0
            latest = here.loop.time() + RETRYING_S
            while True:
                attempts += 1
                attempt = _Attempt(self, work, arguments, on_line)
                try:
                    result = await attempt.make(here, effect)
                    if lost is None or is_conclusive(result):
                        return result
                    failed = lost
                    break
                except Exception as error:  # noqa: BLE001  # raised again if it is no driver's
                    failed = self.diagnosis.of(error, sent=attempt.sent)
                if failed.failure is Failure.UNANSWERED:
                    # What has swallowed this connection has swallowed the idle ones, too. Without
                    # this, each of them would take a call, and its time limit, to be noticed.
                    invalidate_idle(self.engine.pool)
                    here.leases.retire()
                may_have_changed = failed.failure.unknown or is_after_commit(failed.error)
                if may_have_changed and effect is not Effect.READ:
                    lost = failed
                is_over = lost is not None and effect is Effect.ONCE
                is_over |= here.loop.time() >= latest
                if is_over or attempts >= MAX_ATTEMPTS.get(failed.failure, 1):
                    break
                if self.observer is not None:
                    self.observer.retrying(failed.error)
                await asyncio.sleep(pause_s(attempts))
        finally:
            here.in_flight -= 1
            if here.idle is not None:
                here.ended()
        unknown = lost is not None
        raised = database_error(
            failed.error, failed.failure, self.dialect, self.table, outcome_unknown=unknown
        )
        raised.connection_failed |= failed.before_sending
        raise raised


class _Attempt(Generic[Result]):
    """One attempt on one connection.

    Attributes:
        sent: Whether a statement may have been sent.
    """

    __slots__ = ("_arguments", "_executor", "_here", "_limit", "_on_line", "_work", "sent")

    _here: LoopState

    def __init__(
        self,
        executor: PooledExecutor,
        work: Work[Result],
        arguments: tuple[object, ...],
        on_line: OnLine[Result] | None,
    ) -> None:
        self.sent = False
        self._executor = executor
        self._work = work
        self._arguments = arguments
        self._on_line = on_line
        self._limit: TimeLimit | None = None

    async def make(self, here: LoopState, effect: Effect) -> Result:
        """Return what the work returns, run when it is its turn and within the time limits."""
        self._here = here
        writers = here.turns_of_writers
        if here.turns_of_all is not None:
            async with here.turns_of_all:
                result = await self._within_limits()
        elif writers is None or effect is Effect.READ:
            result = await self._within_limits()
        elif writers.locked() or here.queued_writers:
            async with here.writers_turn():
                result = await self._within_limits()
        else:
            async with writers:  # which does not wait
                result = await self._within_limits()
        if here.in_flight > here.max_connections:
            # Other calls wait for the connection just returned. Without a pause, a caller that
            # calls again at once would take it back each time, and the others would starve.
            await asyncio.sleep(0)
        return result

    async def _within_limits(self) -> Result:
        if self._executor.dialect.answer_timeout_s is None:
            return await self._run()
        with self._here.limits.of_this_task() as limit:
            if self._executor.answer_timeout_s is not None:
                self._limit = limit
            return await self._run()

    async def _run(self) -> Result:
        leases = self._here.leases
        if self._on_line is not None:
            while leases.free:
                lease = leases.free.pop()
                lease.is_used = True
                if lease.is_over or not is_unobserved(lease.connection):
                    await leases.end(lease)
                elif lease.watch is not None and lease.watch.has_hung_up():
                    leases.retire()
                    await leases.end(lease, invalidate_closed)
                else:
                    try:
                        return await self._run_on(lease, self._on_line)
                    except NotOnLineError:
                        break
        executor = self._executor
        if self._limit is not None:
            self._limit.set(self._here.connect_timeout_s)
        keep = None if self._on_line is None else self._keep
        leases.waiting += 1
        try:
            return await on_connection(executor.engine, self._on_connection, keep)
        finally:
            if not self.sent:
                leases.waiting -= 1

    async def _run_on(self, lease: Lease, on_line: OnLine[Result]) -> Result:
        """Return what the work returns on a leased connection."""
        leases = self._here.leases
        if self._limit is not None:
            assert self._executor.answer_timeout_s is not None
            self._limit.set(self._executor.answer_timeout_s)
        self.sent = True
        try:
            result = await on_line(lease, *self._arguments)
        except NotOnLineError:
            leases.free.append(lease)
            self.sent = False
            raise
        except BaseException as error:
            raised = error
            await leases.end(lease, lambda connection: self._mark(connection, raised))
            raise
        if lease.is_over or leases.waiting:
            await leases.end(lease)
        else:
            leases.free.append(lease)
        return result

    def _keep(self, connection: Connection) -> bool:
        return self._here.leases.keep(connection, self._executor.dialect)

    def _on_connection(self, connection: Connection) -> Result:
        executor = self._executor
        if executor.dialect.socket_of is not None:
            replace_if_closed(connection, executor.dialect)
        self._here.leases.waiting -= 1
        self.sent = True
        if self._limit is not None:
            assert executor.answer_timeout_s is not None
            self._limit.set(executor.answer_timeout_s)
        try:
            result = self._work(connection, *self._arguments)
            # SQLAlchemy has begun a transaction if it has executed anything.
            if connection.in_transaction() and not is_autocommit(connection):
                connection.commit()
        except BaseException as error:
            self._mark(connection, error)
            raise
        return result

    def _mark(self, connection: Connection, error: BaseException) -> None:
        """Have connections replaced that ``error`` says are useless."""
        self._executor.diagnosis.mark(connection, error)
        if connection.invalidated and isinstance(error, Exception):
            # SQLAlchemy has the others of the pool replaced as well.
            self._here.leases.retire()
