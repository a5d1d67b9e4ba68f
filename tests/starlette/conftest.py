"""What the tests of the middleware share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.databases import TARGETS, Databases
from tests.stores import connections_in_use, empty


@pytest.fixture(scope="session")
def sqlite_url(databases: Databases) -> URL:
    """This run's database on SQLite."""
    (target,) = [target for target in TARGETS if target.database == "sqlite"]
    return databases.url(target)


@pytest.fixture
async def sqlite_store(sqlite_url: URL) -> AsyncIterator[SQLSessionStore]:
    """An empty store for what no database makes a difference to."""
    async with SQLSessionStore(sqlite_url) as store:
        await empty(store)
        yield store
        assert connections_in_use(store) == 0
