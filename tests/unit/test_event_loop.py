"""What belongs to one event loop: its pool, the calls in flight, and time limits."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, Pool, StaticPool
from sqlalchemy.util import await_only

from sessionstore_sql.sql import cancellation, direct, event_loop
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.event_loop import EventLoops, TimeLimits
from sessionstore_sql.sql.execution import PooledExecutor
from sessionstore_sql.sql.operations import LOAD

pytestmark = pytest.mark.anyio

LONG = 3_600


# Loops and pools


def engine_on(path: Path, poolclass: type[Pool] | None = None) -> AsyncEngine:
    """Return an engine on a file of SQLite."""
    options = {} if poolclass is None else {"poolclass": poolclass}
    return create_async_engine(f"sqlite+aiosqlite:///{path / 'sessions.db'}", **options)


async def state_of(loops: EventLoops) -> object:
    """Return the state of the running loop."""
    return loops.current()


def test_pooled_connections_belong_to_one_loop(tmp_path: Path) -> None:
    """Another loop is rejected until the engine was disposed."""
    engine = engine_on(tmp_path)
    loops = EventLoops(engine, has_one_writer=True)
    asyncio.run(state_of(loops))

    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(state_of(loops))

    asyncio.run(engine.dispose())
    asyncio.run(state_of(loops))


@pytest.mark.parametrize("poolclass", [NullPool, StaticPool])
def test_several_loops_share_what_pools_no_connections(
    tmp_path: Path, poolclass: type[Pool]
) -> None:
    """Each has a state of its own, and keeps it when the loops take turns."""
    loops = EventLoops(engine_on(tmp_path, poolclass), has_one_writer=True)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    states = [each.run_until_complete(state_of(loops)) for each in (first, second, first, second)]

    assert states[0] is states[2]
    assert states[1] is states[3]
    assert states[0] is not states[1]
    first.close()
    second.close()


async def test_a_loop_keeps_its_state_when_the_pool_changes(tmp_path: Path) -> None:
    """Calls that wait in its queues are not forgotten when the engine is disposed."""
    engine = engine_on(tmp_path)
    loops = EventLoops(engine, has_one_writer=True)
    state = loops.current()

    await engine.dispose()

    assert loops.current() is state
    assert state.pool is engine.pool


def test_closed_loops_are_forgotten(tmp_path: Path) -> None:
    """When the next loop comes."""
    loops = EventLoops(engine_on(tmp_path, NullPool), has_one_writer=True)
    first = asyncio.new_event_loop()
    first.run_until_complete(state_of(loops))
    forgotten = weakref.ref(first)
    first.close()

    del first
    asyncio.run(state_of(loops))
    gc.collect()

    assert forgotten() is None


# Calls in flight


class Held:
    """Work that waits until it is released."""

    def __init__(self) -> None:
        self.begun, self.released = asyncio.Event(), asyncio.Event()

    def __call__(self, _connection: Connection) -> str:
        """Wait."""
        self.begun.set()
        await_only(self.released.wait())
        return "held"


@pytest.fixture
async def executor(tmp_path: Path) -> AsyncIterator[PooledExecutor]:
    """An executor on a pool of several connections."""
    engine = engine_on(tmp_path)
    yield PooledExecutor(engine, dialect_named("sqlite"), "sessions")
    await engine.dispose()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def hold(executor: PooledExecutor, inside: Callable[[], None]) -> None:
    """Hold calls, and call ``inside`` when none is in flight."""
    async with executor.loops.hold_calls():
        inside()


async def test_calls_in_flight_end_before_others_are_held(executor: PooledExecutor) -> None:
    """However many there are."""
    works = [Held(), Held()]
    calls = [asyncio.ensure_future(executor.run(work, Effect.READ)) for work in works]
    ended: list[bool] = []
    holding = asyncio.ensure_future(
        hold(executor, lambda: ended.extend(call.done() for call in calls))
    )
    for work in works:
        await work.begun.wait()
        assert not holding.done()
        work.released.set()

    assert await asyncio.gather(*calls, holding) == ["held", "held", None]
    # The loop may run the holder before the callers: their work is over, though.
    assert len(ended) == 2


async def test_a_call_that_was_started_before_is_waited_for(executor: PooledExecutor) -> None:
    """Although its task has not run yet."""
    work = Held()
    call = asyncio.ensure_future(executor.run(work, Effect.READ))
    begun: list[bool] = []

    holding = asyncio.ensure_future(hold(executor, lambda: begun.append(work.begun.is_set())))
    await work.begun.wait()
    work.released.set()

    await asyncio.gather(call, holding)
    assert begun == [True]


async def test_calls_that_wait_in_queues_are_answered_first(executor: PooledExecutor) -> None:
    """They were made before, although nothing of them is in flight yet."""
    order: list[str] = []
    drained = asyncio.Event()

    class Queue:
        async def ask(self, _row: object) -> None:
            """Not called."""

        async def drain(self) -> None:
            """Wait."""
            await drained.wait()
            order.append("drained")

    executor.loops.current().batchers[LOAD] = Queue()
    holding = asyncio.ensure_future(hold(executor, lambda: order.append("held")))
    await settle()
    drained.set()
    await holding

    assert order == ["drained", "held"]


async def test_new_calls_wait_while_calls_are_held(executor: PooledExecutor) -> None:
    """They run afterwards."""
    work = Held()
    work.released.set()
    async with executor.loops.hold_calls():
        call = asyncio.ensure_future(executor.run(work, Effect.READ))
        await settle()
        assert not work.begun.is_set()

    assert await call == "held"


async def test_calls_are_held_by_one_at_a_time(executor: PooledExecutor) -> None:
    """A second one that closes the store waits for the first."""
    order: list[str] = []

    async def close(name: str) -> None:
        async with executor.loops.hold_calls():
            order.append(f"{name} holds")
            await settle()
            order.append(f"{name} ends")

    await asyncio.gather(close("first"), close("second"))

    assert order == ["first holds", "first ends", "second holds", "second ends"]


async def test_a_call_of_several_pieces_of_work_is_waited_for_as_a_whole(
    executor: PooledExecutor,
) -> None:
    """Between two pieces, nothing runs on a connection, and the call is in flight all the same."""
    first, between = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def purge() -> None:
        async with executor.call() as run:
            for number in range(2):
                work = Held()
                work.released.set()
                await run(work, Effect.REPEATABLE)
                order.append(f"step {number}")
                first.set()
                await between.wait()

    purging = asyncio.ensure_future(purge())
    await first.wait()
    holding = asyncio.ensure_future(hold(executor, lambda: order.append("held")))
    await settle()
    between.set()
    await asyncio.gather(purging, holding)

    assert order == ["step 0", "step 1", "held"]


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
async def test_a_call_that_fails_or_is_cancelled_is_no_longer_in_flight(
    executor: PooledExecutor, end: str
) -> None:
    """Otherwise a store could never be closed."""
    begun = asyncio.Event()

    def work(_connection: Connection) -> None:
        begun.set()
        if end == "fails":
            raise ZeroDivisionError
        await_only(asyncio.Event().wait())

    call = asyncio.ensure_future(executor.run(work, Effect.READ))
    await begun.wait()
    call.cancel()
    with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
        await call

    async with asyncio.timeout(10), executor.loops.hold_calls():
        pass


async def test_holding_calls_can_be_cancelled(executor: PooledExecutor) -> None:
    """New calls are held no longer, and calls can be held again."""
    work = Held()
    call = asyncio.ensure_future(executor.run(work, Effect.READ))
    await work.begun.wait()
    holding = asyncio.ensure_future(hold(executor, lambda: None))
    await settle()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    work.released.set()

    assert await call == "held"
    async with asyncio.timeout(10), executor.loops.hold_calls():
        pass
    assert await executor.run(work, Effect.READ) == "held"


# Time limits


@pytest.fixture
async def limits(monkeypatch: pytest.MonkeyPatch) -> TimeLimits:
    """Time limits that are checked often."""
    monkeypatch.setattr(event_loop, "_LIMIT_INTERVAL_S", 0.01)
    return TimeLimits(asyncio.get_running_loop())


async def wait(limits: TimeLimits, *seconds: float) -> None:
    """Wait forever within a limit that is set once for each of ``seconds``."""
    with limits.of_this_task() as limit:
        for each in seconds:
            limit.set(each)
        await asyncio.Event().wait()


def cancellations_of_this_task() -> int:
    """Return how many cancellations of the current task were not taken back."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_work_that_takes_too_long_times_out(limits: TimeLimits) -> None:
    """Its task continues as if it had never been cancelled."""
    with pytest.raises(TimeoutError):
        await wait(limits, 0)

    assert cancellations_of_this_task() == 0


async def test_an_answer_that_came_while_the_loop_was_blocked_counts(
    limits: TimeLimits,
) -> None:
    """The limit may be over by then, but what was waited for is there."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def receive() -> bytes:
        with limits.of_this_task() as limit:
            limit.set(0)
            return await loop.sock_recv(ours, 1)

    with ours, theirs:
        receiving = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        theirs.send(b"x")
        time.sleep(0.2)  # noqa: ASYNC251  # as code that blocks does

        assert await receiving == b"x"


async def test_a_loop_that_is_always_blocked_has_limits(limits: TimeLimits) -> None:
    """They are put off once."""
    waiting = asyncio.ensure_future(wait(limits, 0))
    for _ in range(6):
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251

    assert waiting.done()
    assert isinstance(waiting.exception(), TimeoutError)


async def test_the_latest_limit_counts(limits: TimeLimits) -> None:
    """A limit that is set again replaces the one before, whether it is earlier or later."""
    with pytest.raises(TimeoutError):
        await wait(limits, LONG, 0)
    waiting = asyncio.ensure_future(wait(limits, 0, LONG))
    with pytest.raises(TimeoutError):
        await wait(limits, 0.05)

    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("error", [None, OSError()], ids=["answer", "error"])
async def test_a_cancellation_that_the_work_forgets_is_not_lost(
    limits: TimeLimits, error: Exception | None
) -> None:
    """A task that asks again and again would otherwise never end."""

    async def forgetful() -> None:
        with limits.of_this_task():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            if error is not None:
                raise error

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_each_task_has_a_limit_of_its_own(limits: TimeLimits) -> None:
    """One ends and the others continue. A task without a limit is never ended."""
    ends, continues, unlimited = (
        asyncio.ensure_future(wait(limits, *seconds)) for seconds in ([0], [LONG], [])
    )

    with pytest.raises(TimeoutError):
        await ends
    assert not continues.done()
    assert not unlimited.done()
    continues.cancel()
    unlimited.cancel()


async def test_work_that_ends_in_time_is_not_affected(limits: TimeLimits) -> None:
    """Its limit ends with it, and the timer with the last limit."""
    with limits.of_this_task() as limit:
        limit.set(0)
    await asyncio.sleep(0.05)

    assert limits._timer is None


async def test_an_error_within_a_limit_is_passed_on(limits: TimeLimits) -> None:
    """Also if the limit expires at the same moment."""

    async def fail() -> None:
        with limits.of_this_task() as limit:
            limit.expire()
            raise KeyError

    with pytest.raises(KeyError):
        await asyncio.create_task(fail())


async def test_a_cancellation_that_was_suppressed_is_repeated(limits: TimeLimits) -> None:
    """If the limit is set again, its task ends all the same."""

    async def suppress_once() -> None:
        with limits.of_this_task() as limit:
            limit.set(0)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            limit.set(0)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await suppress_once()

    assert cancellations_of_this_task() == 0


async def test_a_cancellation_by_other_code_is_passed_on(limits: TimeLimits) -> None:
    """Whether the limit expires as well or not."""
    for seconds in ([LONG], [0]):
        task = asyncio.ensure_future(wait(limits, *seconds))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(task.cancel)
        if seconds == [0]:
            limits._check()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_timer_starts_again_with_the_next_limit(limits: TimeLimits) -> None:
    """After it ended with the last one."""
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await wait(limits, 0)
        await asyncio.sleep(0.03)
        assert limits._timer is None


# Cancellation


class Sending:
    """Work in which a driver waits for its server, and what its connection does when closed."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.adapted: Any = None
        """SQLAlchemy's class for connections of the driver."""

    def __call__(self, connection: Connection) -> None:
        """Send a statement that is not answered."""
        self.adapted = type(connection.connection.dbapi_connection)
        direct.send(connection, self._wait, "SELECT 1", ())

    def _wait(self, *_: object) -> None:
        self.begun.set()
        await_only(asyncio.Event().wait())


@pytest.mark.parametrize("ours", [True, False], ids=["our greenlet", "SQLAlchemy's"])
async def test_closing_a_connection_is_not_interrupted_by_a_second_cancellation(
    executor: PooledExecutor, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """A connection that is only half closed would keep its thread, or stay open on a server."""
    monkeypatch.setattr(direct, "_TAKES_OUR_WORKERS", ours)
    sending, closing, closed = Sending(), asyncio.Event(), asyncio.Event()
    call = asyncio.ensure_future(executor.run(sending, Effect.READ))
    await sending.begun.wait()
    real = sending.adapted._terminate_graceful_close

    async def close(self: Any) -> None:
        closing.set()
        await closed.wait()
        await real(self)

    monkeypatch.setattr(sending.adapted, "_terminate_graceful_close", close)
    call.cancel()
    await closing.wait()
    for _ in range(3):
        call.cancel()
        await settle()
    assert not call.done()
    closed.set()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert executor.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("ours", [True, False], ids=["our greenlet", "SQLAlchemy's"])
async def test_closing_a_connection_that_hangs_is_given_up(
    executor: PooledExecutor, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """A caller that is cancelled does not wait indefinitely for a server that does not answer."""
    monkeypatch.setattr(direct, "_TAKES_OUR_WORKERS", ours)
    monkeypatch.setattr(cancellation, "CLEAN_UP_S", 0.01)
    sending = Sending()
    call = asyncio.ensure_future(executor.run(sending, Effect.READ))
    await sending.begun.wait()
    hanging: list[asyncio.Task[Any]] = []
    real = sending.adapted._terminate_graceful_close

    async def close(self: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        hanging.append(task)
        try:
            await asyncio.Event().wait()
        finally:
            await real(self)

    monkeypatch.setattr(sending.adapted, "_terminate_graceful_close", close)
    monkeypatch.setattr(sending.adapted, "_terminate_force_close", lambda _self: None)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
