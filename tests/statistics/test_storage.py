"""The size on disk, as each database reports it."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore, migrate
from sessionstore_sql.schema import DEFAULT_TABLE, session_table
from sessionstore_sql.sql.dialects.storage import Vacuum
from sessionstore_sql.statistics import collect_statistics
from tests.databases import TARGETS
from tests.statistics.rows import TABLE, insert_sessions

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
KIB = 1024


def on(*databases: str) -> pytest.MarkDecorator:
    """Run a test through every driver of these databases."""
    targets = [target for target in TARGETS if target.database in databases]
    return pytest.mark.parametrize("target", targets, indirect=True, ids=str)


async def execute(engine: AsyncEngine, statement: str) -> None:
    """Run one statement on a connection of its own."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)


async def vacuum_of(engine: AsyncEngine, table: str = DEFAULT_TABLE) -> Vacuum:
    """Return PostgreSQL's counters for the table."""
    vacuum = (await collect_statistics(engine, table=table)).storage.vacuum
    assert vacuum is not None
    return vacuum


@on("postgresql", "mysql", "mariadb")
async def test_table_and_index_are_reported_separately(url: URL) -> None:
    """Servers report both, and states count as part of the table."""
    table = f"t_{secrets.token_hex(4)}"
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url) as store:
        rows = session_table(table)
        await insert_sessions(store.engine, [HOUR] * 100, state_sizes=[3_000] * 100, table=rows)
        if store.engine.dialect.name != "postgresql":
            await execute(store.engine, f"ANALYZE TABLE {table}")
        storage = (await collect_statistics(store.engine, table=table)).storage
    await migrate.downgrade(url, "base", table=table)

    assert storage.table_bytes is not None
    assert storage.table_bytes >= 200 * KIB
    assert storage.index_bytes is not None
    assert 0 < storage.index_bytes < 100 * KIB
    assert storage.file_bytes is None


@on("mysql", "mariadb")
async def test_mysql_reports_reusable_space(store: SQLSessionStore) -> None:
    """It is the size of the free extents of the tablespace."""
    storage = (await collect_statistics(store.engine)).storage

    assert storage.reusable_bytes is not None
    assert storage.reusable_bytes >= 0
    assert storage.vacuum is None


@on("mysql")
async def test_mysql_settings_are_restored(store: SQLSessionStore) -> None:
    """The statistics change a session variable, and restore it before the connection is reused."""
    async with SQLSessionStore(store.engine.url, engine_options={"pool_size": 1}) as other:
        await execute(other.engine, "SET SESSION information_schema_stats_expiry = 123")
        await collect_statistics(other.engine)
        async with other.engine.connect() as connection:
            setting = "SELECT @@SESSION.information_schema_stats_expiry"
            assert (await connection.exec_driver_sql(setting)).scalar_one() == 123


@on("sqlite")
async def test_sqlite_reports_the_size_of_its_file(store: SQLSessionStore) -> None:
    """Pages of deleted rows are reusable, and remain part of the file."""
    await insert_sessions(store.engine, [HOUR] * 100, state_sizes=[10 * KIB] * 100)
    await execute(store.engine, f"DELETE FROM {TABLE.name}")

    storage = (await collect_statistics(store.engine)).storage

    assert storage.file_bytes is not None
    assert storage.reusable_bytes is not None
    assert storage.file_bytes > storage.reusable_bytes >= 900 * KIB
    assert storage.table_bytes is storage.index_bytes is storage.vacuum is None


@on("postgresql")
async def test_postgresql_reports_the_last_vacuum(store: SQLSessionStore) -> None:
    """The time comes from the server's counters."""
    await insert_sessions(store.engine, [HOUR])
    await execute(store.engine, f"VACUUM {TABLE.name}")

    vacuum = await vacuum_of(store.engine)

    assert vacuum.since_last is not None
    assert timedelta(0) <= vacuum.since_last < HOUR


@on("postgresql")
async def test_postgresql_reports_hot_updates(url: URL) -> None:
    """The share of updates that left the indexes unchanged is known after the first update."""
    table = f"t_{secrets.token_hex(4)}"
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, engine_options={"pool_size": 1}) as store:
        before = await vacuum_of(store.engine, table)
        await insert_sessions(store.engine, [HOUR] * 4, table=session_table(table))
        await execute(store.engine, f"UPDATE {table} SET state = 'x'")
        await execute(store.engine, f"UPDATE {table} SET deadline = deadline + (1::bigint << 28)")
        # Without this, the counters are updated within a second.
        await execute(store.engine, "SELECT pg_stat_force_next_flush()")
        after = await vacuum_of(store.engine, table)
    await migrate.downgrade(url, "base", table=table)

    assert before == Vacuum(dead_rows=0, since_last=None, hot_updates=None)
    assert (after.dead_rows, after.hot_updates) == (8, 0.5)
