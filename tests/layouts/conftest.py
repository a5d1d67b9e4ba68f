"""Fixtures of the tests of layouts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SQLSessionStore, migrate
from tests.databases import fresh_database
from tests.layouts.layouts import Layout
from tests.stores import connections_in_use


@pytest.fixture
def empty_url(url: URL) -> Iterator[URL]:
    """A database of this test's own, with nothing in it."""
    with fresh_database(url) as empty:
        yield empty


@pytest.fixture
async def laid_out(empty_url: URL, layout: Layout) -> AsyncIterator[SQLSessionStore]:
    """A store on a new table of the layout, of which all calls that wait share a statement."""
    await execute(empty_url, *layout.statements)
    await migrate.upgrade(empty_url, table="t")
    async with SQLSessionStore(empty_url, table="t") as store:
        yield store
        assert connections_in_use(store) == 0


async def execute(url: URL, *statements: str) -> None:
    """Run statements, each on its own."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement.replace(":", r"\:")))
    await engine.dispose()
