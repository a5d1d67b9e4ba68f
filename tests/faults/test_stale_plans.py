"""Prepared statements that a migration of another process has made stale (hazards A4, A5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.batching import ImmediateDispatcher
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.operations import LOAD
from tests.concurrency.stores import StoreMaker, record
from tests.databases import TARGETS

TABLE = "migrated"
ON_POSTGRESQL = [target for target in TARGETS if target.database == "postgresql"]
ENOUGH = 12
"""Number of calls after which both drivers have prepared their statements."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("target", ON_POSTGRESQL, indirect=True, ids=str),
]


@pytest.fixture
async def administrator(url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine that migrates a table of its own."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    table = session_table(TABLE)
    async with engine.connect() as connection:
        await connection.execute(text("CREATE DOMAIN other_bytes AS bytea"))
        await connection.run_sync(table.create)
    yield engine
    async with engine.connect() as connection:
        await connection.run_sync(table.drop)
        await connection.execute(text("DROP DOMAIN other_bytes"))
    await engine.dispose()


async def migrate(administrator: AsyncEngine) -> None:
    """Change the type of the state while statements are prepared."""
    statement = f"ALTER TABLE {TABLE} ALTER COLUMN state TYPE other_bytes"
    async with administrator.connect() as connection:
        await connection.execute(text(statement))


@pytest.mark.parametrize("is_hosts", [False, True], ids=["own", "host"])
async def test_calls_outlive_a_migration(
    make_store: StoreMaker, administrator: AsyncEngine, host_engine: AsyncEngine, is_hosts: bool
) -> None:
    """One call fails and is retried; all connections of the pool then work."""
    store = await make_store(host_engine if is_hosts else None, table=TABLE)
    session_id = SessionId.generate()
    await store.create(session_id, record(n=1))
    for _ in range(ENOUGH):
        await on_every_connection(store, session_id)

    await migrate(administrator)

    for _ in range(ENOUGH):
        await on_every_connection(store, session_id)


async def on_every_connection(store: SQLSessionStore, session_id: SessionId) -> None:
    """Load once on each connection of the pool, without coalescing."""
    dispatcher, row = ImmediateDispatcher(store._pool, store._table), Row(key_of(session_id))
    for loaded in await asyncio.gather(*(dispatcher.dispatch(LOAD, row) for _ in range(5))):
        assert loaded is not None
    assert await store.load(session_id) is not None
