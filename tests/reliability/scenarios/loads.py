"""A server under load, as most scenarios begin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL

from tests.reliability.load import STATE_SIZE
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage
from tests.reliability.workers import Target, Workers


@asynccontextmanager
async def load_on(
    server: Server, stage: Stage, *, state_size: int = STATE_SIZE
) -> AsyncIterator[Workers]:
    """Make ``server``, and call it through each of its drivers."""
    stage.stop_at_end(server.stop)
    await server.create()
    drivers = targets(server.url, *server.drivers)
    async with stage.load(server.url, drivers, state_size=state_size) as workers:
        yield workers


def targets(url: URL, *drivernames: str) -> list[Target]:
    """Return a target for each driver, and one whose calls are not coalesced."""
    urls = [url.set(drivername=name).render_as_string(hide_password=False) for name in drivernames]
    return [*(Target(each, {}) for each in urls), Target(urls[0], {"coalesce": False})]
