"""Fixtures of the faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.concurrency.stores import StoreMaker
from tests.faults.servers import Server


@pytest.fixture
def store_options() -> dict[str, Any]:
    """The options of every store in these tests."""
    return {}


@pytest.fixture
async def make_store(
    url: URL,
    store: SQLSessionStore,  # it empties the table
    store_options: dict[str, Any],
) -> AsyncIterator[StoreMaker]:
    """Makes further stores on the emptied table."""
    maker = StoreMaker(url, store_options)
    yield maker
    await maker.close()


@pytest.fixture
async def server(url: URL) -> AsyncIterator[Server]:
    """An administrator's connection to the server."""
    server = Server(url)
    yield server
    await server.close()
