"""Opening connections of aiosqlite, so that a cancelled caller leaves none open."""

from __future__ import annotations

import asyncio
from typing import Any

from sessionstore_sql.sql.cancellation import uninterrupted


async def open_connection(*args: Any, **kwargs: Any) -> Any:
    """Return a connection of aiosqlite that is open.

    aiosqlite 0.22.1 opens the file in a thread. If its caller is cancelled meanwhile, the thread
    ends, and the connection that it has opened is never closed. So the file is opened to the end,
    and the connection closed.
    """
    import aiosqlite  # noqa: PLC0415  # an extra

    connection: Any = aiosqlite.connect(*args, **kwargs)
    # An event loop that never closes its connection does not keep the process from ending.
    connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does
    opening = asyncio.ensure_future(_opened(connection))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await uninterrupted(_closed(opening))
        raise


async def _opened(connection: Any) -> Any:
    return await connection


async def _closed(opening: asyncio.Future[Any]) -> None:
    await asyncio.wait([opening])
    if opening.exception() is None:
        await opening.result().close()
