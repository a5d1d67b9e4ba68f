"""The room on disk, as each database's books have it."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore, migrate
from sessionstore_sql.dialects.storage import Vacuum
from sessionstore_sql.schema import DEFAULT_TABLE, session_table
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
    """Run one statement, on its own."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)


async def vacuum_of(engine: AsyncEngine, table: str = DEFAULT_TABLE) -> Vacuum:
    """Return what PostgreSQL's counters say of the table."""
    vacuum = (await collect_statistics(engine, table=table)).storage.vacuum
    assert vacuum is not None
    return vacuum


@on("postgresql", "mysql", "mariadb")
async def test_table_and_index_are_told_apart(url: URL) -> None:
    """A server's books know both, and that states are the table's."""
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
async def test_mysql_knows_what_can_be_used_again(store: SQLSessionStore) -> None:
    """Free extents of the tablespace, which are a number from the first row on."""
    storage = (await collect_statistics(store.engine)).storage

    assert storage.reusable_bytes is not None
    assert storage.reusable_bytes >= 0
    assert storage.vacuum is None


@on("mysql")
async def test_mysql_has_its_settings_back(store: SQLSessionStore) -> None:
    """A connection of the pool looks at the books as often afterwards as it did before."""
    async with SQLSessionStore(store.engine.url, engine_options={"pool_size": 1}) as other:
        await execute(other.engine, "SET SESSION information_schema_stats_expiry = 123")
        await collect_statistics(other.engine)
        async with other.engine.connect() as connection:
            setting = "SELECT @@SESSION.information_schema_stats_expiry"
            assert (await connection.exec_driver_sql(setting)).scalar_one() == 123


@on("sqlite")
async def test_sqlite_knows_its_file(store: SQLSessionStore) -> None:
    """All of it, and the pages in it that are free: what was deleted is not given back."""
    await insert_sessions(store.engine, [HOUR] * 100, state_sizes=[10 * KIB] * 100)
    await execute(store.engine, f"DELETE FROM {TABLE.name}")

    storage = (await collect_statistics(store.engine)).storage

    assert storage.file_bytes is not None
    assert storage.reusable_bytes is not None
    assert storage.file_bytes > storage.reusable_bytes >= 900 * KIB
    assert storage.table_bytes is storage.index_bytes is storage.vacuum is None


@pytest.mark.parametrize("size", [100, 1_500, 6_000])
@on("postgresql")
async def test_a_new_table_on_postgresql_has_no_bloat(store: SQLSessionStore, size: int) -> None:
    """Rows with states beside and apart from them take what was made out that they would."""
    await execute(store.engine, f"TRUNCATE {TABLE.name}")
    await insert_sessions(store.engine, [HOUR] * 1_000, state_sizes=[size] * 1_000)

    storage = (await collect_statistics(store.engine)).storage

    assert storage.vacuum is not None
    assert storage.table_bytes is not None
    assert storage.vacuum.bloat_bytes < 0.1 * storage.table_bytes


@on("postgresql")
async def test_deleted_rows_are_bloat_on_postgresql(store: SQLSessionStore) -> None:
    """Vacuum frees their room for new rows; until those come, it is more than is needed."""
    await execute(store.engine, f"TRUNCATE {TABLE.name}")
    await insert_sessions(store.engine, [HOUR] * 2_000, state_sizes=[1_000] * 2_000)
    await execute(store.engine, f"DELETE FROM {TABLE.name} WHERE get_byte(id, 0) >= 64")
    await execute(store.engine, f"VACUUM {TABLE.name}")

    storage = (await collect_statistics(store.engine)).storage

    assert storage.vacuum is not None
    assert storage.table_bytes is not None
    assert storage.vacuum.bloat_bytes > 0.5 * storage.table_bytes


@on("postgresql")
async def test_postgresql_says_when_it_was_vacuumed(store: SQLSessionStore) -> None:
    """By hand or by the server, as its own counters have it."""
    await insert_sessions(store.engine, [HOUR])
    await execute(store.engine, f"VACUUM {TABLE.name}")

    vacuum = await vacuum_of(store.engine)

    assert vacuum.since_last is not None
    assert timedelta(0) <= vacuum.since_last < HOUR


@on("postgresql")
async def test_postgresql_says_what_updates_cost(url: URL) -> None:
    """The share of updates that left the indexes alone, once there has been one."""
    table = f"t_{secrets.token_hex(4)}"
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, engine_options={"pool_size": 1}) as store:
        before = await vacuum_of(store.engine, table)
        await insert_sessions(store.engine, [HOUR] * 4, table=session_table(table))
        await execute(store.engine, f"UPDATE {table} SET state = 'x'")
        await execute(store.engine, f"UPDATE {table} SET deadline = deadline + (1::bigint << 28)")
        # The server's counters follow within a second, or at once where that is asked for.
        await execute(store.engine, "SELECT pg_stat_force_next_flush()")
        after = await vacuum_of(store.engine, table)
    await migrate.downgrade(url, "base", table=table)

    assert before == Vacuum(dead_rows=0, since_last=None, hot_updates=None, bloat_bytes=0)
    assert (after.dead_rows, after.hot_updates) == (8, 0.5)
