"""What the tests of every kind do with a store's table and its pool."""

from __future__ import annotations

from sqlalchemy import text

from sessionstore_sql import SQLSessionStore


async def empty(store: SQLSessionStore) -> None:
    """Remove every row."""
    async with store.engine.connect() as connection:
        await connection.execute(text("DELETE FROM sessionstore_sessions"))


def connections_in_use(store: SQLSessionStore) -> int:
    """Return how many connections of the pool are checked out."""
    return store.engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return]
