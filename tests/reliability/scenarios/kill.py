"""A server is killed with no time to tidy up, and started again, under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL

from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.stage import Stage
from tests.reliability.workers import Target, Workers

_AWAY_S = 0.5
"""How long a killed server is away, before it starts and recovers."""


def targets(url: URL, *drivernames: str) -> list[Target]:
    """Return a target for each driver, and one whose calls are not coalesced."""
    urls = [url.set(drivername=name).render_as_string(hide_password=False) for name in drivernames]
    return [*(Target(each, {}) for each in urls), Target(urls[0], {"coalesce": False})]


async def kill_postgresql(stage: Stage) -> None:
    """Kill PostgreSQL as a whole, and one of its processes."""
    server = PostgreSQL(stage.folder / "postgresql")
    async with _load_on(server, stage) as workers:
        for _ in range(3):
            await _kill(server, stage, workers)
            async with stage.fault("process killed", workers):
                server.kill_backend()
                await server.process.until_answering(server.url)


async def kill_careless_postgresql(stage: Stage) -> None:
    """Kill a PostgreSQL that acknowledges what it has not written yet: it has to lose some."""
    settings = {
        "synchronous_commit": "off",
        "wal_buffers": "64MB",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
    }
    server = PostgreSQL(stage.folder / "postgresql", settings)
    async with _load_on(server, stage) as workers:
        await _kill(server, stage, workers)


@asynccontextmanager
async def _load_on(server: PostgreSQL, stage: Stage) -> AsyncIterator[Workers]:
    stage.stop_at_end(server.stop)
    await server.create()
    drivers = targets(server.url, "postgresql+asyncpg", "postgresql+psycopg")
    async with stage.load(server.url, drivers) as workers:
        yield workers


async def _kill(server: PostgreSQL, stage: Stage, workers: Workers) -> None:
    async with stage.fault("server killed", workers):
        server.kill()
        await asyncio.sleep(_AWAY_S)
        await server.start()
