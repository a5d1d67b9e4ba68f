"""The numbers that change from minute to minute, on every database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import DatabaseError, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.sql import survey
from sessionstore_sql.statistics import Count, collect_activity
from tests.concurrency.rows import SERVER_TARGETS
from tests.faults.servers import Server
from tests.statistics.rows import insert_sessions

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def test_an_empty_table(store: SQLSessionStore) -> None:
    """Nothing is counted, and no session is the oldest expired one."""
    found = await collect_activity(store.engine)

    assert found.live == found.expired == Count(0, estimated=False)
    assert found.oldest_expired is None
    assert found.taken_at.tzinfo is UTC


async def test_sessions_are_counted(store: SQLSessionStore) -> None:
    """The numbers are those of the statistics."""
    await insert_sessions(store.engine, [HOUR] * 5 + [-2 * HOUR] * 3)

    found = await collect_activity(store.engine)

    assert (found.live, found.expired) == (Count(5, estimated=False), Count(3, estimated=False))
    assert found.oldest_expired is not None
    assert 2 * HOUR <= found.oldest_expired < 3 * HOUR


async def test_many_sessions_are_estimated(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table is not counted every few seconds."""
    monkeypatch.setattr(survey, "SAMPLE", 10)
    monkeypatch.setattr(survey, "COUNTED_ROWS", 0)
    await insert_sessions(store.engine, [HOUR] * 30 + [-HOUR] * 10)

    found = await collect_activity(store.engine)

    assert found.live.estimated
    assert found.expired == Count(10, estimated=False)


async def test_a_url_can_be_given(url: URL, store: SQLSessionStore) -> None:
    """Its engine is disposed: an open connection would be a warning, which fails the test."""
    assert (await collect_activity(url)).live.sessions == 0


async def test_a_missing_table_is_an_error(host_engine: AsyncEngine) -> None:
    """The error says that the table is missing."""
    with pytest.raises(DatabaseError, match=r"nowhere.*missing"):
        await collect_activity(host_engine, table="nowhere")


@pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)
async def test_a_server_reports_its_connections(
    url: URL, store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """A connection that waits for a lock is active and waiting."""
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({}, HOUR))
    server = Server(url)

    async with host_engine.connect() as connection:
        await store.bind(connection).update_ttl(session_id, HOUR)
        waiting = asyncio.ensure_future(store.update_ttl(session_id, HOUR))
        await server.until_waiting(waiting)
        found = (await collect_activity(host_engine)).connections
        await connection.rollback()
    await waiting
    await server.close()

    assert found is not None
    assert found.waiting >= 1
    assert 2 <= found.active <= found.open <= found.limit


@pytest.mark.sqlite_only
async def test_sqlite_has_no_connections(store: SQLSessionStore) -> None:
    """There is no server."""
    assert (await collect_activity(store.engine)).connections is None


async def test_the_time_is_that_of_the_database(store: SQLSessionStore) -> None:
    """It is close to this machine's clock, because both run here."""
    found = await collect_activity(store.engine)

    assert abs(found.taken_at - datetime.now(UTC)) < HOUR
