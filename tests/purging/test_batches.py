"""One purge: batch after batch, until nothing is left or someone calls it off."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    DatabaseError,
    PurgeEnd,
    PurgeReport,
    SessionId,
    SQLSessionStore,
    delete_expired_in_batches,
    purging,
)
from tests.concurrency.rows import database_time, insert_rows, row_count
from tests.purging.backends import WatchedBackend, nothing
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

NO_PAUSE = timedelta(0)
LONG = timedelta(hours=1)


async def test_everything_expired_goes_and_nothing_else(store: SQLSessionStore) -> None:
    """Batch by batch all expired sessions are removed; the live ones stay."""
    now = await database_time(store.engine)
    expired = [(SessionId.generate(), now - 1 - n) for n in range(25)]
    live = [(SessionId.generate(), now + 3_600_000_000) for _ in range(3)]
    await insert_rows(store.engine, expired + live)
    counts: list[int] = []

    report = await delete_expired_in_batches(
        store, batch_size=10, pause=NO_PAUSE, on_batch=counts.append
    )

    assert report == PurgeReport(removed=25, batches=3, end=PurgeEnd.NOTHING_LEFT)
    assert counts == [10, 10, 5]
    assert await row_count(store.engine) == 3


async def test_the_database_is_left_alone_between_batches(store: SQLSessionStore) -> None:
    """During a pause, no connection is held; told to stop, the purge ends at once."""
    now = await database_time(store.engine)
    await insert_rows(store.engine, [(SessionId.generate(), now - n) for n in range(9)])
    stop, removed = asyncio.Event(), asyncio.Event()

    purge = asyncio.create_task(
        delete_expired_in_batches(
            store, batch_size=4, pause=LONG, stop=stop, on_batch=lambda _count: removed.set()
        )
    )
    await removed.wait()
    for _ in range(3):  # the turns of the loop in which another batch would begin
        await asyncio.sleep(0)

    assert connections_in_use(store) == 0
    stop.set()
    assert await purge == PurgeReport(removed=4, batches=1, end=PurgeEnd.STOPPED)
    assert await row_count(store.engine) == 5


async def test_an_interrupted_purge_is_resumed_by_the_next() -> None:
    """What a cancelled purge has removed stays removed; the next one removes the rest."""
    backend = WatchedBackend()
    await backend.fill(expired=5)
    purge = asyncio.create_task(delete_expired_in_batches(backend, batch_size=2, pause=LONG))
    while not backend.asked:  # noqa: ASYNC110  # the backend tells no one
        await asyncio.sleep(0)

    purge.cancel()
    await asyncio.wait([purge])
    report = await delete_expired_in_batches(backend, batch_size=2, pause=NO_PAUSE)

    assert purge.cancelled()
    assert report.removed == 3


async def test_no_batch_is_larger_than_asked() -> None:
    """Every batch is asked for with the size that was given, and never without one."""
    backend = WatchedBackend()
    await backend.fill(expired=7)

    await delete_expired_in_batches(backend, batch_size=3, pause=NO_PAUSE)

    assert backend.asked == [3, 3, 3]


async def test_an_empty_batch_is_told_of() -> None:
    """The callback is also called for a purge that found nothing."""
    counts: list[int] = []

    report = await delete_expired_in_batches(WatchedBackend(), on_batch=counts.append)

    assert counts == [0]
    assert report == PurgeReport(removed=0, batches=1, end=PurgeEnd.NOTHING_LEFT)


async def test_an_async_callback_is_awaited() -> None:
    """The next batch begins when the callback has finished."""
    backend = WatchedBackend()
    await backend.fill(expired=3)
    batches_then: list[int] = []

    async def listen(_count: int) -> None:
        await asyncio.sleep(0)
        batches_then.append(len(backend.asked))

    await delete_expired_in_batches(backend, batch_size=2, pause=NO_PAUSE, on_batch=listen)

    assert batches_then == [1, 2]


async def test_an_error_of_the_callback_ends_the_purge() -> None:
    """What the caller's own code raises is the caller's to see; the batch stays removed."""
    backend = WatchedBackend()
    await backend.fill(expired=3)

    def listen(_count: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await delete_expired_in_batches(backend, batch_size=2, pause=NO_PAUSE, on_batch=listen)

    assert len(backend.rows) == 1


async def test_an_error_of_the_database_ends_the_purge() -> None:
    """It is raised as it is, and what was removed before was told of."""
    error = DatabaseError("away", transient=True)
    backend = WatchedBackend(nothing, error)
    await backend.fill(expired=5)
    counts: list[int] = []

    with pytest.raises(DatabaseError) as caught:
        await delete_expired_in_batches(
            backend, batch_size=2, pause=NO_PAUSE, on_batch=counts.append
        )

    assert caught.value is error
    assert counts == [2]


@pytest.mark.parametrize(
    ("max_time", "batches", "end"),
    [
        (timedelta(0), 1, PurgeEnd.OUT_OF_TIME),
        (LONG / 2, 1, PurgeEnd.OUT_OF_TIME),
        (LONG * 2, 2, PurgeEnd.STOPPED),
    ],
)
async def test_no_batch_begins_when_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch, max_time: timedelta, batches: int, end: PurgeEnd
) -> None:
    """The first batch is always made; a pause that would outlast the time is not begun."""
    stop = asyncio.Event()
    backend = WatchedBackend(nothing, stop.set)
    await backend.fill(expired=9)
    rests = rests_of(monkeypatch)

    report = await delete_expired_in_batches(
        backend, batch_size=2, pause=LONG, max_time=max_time, stop=stop
    )

    assert (report.batches, report.end) == (batches, end)
    assert len(rests) == len(backend.asked) - (end is PurgeEnd.OUT_OF_TIME)


async def test_a_purge_that_is_stopped_before_it_begins_does_nothing() -> None:
    """Not even the first batch is made."""
    backend, stop = WatchedBackend(), asyncio.Event()
    await backend.fill(expired=1)
    stop.set()

    report = await delete_expired_in_batches(backend, stop=stop)

    assert report == PurgeReport(removed=0, batches=0, end=PurgeEnd.STOPPED)
    assert backend.asked == []


@pytest.mark.parametrize(
    ("pause", "batch_takes", "expected"), [(2, 1, 2), (2, 3, 3), (0, 3, 0)], ids=str
)
async def test_a_pause_is_as_long_as_the_batch_at_least(
    monkeypatch: pytest.MonkeyPatch, pause: int, batch_takes: int, expected: int
) -> None:
    """A slow database is left alone for longer, unless no pause is wanted."""
    clock = 0

    def be_slow() -> None:
        nonlocal clock
        clock += batch_takes

    monkeypatch.setattr(purging, "monotonic", lambda: clock)
    backend = WatchedBackend(be_slow)
    await backend.fill(expired=3)
    rests = rests_of(monkeypatch)

    await delete_expired_in_batches(backend, batch_size=2, pause=timedelta(seconds=pause))

    assert rests == [expected]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pause": 1}, TypeError),
        ({"pause": timedelta(seconds=-1)}, ValueError),
        ({"max_time": 1.0}, TypeError),
        ({"max_time": timedelta(microseconds=-1)}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": None}, TypeError),
        ({"batch_size": True}, TypeError),
        ({"on_batch": "print"}, TypeError),
        ({"stop": True}, TypeError),
    ],
    ids=str,
)
async def test_bad_arguments_are_rejected(options: dict[str, Any], error: type[Exception]) -> None:
    """A wrong type or range is an error before anything was removed."""
    backend = WatchedBackend()
    await backend.fill(expired=1)

    with pytest.raises(error, match=next(iter(options))):
        await delete_expired_in_batches(backend, **options)

    assert len(backend.rows) == 1


def rests_of(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that receives the seconds of each pause, which are not waited."""
    rests: list[float] = []

    async def rest(seconds: float, _stop: asyncio.Event) -> None:
        rests.append(seconds)

    monkeypatch.setattr(purging, "_rest", rest)
    return rests
