"""Purges that end if another one is running."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pymysql
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from sessionstore_sql import (
    DatabaseError,
    DeleteExpiredError,
    SessionId,
    SQLSessionStore,
    migrate,
)
from sessionstore_sql.sql.dialects.base import Removed
from sessionstore_sql.sql.dialects.mysql import locks
from sessionstore_sql.sql.dialects.mysql.purge import PurgerByKey
from tests.concurrency.rows import (
    SERVER_TARGETS,
    TABLE,
    back_date,
    row_count,
)
from tests.concurrency.stores import StoreMaker, record
from tests.databases import Target
from tests.faults.servers import Server
from tests.purging.conftest import Expire
from tests.purging.in_flight import purge_in_flight
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio


def on(*targets: Target) -> pytest.MarkDecorator:
    """Return the mark of a test for these targets only."""
    return pytest.mark.parametrize("target", targets, indirect=True, ids=str)


on_servers = on(*SERVER_TARGETS)
on_postgresql = on(*(each for each in SERVER_TARGETS if each.database == "postgresql"))
on_mysql = on(*(each for each in SERVER_TARGETS if each.database != "postgresql"))


def with_lock(store: SQLSessionStore, **statements: Executable) -> None:
    """Give ``store`` other statements to take and to release the lock with."""
    purger: Any = store._purger._purger
    purger.lock = purger.lock._replace(**statements)


async def test_alone_it_removes_the_expired(store: SQLSessionStore, expire: Expire) -> None:
    """Without another purge, it does the same as ``delete_expired``."""
    live = SessionId.generate()
    await store.create(live, record())
    await expire(5)

    assert await store.delete_expired_exclusively(3) == 3
    assert await store.delete_expired_exclusively(3) == 2
    assert await store.delete_expired_exclusively(3) == 0
    assert await store.load(live) is not None


async def test_a_large_batch_is_complete(store: SQLSessionStore, expire: Expire) -> None:
    """A batch beyond what one purge of the database can do is several of them."""
    await expire(2_300)

    assert await store.delete_expired_exclusively(2_200) == 2_200
    assert await row_count(store.engine) == 100


async def test_a_large_batch_ends_where_another_begins(
    monkeypatch: pytest.MonkeyPatch, store: SQLSessionStore
) -> None:
    """What the purges before have removed is counted, when one of them finds itself not alone."""
    steps = iter([Removed(1_000, is_last=False), None])
    purge: Any = store._purger._purger.begin()
    monkeypatch.setattr(type(purge), "step", lambda *_, **__: next(steps))

    assert await store.delete_expired_exclusively(5_000) == 1_000


@on_servers
async def test_it_leaves_the_work_to_another_one(
    store: SQLSessionStore, host_engine: AsyncEngine, expire: Expire
) -> None:
    """While a purge runs elsewhere, another one deletes nothing and does not wait."""
    await expire(6)

    async with purge_in_flight(store, host_engine):
        assert await store.delete_expired_exclusively(2) is None

    assert await row_count(store.engine) == 6
    assert await store.delete_expired_exclusively(10) == 6


@on_servers
async def test_who_purges_without_asking_is_not_held_up(
    store: SQLSessionStore, host_engine: AsyncEngine, expire: Expire
) -> None:
    """``delete_expired`` knows nothing of turns: an operator's purge always does its work."""
    await expire(6)

    async with purge_in_flight(store, host_engine):
        assert await store.delete_expired(2) == 2


@on_servers
async def test_it_passes_by_what_others_have_locked(
    store: SQLSessionStore, host_engine: AsyncEngine, expire: Expire
) -> None:
    """Rows that a transaction has locked are left, without waiting, and the others go."""
    await expire(6)

    async with host_engine.connect() as connection:
        assert await store.bind(connection).delete_expired(2) == 2
        assert await store.delete_expired_exclusively(10) == 4
        await connection.rollback()

    assert await store.delete_expired_exclusively(10) == 2


@on_servers
async def test_tables_do_not_stand_in_for_each_other(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine
) -> None:
    """A purge of one table doesn't keep that of another table of the database from working."""
    await migrate.upgrade(make_store.url, table="other")
    other = await make_store(table="other")

    async with purge_in_flight(store, host_engine):
        assert await other.delete_expired_exclusively(2) == 0


@on_servers
async def test_a_schema_by_its_name_is_the_same_schema(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine
) -> None:
    """Stores that name the schema, and stores that find it by themselves, take turns."""
    named = await make_store(schema=store.engine.dialect.default_schema_name)

    async with purge_in_flight(store, host_engine):
        assert await named.delete_expired_exclusively(2) is None


@on_postgresql
async def test_no_row_is_touched_out_of_turn(
    store: SQLSessionStore, host_engine: AsyncEngine, expire: Expire
) -> None:
    """Without the lock, a purge neither reads nor locks a row."""
    await expire(6)
    sent: list[Any] = []
    event.listen(
        store.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: sent.append(
            (statement, parameters)
        ),
    )
    await store.delete_expired_exclusively(2)
    statement, parameters = sent[0]

    async with purge_in_flight(store, host_engine), store.engine.connect() as connection:
        explain = f"EXPLAIN (ANALYZE, COSTS OFF) {statement}"
        plan = await connection.exec_driver_sql(explain, parameters)
        lines = [row[0] for row in plan]

    scans = [line for line in lines if "Scan" in line and "CTE Scan" not in line]
    assert scans != []
    assert all("never executed" in line for line in scans), lines


@on_mysql
async def test_the_lock_is_taken_once_for_all_parts_of_a_batch(
    store: SQLSessionStore, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts are as small as before, so that none keeps rows locked for long."""
    await expire(7)
    monkeypatch.setattr(PurgerByKey, "largest_part", 2)
    sent: list[str] = []
    event.listen(
        store.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: sent.append(statement),
    )

    assert await store.delete_expired_exclusively(6) == 6

    assert sum("get_lock" in each for each in sent) == 1
    assert sum("DELETE" in each for each in sent) == 3
    assert await row_count(store.engine) == 1


@on_mysql
async def test_parts_that_were_removed_are_counted_if_a_later_one_is_repeated(
    store: SQLSessionStore, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock in the second part does not undo the first one."""
    await expire(6)
    monkeypatch.setattr(PurgerByKey, "largest_part", 2)
    remove = PurgerByKey.remove
    calls: list[int] = []

    def deadlocked_once(self: PurgerByKey, connection: Connection, keys: Sequence[bytes]) -> int:
        calls.append(len(keys))
        if len(calls) == 2:
            error = pymysql.err.OperationalError(1213, "Deadlock found")
            raise OperationalError("DELETE", {}, error)
        return remove(self, connection, keys)

    monkeypatch.setattr(PurgerByKey, "remove", deadlocked_once)

    assert await store.delete_expired_exclusively(6) == 6

    assert calls == [2, 2, 2, 2]


@on_mysql
async def test_a_batch_is_committed_before_the_next_begins(
    store: SQLSessionStore, host_engine: AsyncEngine, expire: Expire
) -> None:
    """In an engine's own transactions, the lock goes after the rows have gone."""
    await expire(2)
    hosted = SQLSessionStore(host_engine)
    steps: list[str] = []
    event.listen(host_engine.sync_engine, "commit", lambda _connection: steps.append("commit"))
    event.listen(
        host_engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: steps.append(statement.split("(")[0]),
    )

    assert await hosted.delete_expired_exclusively(2) == 2

    assert steps.index("commit") < steps.index("SELECT release_lock")


@on_mysql
async def test_a_cluster_without_locks_is_purged_all_the_same(
    store: SQLSessionStore, expire: Expire
) -> None:
    """If the server rejects GET_LOCK, as Galera does (1235), the purge runs without it."""
    await expire(3)
    refused = f"SELECT id FROM {TABLE.name} WHERE id IN (SELECT id FROM {TABLE.name} LIMIT 1)"
    with_lock(store, take=text(refused))

    assert await store.delete_expired_exclusively(5) == 3


@on_mysql
async def test_a_lock_that_cannot_be_asked_for_is_an_error(store: SQLSessionStore) -> None:
    """Any other failure to take the lock is reported as the purge's."""
    with_lock(store, take=text("SELECT no_such_function()"))

    with pytest.raises(DatabaseError) as caught:
        await store.delete_expired_exclusively(5)

    assert isinstance(caught.value, DeleteExpiredError)


@on_mysql
async def test_a_lock_that_is_not_released_goes_with_its_connection(
    store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """A connection never returns to the pool with the lock, where it would idle with it."""
    other = await make_store()
    with_lock(store, release=text("SELECT no_such_function()"))

    with pytest.raises(DatabaseError):
        await store.delete_expired_exclusively(5)

    assert await other.delete_expired_exclusively(5) == 0


@on_mysql
async def test_a_purge_that_fails_releases_its_lock(
    store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """An error between the two statements doesn't keep the lock."""
    missing = await make_store(table="nowhere", engine_options={"pool_size": 1})
    rival = await make_store(table="nowhere")

    for purger in (missing, rival):
        with pytest.raises(DatabaseError, match="alembic upgrade head"):
            await purger.delete_expired_exclusively(5)


@on_mysql
async def test_a_purge_whose_connection_is_killed_leaves_no_lock(
    store: SQLSessionStore,
    make_store: StoreMaker,
    host_engine: AsyncEngine,
    server: Server,
    expire: Expire,
) -> None:
    """Killed as it deletes, it is made again on another connection, with a lock of its own."""
    await expire(4)
    other = await make_store()

    async with host_engine.connect() as connection:
        await connection.execute(text(f"LOCK TABLES {TABLE.name} READ"))
        purge = asyncio.ensure_future(store.delete_expired_exclusively(10))
        used = await server.until_waiting(purge)
        assert await other.delete_expired_exclusively(10) is None
        await server.kill(used)
        await connection.execute(text("UNLOCK TABLES"))

    assert await purge == 4
    assert await other.delete_expired_exclusively(10) == 0


@on_mysql
async def test_a_machine_that_vanishes_does_not_keep_the_lock(
    monkeypatch: pytest.MonkeyPatch, make_store: StoreMaker, host_engine: AsyncEngine
) -> None:
    """The server releases the lock of a connection that has been silent for a while."""
    monkeypatch.setattr(locks, "_SILENCE_S", 1)
    store = await make_store()
    purger: Any = store._purger._purger
    lock = purger.lock

    async with host_engine.connect() as vanished:
        await vanished.execute(lock.take)
        await vanished.execute(lock.guard)
        assert await store.delete_expired_exclusively(5) is None
        async with asyncio.timeout(30):
            while await store.delete_expired_exclusively(5) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await vanished.invalidate()


@on_mysql
async def test_a_purge_leaves_the_connection_as_it_was(
    host_engine: AsyncEngine, store: SQLSessionStore
) -> None:
    """The shorter ``wait_timeout`` is set for the batch only."""
    idle = text("SELECT @@SESSION.wait_timeout")
    during: list[int] = []

    async def look(connection: AsyncConnection) -> int:
        return int((await connection.execute(idle)).scalar_one())

    async with store.engine.connect() as connection:
        before = await look(connection)

    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "GROUP_CONCAT(id " in statement:
            cursor = connection.connection.cursor()
            cursor.execute(idle.text)
            during.append(cursor.fetchone()[0])
            cursor.close()

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    await store.delete_expired_exclusively(5)

    async with store.engine.connect() as connection:
        assert await look(connection) == before
    assert [int(each) for each in during] == [60]


@on_mysql
async def test_a_cancelled_purge_leaves_no_lock(
    store: SQLSessionStore,
    make_store: StoreMaker,
    host_engine: AsyncEngine,
    server: Server,
    expire: Expire,
) -> None:
    """Cancelled as it deletes, it gives its connection up, and the lock goes with that."""
    await expire(4)
    other = await make_store()

    async with host_engine.connect() as connection:
        await connection.execute(text(f"LOCK TABLES {TABLE.name} READ"))
        purge = asyncio.ensure_future(store.delete_expired_exclusively(10))
        await server.until_waiting(purge)
        purge.cancel()
        await asyncio.wait([purge])
        await connection.execute(text("UNLOCK TABLES"))
    # The server looks for its client when the statement is over.
    while await other.delete_expired_exclusively(10) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    assert purge.cancelled()
    assert connections_in_use(store) == 0
    assert await row_count(store.engine) == 0


@pytest.mark.parametrize(
    ("batch_size", "error"), [(0, ValueError), (True, TypeError), (None, TypeError)]
)
async def test_a_bad_batch_size_is_rejected(
    store: SQLSessionStore, expire: Expire, batch_size: Any, error: type[Exception]
) -> None:
    """There is no purge of everything at once; nothing is removed."""
    await expire(1)

    with pytest.raises(error, match="batch_size"):
        await store.delete_expired_exclusively(batch_size)

    assert await row_count(store.engine) == 1


async def test_a_session_that_was_extended_stays(store: SQLSessionStore) -> None:
    """What holds of every purge holds of this one: the deadline decides."""
    sessions = [SessionId.generate() for _ in range(3)]
    for session_id in sessions:
        await store.create(session_id, record())
    await back_date(store.engine, sessions[:2])

    assert await store.delete_expired_exclusively(10) == 2
    assert await store.load(sessions[2]) is not None
