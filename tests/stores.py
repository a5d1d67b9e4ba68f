"""What all kinds of tests do with a store's table and its pool."""

from __future__ import annotations

import asyncio

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore


async def empty(store: SQLSessionStore) -> None:
    """Remove every row."""
    async with store.engine.connect() as connection:
        await connection.execute(text("DELETE FROM sessionstore_sessions"))


def executed_on(engine: AsyncEngine) -> list[str]:
    """Return a list that records every statement executed from now on."""
    executed: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        executed.append(statement)

    return executed


def connections_in_use(store: SQLSessionStore) -> int:
    """Return how many connections of the pool are checked out, apart from leases that are free."""
    checked_out: int = store.engine.pool.checkedout()  # type: ignore[attr-defined]
    leases = store._pool.loops.current().leases
    unused = [*leases.free, *leases.ending.values()]
    return checked_out - sum(not lease.connection.closed for lease in unused)


async def require_returned(engine: AsyncEngine) -> None:
    """Require that every connection of an engine is in its pool, after the leases have ended."""
    async with asyncio.timeout(5):
        while engine.pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.005)
