"""Stores that OpenTelemetry watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.databases import TARGETS, Databases
from tests.stores import empty, require_returned
from tests.telemetry.exported import Exported


@pytest.fixture
def exported() -> Exported:
    """What is exported in this test."""
    return Exported()


@pytest.fixture
async def opened(exported: Exported) -> AsyncIterator[Callable[..., Any]]:
    """Opens watched stores on empty tables; nothing may be checked out in the end."""
    async with AsyncExitStack() as stack:

        async def open_store(url: URL, **options: Any) -> SQLSessionStore:
            options.setdefault("telemetry", exported.telemetry())
            store = await stack.enter_async_context(SQLSessionStore(url, **options))
            await empty(store)
            stack.push_async_callback(require_returned, store.engine)
            return store

        yield open_store


@pytest.fixture
async def watched(url: URL, opened: Callable[..., Any]) -> SQLSessionStore:
    """A watched store on every database."""
    return await opened(url)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def sqlite_url(databases: Databases) -> URL:
    """This run's database on SQLite."""
    (target,) = [target for target in TARGETS if target.database == "sqlite"]
    return databases.url(target)


@pytest.fixture
async def on_sqlite(sqlite_url: URL, opened: Callable[..., Any]) -> SQLSessionStore:
    """A watched store, for what no database makes a difference to."""
    return await opened(sqlite_url)  # type: ignore[no-any-return]
