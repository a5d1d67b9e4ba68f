"""The conformance tests on every database.

The default store runs through every driver. Stores made in other ways run once per database. The
tests that only judge the codec run once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionStorageBackend, SQLSessionStore
from sessionstore_sql.testing import ConcurrencyContract, OperationsContract
from sessionstore_sql.testing.state import FidelityContract, RejectionContract


class TestDefaultStore(OperationsContract, FidelityContract, ConcurrencyContract):
    """A store that was given a URL and no options."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore) -> SessionStorageBackend:
        """The store on the emptied table."""
        return store


@pytest.mark.default_drivers
@pytest.mark.other_stores
class TestStoreWithoutBatches(OperationsContract, FidelityContract, ConcurrencyContract):
    """A store that sends a statement for each call."""

    @pytest.fixture
    async def backend(
        self, store: SQLSessionStore, url: URL
    ) -> AsyncIterator[SessionStorageBackend]:
        """A store with ``coalesce=False`` on the table that ``store`` has emptied."""
        async with SQLSessionStore(url, coalesce=False) as without_batches:
            yield without_batches


@pytest.mark.default_drivers
@pytest.mark.other_stores
class TestStoreOnSharedEngine(OperationsContract, FidelityContract, ConcurrencyContract):
    """A store that was given the application's engine."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore, host_engine: AsyncEngine) -> SessionStorageBackend:
        """A store on the host's engine and on the table that ``store`` has emptied."""
        return SQLSessionStore(host_engine)


@pytest.mark.default_drivers
class TestBoundStore(OperationsContract, FidelityContract):
    """A store that is bound to a transaction, which contains the whole test."""

    @pytest.fixture
    async def backend(
        self, store: SQLSessionStore, host_engine: AsyncEngine
    ) -> AsyncIterator[SessionStorageBackend]:
        """The store as part of a transaction that is rolled back."""
        async with host_engine.connect() as connection:
            yield store.bind(connection)


@pytest.mark.sqlite_only
class TestCodecOfStore(RejectionContract):
    """What the store rejects before it sends a statement."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore) -> SessionStorageBackend:
        """The store on the emptied table."""
        return store
