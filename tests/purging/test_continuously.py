"""A purge each period: its schedule, its listener, and what does and doesn't end it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest

from sessionstore_sql import (
    DatabaseError,
    DeleteExpiredError,
    SessionId,
    continuously_delete_expired,
    purging,
)
from sessionstore_sql.errors import for_operation
from tests.purging.backends import WatchedBackend, nothing

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
AWAY = DatabaseError("the database is unreachable", transient=True)


class Clock:
    """Lets the waits of a purge pass at once, and notes them. One that is held never ends."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.held_from = 10**9

    async def sleep(self, seconds: float) -> None:
        """Stand in for ``asyncio.sleep``."""
        self.waits.append(seconds)
        if len(self.waits) > self.held_from:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every purge of a test."""
    clock = Clock()
    monkeypatch.setattr(purging, "sleep", clock.sleep)
    return clock


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, from DEBUG on."""
    caplog.set_level(logging.DEBUG, logger="sessionstore_sql")
    return caplog


def logged(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return the messages of this level."""
    return [each.getMessage() for each in log.records if each.levelno == level]


@asynccontextmanager
async def purging_continuously(
    backend: WatchedBackend, until: Callable[[], bool], **options: Any
) -> AsyncIterator[asyncio.Task[Any]]:
    """Purge each hour until something is so, and then be still purging."""
    options = {"period": HOUR, **options}
    task = asyncio.create_task(continuously_delete_expired(backend, **options))
    async with asyncio.timeout(30):
        while not until() and not task.done():  # noqa: ASYNC110  # a backend tells no one
            await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.wait([task])


def has_purged(backend: WatchedBackend, times: int) -> Callable[[], bool]:
    """Return whether so many batches were asked for, and the last one is over."""
    return lambda: len(backend.asked) >= times


def has_waited(clock: Clock, times: int) -> Callable[[], bool]:
    """Return whether a purge has come to this wait."""
    return lambda: len(clock.waits) >= times


async def test_it_purges_again_and_again(clock: Clock) -> None:
    """What expires later is removed by a later purge."""
    backend = WatchedBackend()
    await backend.fill(expired=2, live=1)

    async with purging_continuously(backend, has_purged(backend, 1)):
        await backend.fill(expired=3)
        async with asyncio.timeout(30):
            while len(backend.rows) > 1:  # noqa: ASYNC110  # a backend tells no one
                await asyncio.sleep(0)


async def test_a_purge_goes_on_until_nothing_is_left(clock: Clock) -> None:
    """Batches of one purge follow each other, with pauses and not periods between them."""
    backend = WatchedBackend()
    await backend.fill(expired=5)
    clock.held_from = 1

    async with purging_continuously(
        backend, has_waited(clock, 2), batch_size=2, pause=timedelta(0)
    ):
        assert backend.asked == [2, 2, 2]
        assert backend.rows == {}


async def test_nodes_that_start_together_do_not_purge_together(clock: Clock) -> None:
    """Each of 32 nodes begins at its own moment of the first minute, and so on each period."""
    clock.held_from = 64
    backends = [WatchedBackend() for _ in range(32)]
    tasks = [
        asyncio.create_task(continuously_delete_expired(each, period=HOUR)) for each in backends
    ]

    while len(clock.waits) < 64:  # noqa: ASYNC110  # the clock tells no one
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    first, second = clock.waits[:32], clock.waits[32:64]
    for waits, earliest, latest in ((first, 0, 60), (second, 2_700, 4_500)):
        assert len(set(waits)) == 32
        assert all(earliest <= wait <= latest for wait in waits)
        assert max(waits) - min(waits) > (latest - earliest) / 2


async def test_a_short_period_begins_within_itself(clock: Clock) -> None:
    """The first purge of a period of seconds does not wait for a minute."""
    backend = WatchedBackend()
    clock.held_from = 0

    for _ in range(20):
        async with purging_continuously(
            backend, has_waited(clock, len(clock.waits) + 1), period=timedelta(seconds=2)
        ):
            assert clock.waits[-1] <= 2


async def test_an_unreachable_database_does_not_end_it(
    clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    """Each failure is logged as an error; when the database is back, so is the purge."""
    backend = WatchedBackend(AWAY, AWAY, nothing)
    await backend.fill(expired=2)

    async with purging_continuously(backend, has_waited(clock, 4)) as task:
        assert not task.done()
        assert backend.rows == {}

    errors = logged(log, logging.ERROR)
    assert len(errors) == 2
    assert all("the database is unreachable" in each for each in errors)
    assert any("the purge succeeded again" in each for each in logged(log, logging.INFO))


async def test_it_waits_longer_from_failure_to_failure(clock: Clock) -> None:
    """From a second to five minutes, and a random part of it; after a success, from the start."""
    backend = WatchedBackend(*[AWAY] * 14, nothing, AWAY)

    async with purging_continuously(backend, has_waited(clock, 17)):
        _, *retries = clock.waits[:15]
        next_period, retry = clock.waits[15:17]

    for failures, wait in enumerate(retries):
        longest = min(2**failures, 300)
        assert longest / 2 <= wait < longest
    assert next_period >= 2_700
    assert 0.5 <= retry <= 1


async def test_it_never_waits_longer_than_a_period(clock: Clock) -> None:
    """After a failure the next try comes no later than the next purge would have."""
    backend = WatchedBackend(*[AWAY] * 10)

    async with purging_continuously(backend, has_waited(clock, 11), period=timedelta(seconds=3)):
        assert max(clock.waits[:11]) <= 3


async def test_an_error_of_any_operation_class_is_a_failure(clock: Clock) -> None:
    """What a real store raises, of two classes at once, does not end it either."""
    backend = WatchedBackend(for_operation(DeleteExpiredError, DatabaseError("no such table")))

    async with purging_continuously(backend, has_purged(backend, 2)) as task:
        assert not task.done()


async def test_a_mistake_in_a_program_ends_it_and_is_logged(
    clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    """The error is raised and logged, because the task may never be awaited."""
    backend = WatchedBackend(TypeError("wrong"))

    async with purging_continuously(backend, lambda: False) as task:
        assert isinstance(task.exception(), TypeError)

    assert logged(log, logging.CRITICAL) == ["purging has ended: TypeError"]


async def test_what_was_removed_is_told_and_logged(
    clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    """The callback is called for each batch, and each purge is logged at its level."""
    backend = WatchedBackend()
    await backend.fill(expired=5)
    counts: list[int] = []

    async with purging_continuously(
        backend, has_waited(clock, 3), batch_size=3, pause=timedelta(0), on_batch=counts.append
    ):
        assert counts[:3] == [3, 2, 0]

    assert logged(log, logging.INFO) == ["deleted 5 expired sessions: nothing expired is left"]
    assert "deleted 0 expired sessions: nothing expired is left" in logged(log, logging.DEBUG)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_an_error_of_the_listener_is_logged_and_not_fatal(
    clock: Clock, log: pytest.LogCaptureFixture, is_async: bool
) -> None:
    """The purge continues if the callback raises."""
    backend = WatchedBackend()
    await backend.fill(expired=3)

    def listen(_count: int) -> None:
        raise RuntimeError("the metrics are away")

    async def listen_async(count: int) -> None:
        listen(count)

    async with purging_continuously(
        backend,
        has_waited(clock, 2),
        batch_size=2,
        pause=timedelta(0),
        on_batch=listen_async if is_async else listen,
    ):
        assert backend.rows == {}

    failures = [each for each in log.records if each.levelno == logging.ERROR]
    assert len(failures) == 2
    assert all(each.exc_info is not None for each in failures)
    assert "the metrics are away" in log.text


async def test_nothing_logged_shows_an_id(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    """Neither what was removed, nor what failed, nor what ended it."""
    secret = SessionId.generate()
    backend = WatchedBackend(nothing, AWAY, TypeError(secret.value))
    backend.rows[secret] = b"{}", 0

    async with purging_continuously(backend, lambda: False):
        pass

    assert secret.value not in log.text


class ExclusiveBackend(WatchedBackend):
    """One of whose nodes another one is always purging."""

    def __init__(self) -> None:
        super().__init__()
        self.deferred = 0

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Leave it to the others."""
        self.deferred += 1
        return None


async def test_a_node_leaves_it_to_another_one(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    """Where another node is found at work, nothing is done before the next period."""
    backend = ExclusiveBackend()
    clock.held_from = 1

    async with purging_continuously(backend, has_waited(clock, 2)):
        assert (backend.deferred, backend.asked) == (1, [])

    assert clock.waits[1] >= 2_700
    assert logged(log, logging.DEBUG)[-1] == "deleted 0 expired sessions: another purge is running"


async def cancelled_when(
    how: str, purge: Callable[[], Coroutine[Any, Any, Any]], is_there: Callable[[], bool]
) -> None:
    """Start ``purge``, cancel it when it is there, and see that it ends at once."""

    async def reach() -> None:
        async with asyncio.timeout(30):
            while not is_there():  # noqa: ASYNC110  # a backend tells no one
                await asyncio.sleep(0)

    if how == "task":
        task = asyncio.ensure_future(purge())
        await reach()
        task.cancel()
        await asyncio.wait([task], timeout=30)
        assert task.cancelled()
    else:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(purge)
                await reach()
                group.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["task", "scope"])
@pytest.mark.parametrize("moment", ["start", "batch", "pause", "listener", "period", "retry"])
async def test_it_can_be_cancelled_at_every_wait(clock: Clock, how: str, moment: str) -> None:
    """As a task and in a task group, it ends where it is, and nothing of it is left."""
    forever = asyncio.Event()
    clock.held_from = {"start": 0, "period": 1, "retry": 1}.get(moment, 10**9)
    plans: dict[str, list[Any]] = {"batch": [forever.wait], "retry": [AWAY]}
    backend = WatchedBackend(*plans.get(moment, []))
    await backend.fill(expired=3)
    heard: list[int] = []

    async def listen(count: int) -> None:
        heard.append(count)
        if moment == "listener":
            await forever.wait()

    tasks = asyncio.all_tasks()
    await cancelled_when(
        how,
        partial(
            continuously_delete_expired,
            backend,
            period=HOUR,
            batch_size=2,
            pause=HOUR if moment == "pause" else timedelta(0),
            on_batch=listen,
        ),
        {
            "start": has_waited(clock, 1),
            "batch": has_purged(backend, 1),
            "pause": lambda: heard == [2],
            "listener": lambda: heard == [2],
            "period": has_waited(clock, 2),
            "retry": has_waited(clock, 2),
        }[moment],
    )

    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"store": "no backend"}, TypeError),
        ({"period": 3600}, TypeError),
        ({"period": timedelta(0)}, ValueError),
        ({"period": timedelta(seconds=-1)}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": None}, TypeError),
        ({"batch_size": 10.0}, TypeError),
        ({"pause": 0.1}, TypeError),
        ({"pause": timedelta(seconds=-1)}, ValueError),
        ({"on_batch": 1}, TypeError),
    ],
    ids=str,
)
def test_bad_arguments_are_rejected_at_once(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """Arguments are checked when the coroutine is created, not when it runs."""
    with pytest.raises(error, match=next(iter(options))):
        _ = continuously_delete_expired(**{"store": WatchedBackend(), "period": HOUR, **options})
