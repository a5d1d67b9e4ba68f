"""What the tests of every kind do with a store's table and its pool."""

from __future__ import annotations

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore


async def empty(store: SQLSessionStore) -> None:
    """Remove every row."""
    async with store.engine.connect() as connection:
        await connection.execute(text("DELETE FROM sessionstore_sessions"))


def executed_on(engine: AsyncEngine) -> list[str]:
    """Return a list to which every statement is added that is executed from here on."""
    executed: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        executed.append(statement)

    return executed


def connections_in_use(store: SQLSessionStore) -> int:
    """Return how many connections of the pool are checked out."""
    return store.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]
