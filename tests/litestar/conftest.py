"""A store on an empty table, beside the sessions that it must not touch."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.litestar import SQLStore
from tests.stores import connections_in_use


@pytest.fixture
async def cache(url: URL, store: SQLSessionStore) -> AsyncIterator[SQLStore]:
    """A store of its own engine, whose pool must have nothing checked out in the end.

    ``store`` is the session store on the same table, which it has emptied.
    """
    cache = SQLStore(url, namespace="cache")
    yield cache
    assert connections_in_use(cache._rows) == 0
    await cache.aclose()
