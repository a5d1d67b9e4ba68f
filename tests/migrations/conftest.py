"""Fixtures of the tests of migrations."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.databases import fresh_database


@pytest.fixture
def table() -> str:
    """The name of a table that does not exist yet."""
    return f"t_{secrets.token_hex(4)}"


@pytest.fixture
def empty_url(url: URL, tmp_path: Path) -> Iterator[URL]:
    """A database of this test's own, with nothing in it."""
    if url.get_backend_name() == "sqlite":
        yield url.set(database=str(tmp_path / "empty.db"))
    else:
        with fresh_database(url) as empty:
            yield empty


@pytest.fixture
async def engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine as a host makes one: neither autocommitting nor tuned."""
    engine = create_async_engine(url, poolclass=NullPool)
    yield engine
    await engine.dispose()
