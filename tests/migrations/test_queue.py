"""Upgrades that start together: in processes, loops and threads, with whatever timeouts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, migrate
from sessionstore_sql.sql.dialects import upgrading
from tests.migrations.databases import ROOT, execute, shown

pytestmark = pytest.mark.anyio

PROCESSES = 4
ROUNDS = 5

UPGRADER = """
import asyncio, sys
from sessionstore_sql import migrate

print("ready", flush=True)
for line in sys.stdin:
    asyncio.run(migrate.upgrade(sys.argv[1], table=line.strip()))
    print("done", flush=True)
"""

TINY = {
    "postgresql": [
        "SET lock_timeout = '20ms'",
        "SET statement_timeout = '40ms'",
        "SET idle_in_transaction_session_timeout = '5s'",
        # Servers before 17 do not have it.
        "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'transaction_timeout'",
    ],
    "mysql": ["SET lock_wait_timeout = 1", "SET max_execution_time = 40"],
    "mariadb": ["SET lock_wait_timeout = 1", "SET max_statement_time = 0.04"],
    "sqlite": ["PRAGMA busy_timeout = 40"],
}
SETTINGS = {
    "postgresql": "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings"
    " WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout',"
    " 'idle_in_transaction_session_timeout')",
    "mysql": "SELECT CONCAT(@@lock_wait_timeout, ' ', @@max_execution_time)",
    "mariadb": "SELECT CONCAT(@@lock_wait_timeout, ' ', @@max_statement_time)",
    "sqlite": "PRAGMA busy_timeout",
}


@asynccontextmanager
async def queue_held(url: URL, table: str) -> AsyncIterator[None]:
    """Be the one that migrates ``table``, as another process would be."""
    turn = ExitStack()

    def hold(connection: Connection) -> None:
        turn.enter_context(migrate.queue(connection, table, None))

    async with migrate.connect(url) as connection:
        await connection.run_sync(hold)
        try:
            yield
        finally:
            await connection.run_sync(lambda _: turn.close())


@asynccontextmanager
async def impatient_engine(url: URL, database: str) -> AsyncIterator[AsyncEngine]:
    """Give an engine of one connection, which waits for next to nothing."""
    engine = create_async_engine(url, pool_size=1, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def limit(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in TINY[database]:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    yield engine
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


def test_processes_that_upgrade_at_once_all_succeed(empty_url: URL) -> None:
    """Four processes bring up an empty database together, several times over."""
    with ExitStack() as stack:
        upgraders = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", UPGRADER, shown(empty_url)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(PROCESSES)
        ]
        assert [upgrader.stdout.readline() for upgrader in upgraders] == ["ready\n"] * PROCESSES  # type: ignore[union-attr]
        for number in range(ROUNDS):
            for upgrader in upgraders:
                upgrader.stdin.write(f"table_{number}\n")  # type: ignore[union-attr]
                upgrader.stdin.flush()  # type: ignore[union-attr]
            answers = [upgrader.stdout.readline() for upgrader in upgraders]  # type: ignore[union-attr]
            if answers != ["done\n"] * PROCESSES:
                pytest.fail("\n".join(upgrader.communicate()[1] for upgrader in upgraders))
            asyncio.run(migrate.check(empty_url, table=f"table_{number}"))
        for upgrader in upgraders:
            upgrader.communicate()


async def test_tasks_that_upgrade_at_once_all_succeed(url: URL, table: str) -> None:
    """Eight tasks of one loop bring up one table together."""
    with anyio.fail_after(60):
        await asyncio.gather(*(migrate.upgrade(url, table=table) for _ in range(8)))

    await migrate.check(url, table=table)


async def test_transactions_that_upgrade_at_once_all_succeed(url: URL, table: str) -> None:
    """Tasks with open transactions wait for each other's end, and none forever.

    Two tables each: who holds the lock of one must get at Alembic for the other.
    """
    engine = create_async_engine(url)

    async def upgrade_both() -> None:
        async with engine.begin() as connection:
            await migrate.upgrade(connection, table=table)
            await migrate.upgrade(connection, table=f"{table}_two")

    with anyio.fail_after(60):
        await asyncio.gather(*(upgrade_both() for _ in range(4)))

    await migrate.check(url, table=table)
    await migrate.check(url, table=f"{table}_two")
    await engine.dispose()


async def test_two_databases_upgrade_in_one_loop(
    url: URL, empty_url: URL, table: str, tmp_path: Path
) -> None:
    """Each of several databases gets its own table, although Alembic has one context only."""
    places = {
        url: table,
        empty_url: f"{table}_empty",
        URL.create("sqlite", database=str(tmp_path / "third.db")): f"{table}_third",
    }

    with anyio.fail_after(60):
        await asyncio.gather(
            *(migrate.upgrade(place, table=name) for place, name in places.items())
        )

    for place, name in places.items():
        await migrate.check(place, table=name)
        for other in set(places.values()) - {name}:
            assert await migrate.current(place, table=other) is None


def test_threads_with_loops_of_their_own_upgrade_at_once(url: URL, table: str) -> None:
    """The lock on Alembic holds across loops and threads."""
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            asyncio.run(migrate.upgrade(url, table=name))
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test has to see it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"{table}_{n % 2}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    for number in range(2):
        asyncio.run(migrate.check(url, table=f"{table}_{number}"))


@pytest.mark.every_driver
async def test_an_engine_with_tiny_timeouts_waits_its_turn(
    url: URL, table: str, database_name: str
) -> None:
    """Timeouts that are for sessions neither end the wait nor are lost over it."""
    async with impatient_engine(url, database_name) as engine:
        async with engine.connect() as connection:
            before = await connection.scalar(text(SETTINGS[database_name]))
        async with queue_held(url, table):
            upgrade = asyncio.create_task(migrate.upgrade(engine, table=table))
            done, _ = await asyncio.wait({upgrade}, timeout=1.5)
            assert done == set()
        await upgrade

        async with engine.connect() as connection:
            assert await connection.scalar(text(SETTINGS[database_name])) == before
    await migrate.check(url, table=table)


@pytest.mark.parametrize("in_transaction", [False, True], ids=["session", "transaction"])
async def test_no_timeout_applies_to_a_migration(
    url: URL, table: str, database_name: str, in_transaction: bool
) -> None:
    """Building an index takes as long as it takes. Only the wait for locks stays bounded."""
    if database_name == "sqlite":
        pytest.skip("it has no such timeouts")
    lifted = {
        "postgresql": "SELECT sum(setting::integer) FROM pg_settings"
        " WHERE name IN ('statement_timeout', 'transaction_timeout',"
        " 'idle_in_transaction_session_timeout')",
        "mysql": "SELECT @@max_execution_time",
        "mariadb": "SELECT @@max_statement_time",
    }[database_name]

    def look(connection: Connection) -> Any:
        with migrate.queue(connection, table, None):
            return connection.execute(text(lifted)).scalar_one()

    async with impatient_engine(url, database_name) as engine, engine.connect() as connection:
        if in_transaction:
            await connection.begin()
        assert await connection.run_sync(look) == 0


@pytest.mark.every_driver
async def test_the_loss_of_a_connection_is_reported(
    url: URL, table: str, database_name: str
) -> None:
    """And not what Alembic does afterwards, as its context managers end."""
    if database_name == "sqlite":
        pytest.skip("it has no connections to lose")
    end = {"postgresql": "SELECT pg_terminate_backend(pg_backend_pid())"}
    statement = text(end.get(database_name, "KILL CONNECTION_ID()"))

    def migrate_until_lost(connection: Connection) -> None:
        with migrate.queue(connection, table, None):
            try:
                connection.execute(statement)
            finally:
                connection.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as caught:
        async with migrate.connect(url) as connection:
            await connection.run_sync(migrate_until_lost)

    assert caught.value.connection_invalidated


@pytest.mark.every_driver
async def test_a_failed_upgrade_leaves_neither_lock_nor_settings(
    url: URL, table: str, database_name: str
) -> None:
    """A connection that is returned to the pool after an error holds no lock."""
    await execute(url, f"CREATE TABLE {table} (id INTEGER)")
    async with impatient_engine(url, database_name) as engine:
        async with engine.connect() as connection:
            before = await connection.scalar(text(SETTINGS[database_name]))
        with pytest.raises(CommandError):
            await migrate.upgrade(engine, table=table)
        await execute(url, f"DROP TABLE {table}")

        with anyio.fail_after(60):
            await migrate.upgrade(url, table=table)

        async with engine.connect() as connection:
            assert await connection.scalar(text(SETTINGS[database_name])) == before


@pytest.mark.every_driver
async def test_a_cancelled_upgrade_leaves_the_queue(url: URL, table: str) -> None:
    """An upgrade that is cancelled while it waits holds no lock, and its engine still works."""
    engine = create_async_engine(url, pool_size=1, max_overflow=0)
    async with queue_held(url, table):
        upgrade = asyncio.create_task(migrate.upgrade(engine, table=table))
        await asyncio.wait({upgrade}, timeout=0.5)
        upgrade.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upgrade

    with anyio.fail_after(60):
        await migrate.upgrade(url, table=table)
        await migrate.upgrade(engine, table=table)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


@pytest.fixture
def database_name(target: Any) -> str:
    """The database behind the URL, which may call MariaDB mysql."""
    return str(target.database)


@pytest.mark.every_driver
async def test_the_wait_for_another_upgrade_is_bounded_and_logged(
    url: URL, table: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is transient, and says who holds the lock, as the log does before."""
    monkeypatch.setattr(upgrading, "_SILENT_S", 0)
    async with queue_held(url, table):
        with pytest.raises(DatabaseError, match="another upgrade") as caught:
            await migrate.upgrade(url, table=table, wait=timedelta(seconds=1.5))

    assert caught.value.transient
    assert "it is held by" in str(caught.value)
    messages = [each.getMessage() for each in caplog.records if each.name.endswith(".migrate")]
    assert any("waiting for the lock of another upgrade" in each for each in messages)
    assert await migrate.current(url, table=table) is None
    await migrate.upgrade(url, table=table)


@pytest.mark.parametrize("wait", [5, None, "10s"])
async def test_the_wait_is_a_duration(url: URL, table: str, wait: Any) -> None:
    """A number could be one of any unit."""
    with pytest.raises(TypeError, match="wait must be a timedelta"):
        await migrate.upgrade(url, table=table, wait=wait)


async def test_the_wait_is_not_negative(url: URL, table: str) -> None:
    """It is found before anything is sent."""
    with pytest.raises(ValueError, match="wait must not be negative"):
        await migrate.upgrade(url, table=table, wait=timedelta(seconds=-1))
