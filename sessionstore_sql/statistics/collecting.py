"""Reads the numbers from the database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql.schema import DEFAULT_TABLE, session_table
from sessionstore_sql.sql.engines import create_engine, dialect_of
from sessionstore_sql.sql.execution import PooledExecutor
from sessionstore_sql.sql.survey import Survey
from sessionstore_sql.statistics.summaries import expiries, kinds_of, state_sizes
from sessionstore_sql.statistics.values import Activity, Statistics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import URL

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


async def collect_statistics(
    target: AsyncEngine | URL | str,
    *,
    table: str = DEFAULT_TABLE,
    schema: str | None = None,
    exact: bool = False,
) -> Statistics:
    """Return the number of sessions, their times to expiry, their sizes and the size of the table.

    Args:
        target: As for ``SQLSessionStore``. If it is a URL, the engine is disposed in the end.
        table: The name of the table.
        schema: The schema of the table. ``None``: the default schema of the connection.
        exact: Count the sessions, however many there are. If that takes too long, the number is
            still estimated.

    Raises:
        TypeError, ValueError, ModuleNotFoundError: As for ``SQLSessionStore``.
        DatabaseError: The database reported an error, or is unreachable.
    """
    async with _survey(target, table, schema) as survey:
        now_us = await survey.now()
        census = await survey.census(now_us, exact=exact)
        oldest = await survey.first_bucket() if census.expired.sessions else None
        sizes = await survey.state_sizes()
        kinds = await survey.kinds()
        return Statistics(
            taken_at=_EPOCH + now_us * _MICROSECOND,
            live=census.live,
            expired=census.expired,
            oldest_expired=None if oldest is None else (now_us - oldest) * _MICROSECOND,
            expiries=expiries(census.groups),
            states=None if sizes is None else state_sizes(sizes, census.total),
            kinds=None if kinds is None else kinds_of(kinds, census.total),
            storage=await survey.storage(),
        )


async def collect_activity(
    target: AsyncEngine | URL | str, *, table: str = DEFAULT_TABLE, schema: str | None = None
) -> Activity:
    """Return the number of sessions, the purge backlog and the connections to the server.

    It is meant to be called every few seconds, with an ``AsyncEngine``.

    Args:
        target: As for ``SQLSessionStore``. If it is a URL, the engine is disposed in the end.
        table: The name of the table.
        schema: The schema of the table. ``None``: the default schema of the connection.

    Raises:
        TypeError, ValueError, ModuleNotFoundError: As for ``SQLSessionStore``.
        DatabaseError: The database reported an error, or is unreachable.
    """
    async with _survey(target, table, schema) as survey:
        now_us = await survey.now()
        census = await survey.census(now_us, exact=False)
        oldest = await survey.first_bucket() if census.expired.sessions else None
        return Activity(
            taken_at=_EPOCH + now_us * _MICROSECOND,
            live=census.live,
            expired=census.expired,
            oldest_expired=None if oldest is None else (now_us - oldest) * _MICROSECOND,
            connections=await survey.connections(),
        )


@asynccontextmanager
async def _survey(
    target: AsyncEngine | URL | str, table: str, schema: str | None
) -> AsyncIterator[Survey]:
    sessions = session_table(table, schema=schema)
    engine = target if isinstance(target, AsyncEngine) else create_engine(target)
    try:
        # Of an engine of our own, whatever is raised while it connects is the database's failure.
        owns_engine = engine is not target
        executor = PooledExecutor(
            engine, dialect_of(engine), sessions.fullname, owns_engine=owns_engine
        )
        yield Survey(executor, sessions)
    finally:
        if engine is not target:
            await engine.dispose()
