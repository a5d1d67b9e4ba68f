"""Fixtures of the races."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.concurrency.processes import Processes
from tests.concurrency.stores import StoreMaker


@pytest.fixture
def store_options(coalesce: bool) -> dict[str, Any]:
    """The options of every store in these tests."""
    return {"coalesce": coalesce}


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


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Four processes, started once, that run the calls of a race."""
    running = Processes(4)
    yield running
    running.close()
