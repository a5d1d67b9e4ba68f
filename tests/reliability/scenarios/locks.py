"""Someone else holds locks for longer than the store waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.reliability.scenarios.loads import load_on
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage

_ROWS_S, _TABLE_S = 12, 20
_LOCK_ROWS = "SELECT id FROM sessionstore_sessions FOR UPDATE"


async def hold_locks(stage: Stage, server: Server) -> None:
    """Lock every row, as a backup that is too careful, then the table, as an ALTER TABLE."""
    async with load_on(server, stage) as workers:
        for what, statement, seconds in (
            ("rows", _LOCK_ROWS, _ROWS_S),
            ("table", server.lock_table, _TABLE_S),
        ):
            fault = stage.fault(f"{what} locked for {seconds} s", workers)
            async with fault, _held(server, statement):
                await asyncio.sleep(seconds)


@asynccontextmanager
async def _held(server: Server, statement: str) -> AsyncIterator[None]:
    engine = create_async_engine(server.url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.exec_driver_sql(statement)
        yield
    await engine.dispose()
