"""Poolers that reject what the store sends when a connection starts."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore_sql import DatabaseError, SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.statistics import collect_statistics
from tests.connecting.pooler import PickyPooler

pytestmark = pytest.mark.anyio

REJECTIONS = (["lock_timeout"], ["statement_timeout"], ["options", "lock_timeout"])


@pytest.mark.parametrize("rejected", REJECTIONS, ids="-".join)
async def test_a_store_works_behind_a_pooler_that_rejects_timeouts(
    postgresql: URL, rejected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It says once what is lacking, and asks each further connection without them."""
    pooler = PickyPooler(postgresql, rejected)
    async with pooler.running() as url:
        caplog.set_level(logging.WARNING, logger="sessionstore_sql.connecting")
        async with SQLSessionStore(url) as store:
            for _ in range(2):
                session_id = SessionId.generate()
                await store.create(session_id, SessionRecord({}, timedelta(hours=1)))
                assert await store.load(session_id) is not None
                await store.delete(session_id)
                async with store.engine.connect() as connection:
                    await connection.invalidate()

    assert pooler.connections >= 3
    assert pooler.rejections == 1
    (record,) = caplog.records
    assert "ALTER ROLE" in record.getMessage()


async def test_connections_that_are_made_at_once_all_work(
    postgresql: URL, caplog: pytest.LogCaptureFixture
) -> None:
    """What the first one finds out, the others learn while they are being made; it is said once."""
    pooler = PickyPooler(postgresql, ["lock_timeout"])
    async with pooler.running() as url:
        caplog.set_level(logging.WARNING, logger="sessionstore_sql.connecting")
        async with SQLSessionStore(url, engine_options={"pool_size": 8}) as store:
            connections = await asyncio.gather(*(_connected(store) for _ in range(8)))
            await asyncio.gather(*(each.close() for each in connections))

    assert len(caplog.records) == 1


async def _connected(store: SQLSessionStore) -> AsyncConnection:
    return await store.engine.connect()


@pytest.mark.parametrize("mode", ["off", "set"])
@pytest.mark.parametrize("rejected", REJECTIONS, ids="-".join)
async def test_nothing_that_is_rejected_need_be_sent(
    postgresql: URL, rejected: list[str], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An option keeps the timeouts out of the startup from the first connection on."""
    pooler = PickyPooler(postgresql, rejected)
    async with (
        pooler.running() as url,
        SQLSessionStore(url.update_query_dict({"server_timeouts": mode})) as store,
        store.engine.connect() as connection,
    ):
        timeout = await connection.scalar(text("SELECT current_setting('lock_timeout')"))

    assert timeout == {"off": "0", "set": "3s"}[mode]
    assert pooler.connections == 1
    assert caplog.records == []


async def test_timeouts_that_must_be_sent_fail(postgresql: URL) -> None:
    """The error says what the pooler lacks."""
    async with (
        PickyPooler(postgresql, ["lock_timeout"]).running() as url,
        SQLSessionStore(url.update_query_dict({"server_timeouts": "startup"})) as store,
    ):
        with pytest.raises(DatabaseError, match="ignore_startup_parameters") as caught:
            await store.load(SessionId.generate())

    assert not caught.value.transient


async def test_options_of_the_callers_are_not_dropped(postgresql: URL) -> None:
    """What the store does not know the meaning of is not its to leave out."""
    async with (
        PickyPooler(postgresql, ["search_path"]).running() as url,
        SQLSessionStore(url.update_query_dict({"options": "-c search_path=public"})) as store,
    ):
        with pytest.raises(DatabaseError, match="search_path"):
            await store.load(SessionId.generate())


async def test_migrations_and_statistics_work_behind_it(postgresql: URL) -> None:
    """The migrations send no timeouts; the statistics are read as the store reads."""
    async with PickyPooler(postgresql, ["options", "lock_timeout"]).running() as url:
        await migrate.check(url)
        assert (await collect_statistics(url)).taken_at is not None
