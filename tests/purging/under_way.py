"""An exclusive purge that has begun and not ended, as of another node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.dialects.purging import purge_parameters


@asynccontextmanager
async def purge_under_way(store: SQLSessionStore, engine: AsyncEngine) -> AsyncIterator[None]:
    """Be in the middle of what ``delete_expired_exclusively(2)`` of another ``store`` does."""
    statements = store._operations.statements
    async with engine.connect() as connection:
        if statements.purge_exclusively is not None:
            await connection.execute(statements.purge_exclusively.statement, purge_parameters(2))
            yield
            await connection.rollback()
        else:
            assert statements.purge_lock is not None
            await connection.execute(statements.purge_lock.take)
            yield
            await connection.execute(statements.purge_lock.release)
