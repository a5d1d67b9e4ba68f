"""Fixtures of the purges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
from sqlalchemy import URL

from sessionstore_sql import SessionId, SQLSessionStore
from tests.concurrency.rows import database_time, insert_rows
from tests.concurrency.stores import StoreMaker
from tests.faults.servers import Server

Expire: TypeAlias = Callable[[int], Awaitable[None]]


@pytest.fixture
async def make_store(
    url: URL,
    store: SQLSessionStore,  # it empties the table
) -> AsyncIterator[StoreMaker]:
    """Makes further stores on the emptied table."""
    maker = StoreMaker(url, {})
    yield maker
    await maker.close()


@pytest.fixture
async def server(url: URL) -> AsyncIterator[Server]:
    """The server as its administrator sees it."""
    server = Server(url)
    yield server
    await server.close()


@pytest.fixture
def expire(store: SQLSessionStore) -> Expire:
    """Adds so many expired sessions."""

    async def add(count: int) -> None:
        now = await database_time(store.engine)
        await insert_rows(store.engine, [(SessionId.generate(), now - n) for n in range(count)])

    return add
