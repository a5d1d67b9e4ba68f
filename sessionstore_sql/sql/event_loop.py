"""What belongs to one event loop, and to the connection pool that is used in it.

A store works in every event loop that its engine works in. Locks, futures, timers and queues belong
to one loop each, so they are kept by loop.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from sessionstore_sql.sql.engines import extra_connect_s
from sessionstore_sql.sql.leases import Leases
from sessionstore_sql.sql.operation_kinds import Answer_co

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool

    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.operation_kinds import Operation

CONNECT_TIMEOUT_S = 12
"""Seconds that connecting may take, not counting the wait for room in the pool. The drivers' own
timeouts are shorter, but those of aiomysql and asyncmy end with the TCP handshake."""

_MAX_TURN_S = 1.0
"""Maximum number of seconds that a writer waits for the other writers of its own process."""

_LIMIT_INTERVAL_S = 0.5
"""Seconds between two checks of the time limits, and so the delay with which one may end."""


class Batching(Protocol[Answer_co]):
    """Batches the calls of one operation in one event loop."""

    def ask(self, row: Row) -> Awaitable[Answer_co]:
        """Return the answer to one call."""
        ...

    async def drain(self) -> None:
        """Return when no call waits and no task is left."""
        ...


class LoopState:
    """The calls, turns, time limits and batch queues of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        has_one_writer: bool,
        extra_connect_s: float = 0,
    ) -> None:
        self.loop = loop
        self._extra_connect_s = extra_connect_s
        self.pool: Pool | None = None
        self.max_connections = sys.maxsize
        self.connect_timeout_s = 0.0
        self.limits = TimeLimits(loop)
        self.batchers: dict[Operation[Any], Batching[Any]] = {}
        self.in_flight = 0
        """How many calls are running on a connection, or waiting for one."""
        self.closing: asyncio.Future[None] | None = None
        """Done when new calls are no longer held back. ``None``: they are not."""
        self.idle: asyncio.Future[None] | None = None
        """Done when no call is in flight. ``None``: nothing waits for that."""
        self.leases = Leases(loop)
        self.turns_of_all: asyncio.Lock | None = None
        """Held by the one call that runs. ``None``: calls run at the same time."""
        self.turns_of_writers = asyncio.Lock() if has_one_writer else None
        """Held by the one call that writes. ``None``: calls write at the same time."""
        self.queued_writers = 0
        """How many calls wait for their turn to write."""

    def use(self, pool: Pool) -> None:
        """Take ``pool`` as the one that calls of this loop use from now on."""
        self.pool = pool
        self.max_connections, wait_s = sys.maxsize, 0.0
        if isinstance(pool, QueuePool):
            self.max_connections, wait_s = pool.size(), pool.timeout()
        self.connect_timeout_s = wait_s + CONNECT_TIMEOUT_S + self._extra_connect_s
        # An in-memory database has one connection for all calls. The end of one call's transaction
        # would be the end of another's.
        self.turns_of_all = asyncio.Lock() if isinstance(pool, StaticPool) else None
        self.leases.retire()

    def ended(self) -> None:
        """Wake what waits for the calls in flight, if this was the last one."""
        if self.idle is not None and self.in_flight == 0:
            self.idle.set_result(None)
            self.idle = None

    @asynccontextmanager
    async def writers_turn(self) -> AsyncIterator[None]:
        """Wait for the earlier writers of this process, but not for long.

        Writers that wait here proceed at once and in order. In the database they would sleep and
        try again, in random order (hazard S6). If another process holds the database, they do that
        after all: each call's wait has its own bound, and is not added to those of the calls before
        it.
        """
        writers = self.turns_of_writers
        assert writers is not None
        has_turn = True
        self.queued_writers += 1
        try:
            async with asyncio.timeout(_MAX_TURN_S):
                await writers.acquire()
        except TimeoutError:
            has_turn = False
        finally:
            self.queued_writers -= 1
        try:
            yield
        finally:
            if has_turn:
                writers.release()

    @asynccontextmanager
    async def hold_calls(self) -> AsyncIterator[None]:
        """Enter when every call has ended that was made before. New ones wait until the exit."""
        # Tasks that were started before may not have made their calls yet.
        await asyncio.sleep(0)
        while self.closing is not None:
            await self.reopened()
        closing = self.closing = self.loop.create_future()
        self.leases.is_suspended = True
        try:
            for batcher in self.batchers.values():
                await batcher.drain()
            await self._idle_again()
            await self.leases.release()
            yield
        finally:
            self.closing = None
            self.leases.is_suspended = False
            closing.set_result(None)

    async def reopened(self) -> None:
        """Return when new calls are no longer held back."""
        if self.closing is not None:
            await asyncio.shield(self.closing)

    async def _idle_again(self) -> None:
        while self.in_flight:
            if self.idle is None:
                self.idle = self.loop.create_future()
            await asyncio.shield(self.idle)


class EventLoops:
    """The event loops that one engine is used in."""

    def __init__(self, engine: AsyncEngine, *, has_one_writer: bool) -> None:
        self.engine = engine.sync_engine
        self._has_one_writer = has_one_writer
        self._extra_connect_s = extra_connect_s(engine)
        self._states: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self.latest: LoopState | None = None

    def current(self) -> LoopState:
        """Return the state of the running loop.

        Raises:
            RuntimeError: The pool's connections belong to another event loop. Used in this one,
                they would fail with some error of the driver's, or wait indefinitely (hazard A11).
        """
        loop, pool, latest = asyncio.get_running_loop(), self.engine.pool, self.latest
        if latest is not None and loop is latest.loop and pool is latest.pool:
            return latest
        if (
            latest is not None
            and pool is latest.pool
            and not isinstance(pool, (NullPool, StaticPool))
        ):
            raise RuntimeError(
                "the connections of this session store belong to another event loop: dispose the "
                "engine between loops, or make it with poolclass=NullPool"
            )
        self.latest = state = self._state_of(loop)
        if pool is not state.pool:
            state.use(pool)
        return state

    @asynccontextmanager
    async def hold_calls(self) -> AsyncIterator[None]:
        """Enter when every call of the running loop has ended that was made before.

        New calls wait until the exit, so that none of them uses a connection of a pool that is
        being disposed.
        """
        async with self._state_of(asyncio.get_running_loop()).hold_calls():
            yield

    def _state_of(self, loop: asyncio.AbstractEventLoop) -> LoopState:
        state = self._states.get(loop)
        if state is None:
            for closed in [each for each in self._states if each.is_closed()]:
                del self._states[closed]
            state = self._states[loop] = LoopState(
                loop, has_one_writer=self._has_one_writer, extra_connect_s=self._extra_connect_s
            )
        return state


class TimeLimits:
    """The time limits of one event loop, all checked by one timer.

    ``asyncio.timeout`` sets a timer for each attempt, and a second one when the connection is
    there. On CPython 3.11 that takes 5.0 microseconds of CPU per attempt, and this 1.2 (``python -m
    benchmarks.parts``). Loads of one caller on PostgreSQL were 2 to 8 % slower with it, in
    alternating runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[TimeLimit, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next_check = 0.0
        self._was_late = False

    def of_this_task(self) -> TimeLimit:
        """Return a limit for what the current task does. It has no effect until it is set."""
        return TimeLimit(self)

    def set(self, limit: TimeLimit, seconds: float) -> None:
        """Have ``limit`` expire in ``seconds``, whatever it was set to before."""
        self._due[limit] = self._loop.time() + seconds
        if self._timer is None:
            self._check_later()

    def forget(self, limit: TimeLimit) -> None:
        """Have ``limit`` never expire."""
        self._due.pop(limit, None)

    def _check(self) -> None:
        now = self._loop.time()
        # A loop that was blocked hands out the answers that have arrived meanwhile first.
        is_late = now > self._next_check + _LIMIT_INTERVAL_S
        self._was_late = is_late and not self._was_late
        if not self._was_late:
            for limit in [limit for limit, due in self._due.items() if due <= now]:
                self.forget(limit)
                limit.expire()
        self._timer = None
        if self._due:
            self._check_later()

    def _check_later(self) -> None:
        self._next_check = self._loop.time() + _LIMIT_INTERVAL_S
        self._timer = self._loop.call_at(self._next_check, self._check)


class TimeLimit:
    """Cancels its task when it expires. The ``with`` statement then raises ``TimeoutError``.

    It also raises ``CancelledError`` if other code cancelled the task and a driver took no notice.
    Drivers connect with ``asyncio.wait_for``, which before Python 3.12 forgets a cancellation that
    arrives together with the result.
    """

    __slots__ = ("_cancelled", "_cancelling", "_limits", "_task")

    def __init__(self, limits: TimeLimits) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._limits = limits
        self._task = task
        self._cancelling = task.cancelling()
        self._cancelled = 0

    def set(self, seconds: float) -> None:
        """Have the limit expire in ``seconds``."""
        self._limits.set(self, seconds)

    def expire(self) -> None:
        """Cancel the task; again, if the first time had no effect and the limit was set anew."""
        self._cancelled += 1
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._limits.forget(self)
        for _ in range(self._cancelled):
            self._task.uncancel()
        # If the task was also cancelled by other code, it must see that cancellation.
        if self._task.cancelling() > self._cancelling:
            if exc_type is None or issubclass(exc_type, Exception):
                raise asyncio.CancelledError from exc
        elif self._cancelled > 0 and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc
