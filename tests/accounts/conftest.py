"""Fixtures of the tests on ``SQLSessionStore``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.concurrency.stores import StoreMaker
from tests.faults.servers import Server


@pytest.fixture
async def make_store(url: URL, store: SQLSessionStore) -> AsyncIterator[StoreMaker]:
    """Makes further stores on the table that ``store`` has emptied."""
    maker = StoreMaker(url, {})
    yield maker
    await maker.close()


@pytest.fixture
async def server(url: URL) -> AsyncIterator[Server]:
    """An administrator's connection to the server."""
    server = Server(url)
    yield server
    await server.close()
