"""The conformance tests on ``SQLSessionStore``: every driver, and every kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionHandle, SQLSessionStore
from sessionstore_sql.testing import AccountOptionsContract, AccountSessionBackendContract
from sessionstore_sql.testing.accounts import (
    AccountArgumentsContract,
    EndingContract,
    LifetimeContract,
    ListingContract,
    SignInContract,
    VersionContract,
)
from sessionstore_sql.testing.accounts.support import (
    FullBackend,
    handles_of,
    new_subject,
    signed_in,
)
from tests.accounts.rows import set_columns


class TestDefaultStore(AccountSessionBackendContract, AccountOptionsContract):
    """A store that was given a URL."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore) -> FullBackend:
        """The store on the emptied table."""
        return store

    @pytest.fixture
    async def backend_with(
        self, backend: FullBackend, url: URL
    ) -> AsyncIterator[Callable[..., FullBackend]]:
        """Other options on the same table."""
        async with AsyncExitStack() as stack:
            made: list[SQLSessionStore] = []

            def make(**options: Any) -> FullBackend:
                made.append(SQLSessionStore(url, **options))
                return made[-1]

            yield make
            for each in made:
                await stack.enter_async_context(each)


@pytest.mark.default_drivers
class TestStoreWithoutBatches(AccountSessionBackendContract):
    """A store that sends a statement for each call."""

    @pytest.fixture
    async def backend(self, store: SQLSessionStore, url: URL) -> AsyncIterator[FullBackend]:
        """A store with ``coalesce=False`` on the table that ``store`` has emptied."""
        async with SQLSessionStore(url, coalesce=False) as without_batches:
            yield without_batches


@pytest.mark.default_drivers
class TestStoreOnSharedEngine(AccountSessionBackendContract):
    """A store that was given the application's engine, which begins transactions."""

    @pytest.fixture
    def backend(self, store: SQLSessionStore, host_engine: AsyncEngine) -> FullBackend:
        """A store on the host's engine and on the table that ``store`` has emptied."""
        return SQLSessionStore(host_engine)


@pytest.mark.default_drivers
class TestBoundStore(
    SignInContract,
    VersionContract,
    ListingContract,
    EndingContract,
    LifetimeContract,
    AccountArgumentsContract,
):
    """A store that is bound to a transaction, which contains the whole test."""

    @pytest.fixture
    async def backend(
        self, store: SQLSessionStore, host_engine: AsyncEngine
    ) -> AsyncIterator[FullBackend]:
        """The store as part of a transaction that is rolled back."""
        async with host_engine.connect() as connection:
            yield store.bind(connection)


@pytest.mark.anyio
@pytest.mark.sqlite_only
async def test_a_limit_keeps_the_session_that_was_signed_in_last(store: SQLSessionStore) -> None:
    """SQLite's clock counts milliseconds. A session may have begun in that of the one before it."""
    subject = new_subject()
    signed = [await signed_in(store, subject) for _ in range(4)]
    for session_id, _ in signed:
        await set_columns(store, session_id, created=1)
    digests = store._options.subjects.digests(subject)
    trim = store._table.endings.trim
    newest = min(bytes(handle) for _, handle in signed)

    async with store.engine.connect() as connection:
        await connection.run_sync(partial(trim, digests=digests, limit=1, newest=newest))
        await connection.commit()

    assert await handles_of(store, subject) == {SessionHandle.from_bytes(newest)}
