"""Closing a store: what is in flight ends, and no connection stays open, on any driver."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record
from tests.stores import executed_on

pytestmark = pytest.mark.anyio

each_way = pytest.mark.parametrize("coalesce", [True, False], ids=["batched", "immediate"])

COUNTS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
}


async def open_connections(url: URL) -> int:
    """Return how many connections to the database are open; on SQLite, how many threads."""
    if url.get_backend_name() == "sqlite":
        return sum("_connection_worker" in thread.name for thread in threading.enumerate())
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        count = COUNTS.get(url.get_backend_name(), COUNTS["mysql"])
        return int((await connection.execute(text(count))).scalar_one())


async def require_connections(url: URL, expected: int) -> None:
    """Fail unless so many connections are open. A server takes a moment to note that one ended."""
    async with asyncio.timeout(20):
        while (found := await open_connections(url)) != expected:
            assert found > expected
            await asyncio.sleep(0.01)


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks other than the current one."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


CALLS: dict[str, Callable[[SQLSessionStore, SessionId], Awaitable[Any]]] = {
    "create": lambda store, _: store.create(SessionId.generate(), record()),
    "update": lambda store, live: store.update(live, record(n=1)),
    "update_ttl": lambda store, live: store.update_ttl(live, HOUR),
    "load": lambda store, live: store.load(live),
    "change_id": lambda store, live: store.change_id(live, SessionId.generate()),
    "delete": lambda store, live: store.delete(live),
    "delete_expired": lambda store, _: store.delete_expired(),
    "delete_expired_exclusively": lambda store, _: store.delete_expired_exclusively(10),
    "count_expired": lambda store, _: store.count_expired(),
}


@pytest.mark.parametrize("name", CALLS)
@each_way
async def test_calls_in_flight_end_and_leave_no_connection_open(
    store: SQLSessionStore, url: URL, name: str, coalesce: bool
) -> None:
    """Whatever the operation, and whether its task has begun to run or not."""
    ids = [SessionId.generate() for _ in range(12)]
    for session_id in ids:
        await store.create(session_id, record())
        await store.create(SessionId.generate(), record(ttl=AT_ONCE))
    await store.aclose()  # or tasks of its own would return idle connections to the pool
    await require_connections(url, 0)
    tasks = other_tasks()
    closing = SQLSessionStore(url, coalesce=coalesce)

    calls = [asyncio.ensure_future(CALLS[name](closing, each)) for each in ids]
    await closing.aclose()

    assert await asyncio.gather(*calls, return_exceptions=True)
    assert not [call.exception() for call in calls if call.exception() is not None]
    await require_connections(url, 0)
    assert other_tasks() == tasks


@each_way
async def test_a_purge_in_flight_is_waited_for_as_a_whole(
    store: SQLSessionStore, url: URL, coalesce: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its later steps would open connections again, which nothing would close."""
    for _ in range(9):
        await store.create(SessionId.generate(), record(ttl=AT_ONCE))
    before = await open_connections(url)
    closing = SQLSessionStore(url, coalesce=coalesce)
    monkeypatch.setattr(closing._purger._purger, "largest_step", 2, raising=False)

    purge = asyncio.ensure_future(closing.delete_expired())
    await closing.aclose()

    assert purge.done()
    assert await purge == 9
    await require_connections(url, before)


@each_way
async def test_calls_made_while_a_store_closes_are_served_afterwards(
    store: SQLSessionStore, url: URL, coalesce: bool
) -> None:
    """On new connections, which the next ``aclose`` closes."""
    session_id = SessionId.generate()
    before = await open_connections(url)
    closing = SQLSessionStore(url, coalesce=coalesce)
    await closing.create(session_id, record(n=1))

    async def call_again_and_again() -> list[Any]:
        return [await closing.load(session_id) for _ in range(20)]

    callers = [asyncio.ensure_future(call_again_and_again()) for _ in range(5)]
    await closing.aclose()
    for loads in await asyncio.gather(*callers):
        assert [each and each.state for each in loads] == [{"n": 1}] * 20
    await closing.aclose()

    await require_connections(url, before)


@each_way
async def test_no_call_uses_an_engine_that_is_being_disposed(
    store: SQLSessionStore, url: URL, coalesce: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection of the old pool would never be closed."""
    disposing, go_on = asyncio.Event(), asyncio.Event()
    dispose = AsyncEngine.dispose

    async def dispose_slowly(engine: AsyncEngine) -> None:
        disposing.set()
        await go_on.wait()
        await dispose(engine)

    closing = SQLSessionStore(url, coalesce=coalesce)
    await closing.load(SessionId("a"))
    monkeypatch.setattr(AsyncEngine, "dispose", dispose_slowly)
    executed = executed_on(closing.engine)
    closed = asyncio.ensure_future(closing.aclose())
    await disposing.wait()
    call = asyncio.ensure_future(closing.load(SessionId("a")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert executed == []
    go_on.set()
    await closed
    assert await call is None
    assert len(executed) == 1
    await closing.aclose()


@each_way
async def test_two_that_close_at_the_same_time_both_wait(
    store: SQLSessionStore, url: URL, coalesce: bool
) -> None:
    """Neither returns while a call is in flight."""
    before = await open_connections(url)
    closing = SQLSessionStore(url, coalesce=coalesce)
    calls = [asyncio.ensure_future(closing.load(SessionId.generate())) for _ in range(10)]

    async def close() -> bool:
        await closing.aclose()
        return all(call.done() for call in calls)

    assert await asyncio.gather(close(), close(), *calls) == [True, True, *[None] * 10]
    await require_connections(url, before)


@each_way
@pytest.mark.parametrize("seed", range(3))
async def test_cancelled_calls_leave_neither_connections_nor_tasks(
    store: SQLSessionStore, url: URL, coalesce: bool, seed: int
) -> None:
    """Some are cancelled while they connect, some as they run, and some again as they close."""
    await store.aclose()  # or tasks of its own would return idle connections to the pool
    await require_connections(url, 0)
    tasks = other_tasks()
    closing = SQLSessionStore(url, coalesce=coalesce)
    choose = random.Random(seed)

    async def call_again_and_again() -> None:
        while True:
            await closing.create(SessionId.generate(), record())
            await closing.load(SessionId.generate())

    callers = {asyncio.ensure_future(call_again_and_again()) for _ in range(10)}
    alive = callers
    while alive:
        for _ in range(choose.randrange(5)):
            await asyncio.sleep(0)
        choose.choice(sorted(alive, key=id)).cancel()
        alive = {caller for caller in alive if not caller.done()}
    ended = await asyncio.gather(*callers, return_exceptions=True)
    await closing.aclose()

    assert {type(each) for each in ended} == {asyncio.CancelledError}
    await require_connections(url, 0)
    assert other_tasks() == tasks


@each_way
async def test_a_store_on_the_applications_engine_waits_and_leaves_it_open(
    store: SQLSessionStore, host_engine: Any, coalesce: bool
) -> None:
    """The application can dispose its engine right after."""
    shared = SQLSessionStore(host_engine, coalesce=coalesce)
    calls = [
        asyncio.ensure_future(shared.create(SessionId.generate(), record())) for _ in range(10)
    ]

    await shared.aclose()

    assert all(call.done() for call in calls)
    assert host_engine.pool.checkedout() == 0
    assert host_engine.pool.checkedin() > 0
    await asyncio.gather(*calls)


@each_way
async def test_a_failing_call_does_not_prevent_closing(url: URL, coalesce: bool) -> None:
    """It is no longer in flight when it has failed."""
    closing = SQLSessionStore(url, table="no such table", coalesce=coalesce)
    calls = [asyncio.ensure_future(closing.load(SessionId.generate())) for _ in range(5)]

    async with asyncio.timeout(20):
        await closing.aclose()

    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, DatabaseError) for answer in answers)
