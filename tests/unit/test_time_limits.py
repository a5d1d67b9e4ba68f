"""Time limits that one timer keeps watch of."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from sessionstore_sql import time_limits
from sessionstore_sql.time_limits import TimeLimits

pytestmark = pytest.mark.anyio

LONG = 3_600


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that come soon."""
    monkeypatch.setattr(time_limits, "INTERVAL", 0.01)


@pytest.fixture
async def limits() -> TimeLimits:
    """Those of this event loop."""
    return TimeLimits(asyncio.get_running_loop())


async def wait(limits: TimeLimits, *seconds: float) -> None:
    """Wait for ever within a limit, set once for each of ``seconds``."""
    with limits.of_this_task() as limit:
        for each in seconds:
            limit.set(each)
        await asyncio.Event().wait()


async def test_what_takes_too_long_times_out(limits: TimeLimits) -> None:
    """And its task goes on, as if it had never been cancelled."""
    with pytest.raises(TimeoutError):
        await wait(limits, 0)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_latest_limit_counts(limits: TimeLimits) -> None:
    """A limit that is set again replaces the one before, sooner or later."""
    with pytest.raises(TimeoutError):
        await wait(limits, LONG, 0)
    waiting = asyncio.ensure_future(wait(limits, 0, LONG))
    with pytest.raises(TimeoutError):
        await wait(limits, 0.05)

    assert not waiting.done()
    waiting.cancel()


async def test_limits_are_each_tasks_own(limits: TimeLimits) -> None:
    """One ends, the others go on; one without a limit does for ever."""
    ends, goes_on, unlimited = (
        asyncio.ensure_future(wait(limits, *seconds)) for seconds in ([0], [LONG], [])
    )

    with pytest.raises(TimeoutError):
        await ends
    assert not goes_on.done()
    assert not unlimited.done()
    goes_on.cancel()
    unlimited.cancel()


async def test_what_ends_in_time_is_left_alone(limits: TimeLimits) -> None:
    """Its limit ends with it, and so does the watch when nothing is left."""
    with limits.of_this_task() as limit:
        limit.set(0)
    await asyncio.sleep(0.05)

    assert limits._alarm is None


async def test_an_error_within_a_limit_is_that_error(limits: TimeLimits) -> None:
    """Even where the limit expires at the same moment."""

    async def fail() -> None:
        with limits.of_this_task() as limit:
            limit.expire()
            raise KeyError

    with pytest.raises(KeyError):
        await asyncio.create_task(fail())


async def test_a_cancellation_that_was_swallowed_is_repeated(limits: TimeLimits) -> None:
    """Where the limit is set again, its task ends all the same, and as it should."""

    async def swallow() -> None:
        with limits.of_this_task() as limit:
            limit.set(0)
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            limit.set(0)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await swallow()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_cancelled_by_others_hears_of_that(limits: TimeLimits) -> None:
    """Whether or not the limit expires, too."""
    for seconds in ([LONG], [0]):
        task = asyncio.ensure_future(wait(limits, *seconds))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(task.cancel)
        if seconds == [0]:
            limits._look()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_watch_is_taken_up_again(limits: TimeLimits) -> None:
    """After it ended, for want of anything to watch."""
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await wait(limits, 0)
        await asyncio.sleep(0.03)
        assert limits._alarm is None
