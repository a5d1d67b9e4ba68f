"""Fixtures of the purges."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.concurrency.stores import StoreMaker


@pytest.fixture
async def make_store(
    url: URL,
    store: SQLSessionStore,  # it empties the table
) -> AsyncIterator[StoreMaker]:
    """Makes further stores on the emptied table."""
    maker = StoreMaker(url, {})
    yield maker
    await maker.close()
