"""Several nodes on one database: what operators complain of in other session stores."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    DuplicateIdError,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
    continuously_delete_expired,
    migrate,
)
from sessionstore_sql.sql.dialects import Failure
from tests.concurrency.rows import SERVER_TARGETS, TABLE, row_count
from tests.concurrency.stores import AT_ONCE, StoreMaker, record
from tests.databases import Target
from tests.faults.proxy import Proxy
from tests.faults.servers import Server
from tests.purging.conftest import Expire
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

NO_PAUSE = timedelta(0)
OFTEN = timedelta(milliseconds=20)
NODES = 6


def on(*targets: Target) -> pytest.MarkDecorator:
    """Return the mark of a test for these targets only."""
    return pytest.mark.parametrize("target", targets, indirect=True, ids=str)


on_servers = on(*SERVER_TARGETS)
on_postgresql = on(*(each for each in SERVER_TARGETS if each.database == "postgresql"))
on_mysql = on(*(each for each in SERVER_TARGETS if each.database != "postgresql"))


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What purges log."""
    caplog.set_level(logging.INFO, logger="sessionstore_sql")
    return caplog


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as an error, or worse."""
    return [each.getMessage() for each in log.records if each.levelno >= logging.ERROR]


@asynccontextmanager
async def purging_continuously(
    *stores: SQLSessionStore, **options: Any
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Let every one of these nodes purge; in the end, none has a connection."""
    options = {"period": OFTEN, "pause": NO_PAUSE, **options}
    tasks = [asyncio.create_task(continuously_delete_expired(each, **options)) for each in stores]
    try:
        yield tasks
    finally:
        assert [task.exception() for task in tasks if task.done()] == []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert [connections_in_use(store) for store in stores] == [0] * len(stores)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something, within reason."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.005)


async def until_purged(store: SQLSessionStore) -> None:
    """Wait until nothing expired is left."""
    async with asyncio.timeout(60):
        while await store.count_expired() > 0:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(0.005)


def failures_of(store: SQLSessionStore) -> list[Failure]:
    """Return a list that receives what the database says to ``store``, from now on."""
    seen: list[Failure] = []
    classify = store._pool.dialect.classify
    event.listen(
        store.engine.sync_engine,
        "handle_error",
        lambda context: seen.append(classify(context.original_exception)),
    )
    return seen


async def test_purges_and_users_do_not_deadlock(
    store: SQLSessionStore, make_store: StoreMaker, expire: Expire, log: pytest.LogCaptureFixture
) -> None:
    """Nodes purge while users come and go: no deadlock, no error, and no live session lost."""
    nodes = [await make_store() for _ in range(NODES)]
    failures = [failures_of(node) for node in nodes]
    users = [SessionId.generate() for _ in range(40)]
    for session_id in users:
        await store.create(session_id, record())
    await expire(600)
    counts: list[int] = []

    async def visit(session_id: SessionId) -> None:
        for _ in range(6):
            # To the brink and back: a purge may be quicker, and then the session is gone.
            with suppress(UnknownIdError, DuplicateIdError):
                await store.update_ttl(session_id, AT_ONCE)
                await store.create(session_id, record(back=True))
            with suppress(UnknownIdError):
                await store.update(session_id, record(seen=True))
            await store.create(SessionId.generate(), record(AT_ONCE))

    async with purging_continuously(*nodes, batch_size=7, on_batch=counts.append):
        await asyncio.gather(*(visit(session_id) for session_id in users))
        await until_purged(store)

    assert errors(log) == []
    assert [each for each in failures if Failure.ABORTED in each] == []
    assert [each for each in users if await store.load(each) is None] == []
    assert await row_count(store.engine) == len(users)
    assert sum(counts) >= 600


async def test_no_statement_of_a_purge_is_unbounded(
    store: SQLSessionStore, make_store: StoreMaker, expire: Expire
) -> None:
    """However large the backlog, a statement removes a batch, commits it and ends."""
    node = await make_store()
    await expire(500)
    left: list[int] = []
    removed: list[int] = []

    async def look(count: int) -> None:
        removed.append(count)
        left.append(await row_count(store.engine))

    async with purging_continuously(node, batch_size=60, on_batch=look):
        await until(lambda: left[-1:] == [0])

    assert removed[:9] == [60] * 8 + [20]
    assert left[:9] == [440, 380, 320, 260, 200, 140, 80, 20, 0]


@on_mysql
async def test_mysql_purges_for_one_node_at_a_time(
    store: SQLSessionStore, make_store: StoreMaker, expire: Expire
) -> None:
    """Of all nodes that have a batch to remove, one does."""
    nodes = [await make_store() for _ in range(NODES)]
    await expire(400)
    under_way: set[int] = set()
    at_once: list[int] = []

    def begin(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "DELETE" in statement:
            under_way.add(id(cursor))
            at_once.append(len(under_way))

    def end(_connection: Any, cursor: Any, *_: Any) -> None:
        under_way.discard(id(cursor))

    for node in nodes:
        event.listen(node.engine.sync_engine, "before_cursor_execute", begin)
        event.listen(node.engine.sync_engine, "after_cursor_execute", end)
    async with purging_continuously(*nodes, batch_size=5):
        await until_purged(store)

    assert len(at_once) >= 80
    assert max(at_once) == 1


@on_postgresql
async def test_postgresql_purges_for_one_node_at_a_time(
    store: SQLSessionStore,
    make_store: StoreMaker,
    expire: Expire,
    witness: None,
    log: pytest.LogCaptureFixture,
) -> None:
    """Of all nodes that have a batch to remove, one does: the rows would see it otherwise."""
    nodes = [await make_store() for _ in range(NODES)]
    await expire(400)

    async with purging_continuously(*nodes, batch_size=5):
        await until_purged(store)

    assert errors(log) == []


@pytest.fixture
async def witness(store: SQLSessionStore) -> AsyncIterator[None]:
    """Has each row that goes fail the statement if another transaction has removed one, too."""
    async with store.engine.connect() as connection:
        await connection.execute(
            text(
                "CREATE OR REPLACE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF NOT pg_try_advisory_xact_lock(42) THEN RAISE 'two purges at once'; END IF;"
                " PERFORM pg_sleep(0.001); RETURN OLD; END $$"
            )
        )
        await connection.execute(
            text(
                f"CREATE TRIGGER witness BEFORE DELETE ON {TABLE.name}"
                " FOR EACH ROW EXECUTE FUNCTION witness()"
            )
        )
        yield
        await connection.execute(text(f"DROP TRIGGER witness ON {TABLE.name}"))


async def test_a_purge_that_cannot_work_says_so(
    make_store: StoreMaker, log: pytest.LogCaptureFixture
) -> None:
    """Started before the migration, it logs what to do, and works as soon as it is done."""
    table = f"late_{secrets.token_hex(4)}"
    node = await make_store(table=table)
    counts: list[int] = []

    async with purging_continuously(node, on_batch=counts.append):
        await until(lambda: len(errors(log)) >= 2)
        assert all("alembic upgrade head" in each for each in errors(log))
        await migrate.upgrade(make_store.url, table=table)
        await until(lambda: counts != [])

    assert "the purge succeeded again" in log.text


@on_servers
async def test_a_purge_outlives_the_database(
    store: SQLSessionStore, make_store: StoreMaker, expire: Expire, log: pytest.LogCaptureFixture
) -> None:
    """While nothing gets through it logs and holds nothing; then it goes on by itself."""
    proxy = Proxy(make_store.url)
    async with proxy.running(make_store.url) as url:
        node = await make_store(url)
        counts: list[int] = []
        async with purging_continuously(node, on_batch=counts.append):
            await until(lambda: counts != [])
            proxy.lose_requests = 10**9
            await until(lambda: len(errors(log)) >= 2)
            proxy.lose_requests = 0
            await expire(3)
            await until(lambda: sum(counts) == 3)

    assert "the purge succeeded again" in log.text


async def test_a_purge_is_cancelled_at_any_moment(
    store: SQLSessionStore, make_store: StoreMaker, expire: Expire
) -> None:
    """However far it has come, no connection stays out, no lock, and no batch is done by half."""
    node = await make_store()
    await expire(400)

    for turns in range(0, 120, 3):
        # asyncpg 0.32 complains to the loop when a connect is cancelled.
        async with node.engine.connect():
            pass
        purge = asyncio.create_task(
            continuously_delete_expired(
                node, period=timedelta(microseconds=1), batch_size=5, pause=NO_PAUSE
            )
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        purge.cancel()
        await asyncio.wait([purge])
        assert purge.cancelled()
        assert connections_in_use(node) == 0

    assert await row_count(store.engine) % 5 == 0
    async with asyncio.timeout(60):  # MySQL looks for a client when its statement is over
        while await store.delete_expired_exclusively(1_000) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await row_count(store.engine) == 0


@on_servers
async def test_a_purge_is_cancelled_as_it_waits_for_the_database(  # noqa: PLR0913, PLR0917  # fixtures
    store: SQLSessionStore,
    make_store: StoreMaker,
    host_engine: AsyncEngine,
    server: Server,
    expire: Expire,
    target: Target,
) -> None:
    """It ends although the table is locked, gives its connection up, and the lock with it."""
    node = await make_store(engine_options={"pool_size": 1})
    await expire(4)
    lock, unlock = LOCKS[target.database]

    async with host_engine.connect() as connection:
        await connection.execute(text(lock))
        async with purging_continuously(node) as (purge,):
            await server.until_waiting(purge)
        await connection.execute(text(unlock))

    async with asyncio.timeout(60):
        while await store.delete_expired_exclusively(10) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await row_count(store.engine) == 0


_MYSQL_LOCK = (f"LOCK TABLES {TABLE.name} READ", "UNLOCK TABLES")
LOCKS = {
    "postgresql": (f"LOCK TABLE {TABLE.name} IN SHARE MODE", "ROLLBACK"),
    "mysql": _MYSQL_LOCK,
    "mariadb": _MYSQL_LOCK,
}
