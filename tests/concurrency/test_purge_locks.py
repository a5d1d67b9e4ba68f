"""A purge skips rows that other transactions have locked (not on SQLite)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionId, SQLSessionStore
from tests.concurrency.rows import SERVER_TARGETS, back_date, row_count, set_deadline
from tests.concurrency.stores import HOUR, record

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str),
]


async def expired_sessions(store: SQLSessionStore, count: int) -> list[SessionId]:
    """Create expired sessions and return their ids."""
    ids = [SessionId.generate() for _ in range(count)]
    for session_id in ids:
        await store.create(session_id, record())
    await back_date(store.engine, ids)
    return ids


async def test_two_purges_take_different_batches(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Rows that another transaction is deleting are skipped without waiting."""
    await expired_sessions(store, 6)

    async with host_engine.connect() as connection:
        others = await store.bind(connection).delete_expired(batch_size=2)
        first = await store.delete_expired(batch_size=2)
        rest = await store.delete_expired()
        await connection.rollback()

    assert (others, first, rest) == (2, 2, 2)
    assert await row_count(store.engine) == 2
    assert await store.delete_expired() == 2


async def test_a_full_batch_is_found_behind_locked_rows(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """If the oldest rows are locked, a batch contains the next oldest."""
    await expired_sessions(store, 30)

    async with host_engine.connect() as connection:
        # At higher levels, a scan may lock rows that it does not delete.
        await connection.execution_options(isolation_level="READ COMMITTED")
        assert await store.bind(connection).delete_expired(batch_size=15) == 15
        count = await store.delete_expired(batch_size=10)
        await connection.rollback()

    assert count == 10


async def test_a_batch_with_room_for_all_passes_by_the_locked_rows(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """In a small table, of which most rows are deleted, locked rows are skipped too."""
    await expired_sessions(store, 6)

    async with host_engine.connect() as connection:
        assert await store.bind(connection).delete_expired(batch_size=2) == 2
        assert await store.delete_expired(batch_size=10) == 4
        await connection.rollback()

    assert await store.delete_expired() == 2


async def test_a_purge_does_not_wait_for_an_extension(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """A session that a transaction is extending is kept; the other expired ones are deleted."""
    extended, *_ = await expired_sessions(store, 4)

    async with host_engine.connect() as connection:
        # As update_ttl does with a session that expires before the purge reads it.
        await set_deadline(connection, extended, HOUR // timedelta(microseconds=1))
        count = await store.delete_expired()
        await connection.commit()

    assert count == 3
    assert await store.load(extended) is not None


async def test_a_purge_never_waits_for_a_create(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """A session that a transaction is replacing is kept; the other expired ones are deleted."""
    ids = await expired_sessions(store, 3)

    async with host_engine.connect() as connection:
        await store.bind(connection).create(ids[1], record())
        count = await store.delete_expired(batch_size=3)
        await connection.commit()

    assert count == 2
    assert await store.load(ids[1]) is not None


async def test_a_purge_does_not_delay_other_calls(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """During a purge, live sessions can be created, read, extended and deleted."""
    live, new_id = SessionId.generate(), SessionId.generate()
    await store.create(live, record())
    await expired_sessions(store, 5)

    async with host_engine.connect() as connection:
        assert await store.bind(connection).delete_expired() == 5
        await asyncio.gather(
            *(store.create(SessionId.generate(), record()) for _ in range(20)),
            store.update_ttl(live, HOUR),
        )
        await store.change_id(live, new_id)
        await store.delete(new_id)
        await connection.rollback()

    assert await row_count(store.engine) == 25
