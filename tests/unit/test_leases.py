"""Connections that are kept while calls follow each other, and when they are returned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, Pool

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from sessionstore_sql.sql import leases
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.direct import on_connection
from sessionstore_sql.testing.support import record
from tests.hidden import hide
from tests.stores import require_returned

pytestmark = pytest.mark.anyio

SESSION_ID = SessionId("a")


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A database with a table."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    await migrate.upgrade(url)
    return url


@pytest.fixture
async def store(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SQLSessionStore]:
    """A store whose leases are not checked, so that they last."""
    monkeypatch.setattr(leases, "INTERVAL_S", 3600)
    async with SQLSessionStore(url) as store:
        yield store


def checked_out(store: SQLSessionStore) -> int:
    """Return how many connections of the pool are checked out."""
    return store.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]


def check(store: SQLSessionStore) -> None:
    """Check the leases, as a timer does."""
    store._pool.loops.current().leases._check()


def count_checkouts(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with each connection that the pool hands out."""
    handed_out: list[object] = []
    real = Pool.connect

    def connect(self: Pool) -> Any:
        handed_out.append(self)
        return real(self)

    monkeypatch.setattr(Pool, "connect", connect)
    return handed_out


async def test_calls_that_follow_each_other_share_a_connection(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is asked once, reads and writes alike."""
    handed_out = count_checkouts(store, monkeypatch)

    await store.create(SESSION_ID, record())
    for _ in range(10):
        assert await store.load(SESSION_ID) is not None
        await store.update(SESSION_ID, record())

    assert len(handed_out) == 1
    assert checked_out(store) == 1


async def test_a_lease_that_was_not_used_is_returned(store: SQLSessionStore) -> None:
    """At the second check after its last use."""
    await store.load(SESSION_ID)
    check(store)
    assert checked_out(store) == 1

    check(store)
    await require_returned(store.engine)


async def test_a_timer_checks_the_leases(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without further calls."""
    monkeypatch.setattr(leases, "INTERVAL_S", 0.001)

    await store.load(SESSION_ID)
    await require_returned(store.engine)

    # The check that ends the last lease may still be running.
    async with asyncio.timeout(5):
        while store._pool.loops.current().leases._timer is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_a_lease_that_lasts_is_returned_although_it_is_in_use(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the pool can replace an old connection."""
    monkeypatch.setattr(leases, "MAX_INTERVALS", 5)
    handed_out = count_checkouts(store, monkeypatch)
    for _ in range(10):
        await store.load(SESSION_ID)
        check(store)

    assert len(handed_out) == 2


async def test_the_last_connection_of_a_pool_is_not_leased(url: str) -> None:
    """The application may need it."""
    async with SQLSessionStore(url, engine_options={"pool_size": 1}) as store:
        await store.load(SESSION_ID)

        assert checked_out(store) == 0


async def test_few_connections_are_leased(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls there are at once."""
    monkeypatch.setattr(leases, "INTERVAL_S", 3600)
    options = {"pool_size": leases.MAX_LEASES * 3}
    async with SQLSessionStore(url, engine_options=options, coalesce=False) as store:
        await asyncio.gather(*(store.load(SESSION_ID) for _ in range(50)))

        assert checked_out(store) <= leases.MAX_LEASES


async def test_others_get_a_connection_while_calls_go_on(url: str) -> None:
    """If none is left in the pool, leases are returned, whether they are free or in use."""
    async with SQLSessionStore(url, engine_options={"pool_size": 2}) as store:
        is_over = False

        async def call_again_and_again() -> None:
            while not is_over:
                await store.load(SESSION_ID)

        calling = [asyncio.ensure_future(call_again_and_again()) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(5):
            async with asyncio.timeout(5), store.engine.connect(), store.engine.connect():
                pass
        is_over = True
        await asyncio.gather(*calling)


async def test_a_call_that_waits_for_a_connection_gets_that_of_a_lease(
    store: SQLSessionStore,
) -> None:
    """The lease is not kept for the next call, which would let the first one starve."""
    await store.load(SESSION_ID)
    here = store._pool.loops.current()

    here.leases.waiting += 1
    await store.load(SESSION_ID)
    here.leases.waiting -= 1

    assert checked_out(store) == 0


async def test_aclose_returns_leases_and_leaves_no_task(url: str) -> None:
    """Every connection is closed then."""
    store = SQLSessionStore(url)
    tasks = asyncio.all_tasks()
    await store.load(SESSION_ID)
    check(store)
    check(store)
    await store.load(SESSION_ID)
    pool = store.engine.pool

    await store.aclose()

    assert pool.checkedout() == 0  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == tasks


async def test_aclose_returns_leases_of_an_engine_of_the_application(
    store: SQLSessionStore,
) -> None:
    """The engine itself is not disposed."""
    hosted = SQLSessionStore(store.engine)
    await hosted.load(SESSION_ID)
    assert checked_out(hosted) == 1

    await hosted.aclose()

    assert checked_out(hosted) == 0


@pytest.mark.parametrize("checks", [0, 2])
def test_leases_are_returned_when_the_loop_ends(tmp_path: Path, checks: int) -> None:
    """Even if the store is not closed, and if the task that returns one has not begun."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    asyncio.run(migrate.upgrade(url))
    store = SQLSessionStore(url)

    async def load() -> None:
        await store.load(SESSION_ID)
        assert checked_out(store) == 1
        for _ in range(checks):
            check(store)

    asyncio.run(load())

    assert checked_out(store) == 0
    asyncio.run(store.engine.dispose())


async def test_a_lease_of_a_pool_that_was_disposed_is_closed(store: SQLSessionStore) -> None:
    """Otherwise it would stay open in a pool that is not used any more."""
    await store.load(SESSION_ID)
    (lease,) = store._pool.loops.current().leases.free
    driver: Any = lease.connection.connection.driver_connection

    await store.engine.dispose()
    await store.load(SESSION_ID)

    with pytest.raises(ValueError, match=r"closed|no active"):
        await driver.execute("SELECT 1")
    assert checked_out(store) == 1


LISTENERS: dict[str, Callable[[AsyncEngine, Callable[..., None]], None]] = {
    "checkout": lambda engine, heard: event.listen(engine.sync_engine, "checkout", heard),
    "checkin": lambda engine, heard: event.listen(engine.sync_engine, "checkin", heard),
    "reset": lambda engine, heard: event.listen(engine.sync_engine, "reset", heard),
    "engine_connect": lambda engine, heard: event.listen(
        engine.sync_engine, "engine_connect", heard
    ),
    "before_cursor_execute": lambda engine, heard: event.listen(
        engine.sync_engine, "before_cursor_execute", heard
    ),
}


@pytest.mark.parametrize("name", LISTENERS)
async def test_nothing_is_leased_if_a_listener_would_notice(
    store: SQLSessionStore, name: str
) -> None:
    """It is called for each call of the store, also if it is registered while one is leased."""
    heard: list[str] = []
    await store.load(SESSION_ID)
    assert checked_out(store) == 1
    LISTENERS[name](store.engine, lambda *_: heard.append(name))

    await store.load(SESSION_ID)
    heard.clear()
    for _ in range(3):
        await store.load(SESSION_ID)

    assert len(heard) == 3
    assert checked_out(store) == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (AsyncAdapt_aiosqlite_connection, "_handle_exception"),
        (Pool, "dispatch"),
        (Engine, "dispatch"),
    ],
)
async def test_nothing_is_leased_if_sqlalchemy_lacks_an_undocumented_name(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """A release that renames one costs speed, and changes nothing else."""
    hide(monkeypatch, owner, name)

    await store.create(SESSION_ID, record())
    assert await store.load(SESSION_ID) is not None

    assert checked_out(store) == 0


async def test_nothing_is_leased_without_a_pool(url: str) -> None:
    """Such an engine is used in several event loops, and each call has its own connection."""
    async with SQLSessionStore(url, engine_options={"poolclass": NullPool}) as store:
        await store.load(SESSION_ID)

        assert store._pool.loops.current().leases.free == []


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_connections_of_other_drivers_are_not_leased(database: str) -> None:
    """Their interface is not known."""
    assert dialect_named(database).channel_of(object()) is None


async def test_a_connection_that_is_in_a_transaction_is_not_leased(store: SQLSessionStore) -> None:
    """SQLAlchemy has begun it, and ends it when the connection is returned."""
    here = store._pool.loops.current()
    dialect = store._pool.dialect

    await on_connection(
        store.engine,
        lambda connection: connection.exec_driver_sql("SELECT 1").all(),
        lambda connection: here.leases.keep(connection, dialect),
    )

    assert here.leases.free == []
