"""The contract, on every database through every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionStorageBackend, SQLSessionStore
from sessionstore_sql.testing import (
    OperationsContract,
    SessionStorageBackendContract,
    StateContract,
)


class TestSQLSessionStore(SessionStorageBackendContract):
    """A store with an engine of its own, as it is made by default."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore) -> SessionStorageBackend:
        """The store itself."""
        return store


class TestSQLSessionStoreAlone(SessionStorageBackendContract):
    """A store that makes every call in a statement of its own."""

    @pytest.fixture
    async def backend(
        self, store: SQLSessionStore, url: URL
    ) -> AsyncIterator[SessionStorageBackend]:
        """Without coalescing, on the table that ``store`` has emptied."""
        async with SQLSessionStore(url, coalesce=False) as alone:
            yield alone


class TestBoundStore(OperationsContract, StateContract):
    """A store bound to a transaction, in which all of a test happens."""

    @pytest.fixture
    async def backend(
        self, store: SQLSessionStore, host_engine: AsyncEngine
    ) -> AsyncIterator[SessionStorageBackend]:
        """The store as part of a transaction that is rolled back."""
        async with host_engine.connect() as connection:
            yield store.bind(connection)


class TestSharedEngine(SessionStorageBackendContract):
    """A store on the engine of a host, which knows nothing of sessions."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore, host_engine: AsyncEngine) -> SessionStorageBackend:
        """The host's engine, on the table that ``store`` has emptied."""
        return SQLSessionStore(host_engine)
