"""A server is killed with no time to tidy up, and started again, under load."""

from __future__ import annotations

import asyncio

from tests.reliability.scenarios.loads import load_on
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage
from tests.reliability.workers import Workers

_TIMES = 3
_AWAY_S = 0.5
"""Seconds between the kill of a server and its restart."""


async def kill(stage: Stage, server: Server) -> None:
    """Kill all of the server."""
    async with load_on(server, stage) as workers:
        for _ in range(_TIMES):
            await _kill(server, stage, workers)


async def kill_process(stage: Stage, server: PostgreSQL) -> None:
    """Kill one of the server's processes: it ends all its connections, and recovers by itself."""
    async with load_on(server, stage) as workers:
        for _ in range(_TIMES):
            async with stage.fault("process killed", workers):
                server.kill_backend()
                await server.process.until_answering(server.url)


async def kill_careless(stage: Stage) -> None:
    """Kill a PostgreSQL that acknowledges what it has not written yet: it has to lose some."""
    settings = {
        "synchronous_commit": "off",
        "wal_buffers": "64MB",
        "wal_writer_delay": "10s",
        "wal_writer_flush_after": "1GB",
    }
    server = PostgreSQL(stage.folder / "postgresql", settings)
    async with load_on(server, stage) as workers:
        await _kill(server, stage, workers)


async def _kill(server: Server, stage: Stage, workers: Workers) -> None:
    async with stage.fault("server killed", workers):
        server.kill()
        await asyncio.sleep(_AWAY_S)
        await server.start()
