"""An exclusive purge that has begun and not ended, as of another node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.sql.dialects.clauses import purge_parameters


@asynccontextmanager
async def purge_in_flight(store: SQLSessionStore, engine: AsyncEngine) -> AsyncIterator[None]:
    """Be in the middle of what ``delete_expired_exclusively(2)`` of another ``store`` does."""
    purger: Any = store._purger._purger
    async with engine.connect() as connection:
        if hasattr(purger, "exclusive_statement"):
            statement = purger.exclusive_statement.statement
            await connection.execute(statement, purge_parameters(2))
            yield
            await connection.rollback()
        else:
            await connection.execute(purger.lock.take)
            yield
            await connection.execute(purger.lock.release)
