"""Upgrades of a table take turns: in the process, and on all machines."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.upgrading import WAIT_S, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

WAIT = timedelta(seconds=WAIT_S)

_alembic_in_use = threading.Lock()
"""Held while Alembic runs.

Alembic's context is global in a process (hazard L1): two concurrent upgrades, in any loops and
threads, would run each other's revisions.
"""

_POLL_S = 0.02


def queue(
    connection: Connection, table: str, schema: str | None, wait: timedelta = WAIT
) -> AbstractContextManager[None]:
    """Hold the database's lock for migrations of ``table`` while the context lasts.

    Raises:
        DatabaseError: The lock was not free in time.
    """
    place = f"{schema or connection.dialect.default_schema_name}.{table}"
    key = hashlib.sha256(place.encode()).digest()
    dialect = dialect_named(connection.dialect.name)
    return dialect.upgrading(connection, key, Wait(repr(table), wait.total_seconds()))


@asynccontextmanager
async def in_turn(
    connection: AsyncConnection, table: str, schema: str | None, wait: timedelta
) -> AsyncIterator[None]:
    """Hold ``queue``, a synchronous context manager, in asynchronous code."""
    turn: list[AbstractContextManager[None]] = []

    def enter(sync_connection: Connection) -> None:
        turn.append(queue(sync_connection, table, schema, wait))
        turn[0].__enter__()

    await connection.run_sync(enter)
    try:
        yield
    except BaseException as error:
        failure = (type(error), error, error.__traceback__)
        await connection.run_sync(lambda _: turn[0].__exit__(*failure))
        raise
    await connection.run_sync(lambda _: turn[0].__exit__(None, None, None))


@asynccontextmanager
async def alone_in_process() -> AsyncIterator[None]:
    """Hold the lock of Alembic in this process."""
    # An asyncio.Lock belongs to one loop, and blocking would stop the loop of the lock's holder.
    while not _alembic_in_use.acquire(blocking=False):  # noqa: ASYNC110  # asyncio events do not cross threads
        await asyncio.sleep(_POLL_S)
    try:
        yield
    finally:
        _alembic_in_use.release()
