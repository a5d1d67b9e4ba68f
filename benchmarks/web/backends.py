"""The stores that the applications use."""

from __future__ import annotations

import os
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.peers.starsessions import DEFAULT_URL, VARIABLE
from benchmarks.seeding import create_session_table
from sessionstore_sql import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.databases import Target


@asynccontextmanager
async def store_on(target: Target) -> AsyncIterator[SQLSessionStore]:
    """Yield this package's store, with its own table."""
    table = f"bench_{secrets.token_hex(4)}"
    await create_session_table(target, table)
    options = {"pool_size": target.pool}
    async with SQLSessionStore(target.url, table=table, engine_options=options) as store:
        yield store


@asynccontextmanager
async def redis_for(target: Target) -> AsyncIterator[tuple[Any, str]]:
    """Yield a Redis client and a prefix; keys with the prefix are removed at the end."""
    import redis.asyncio as redis

    pool: Any = redis.BlockingConnectionPool.from_url(
        os.environ.get(VARIABLE, DEFAULT_URL), max_connections=target.pool, timeout=None
    )
    prefix = f"sessionstore-bench-{secrets.token_hex(4)}."
    client: Any = redis.Redis(connection_pool=pool)
    try:
        yield client, prefix
        async for key in client.scan_iter(match=f"{prefix}*", count=1_000):
            await client.unlink(key)
    finally:
        await client.aclose()
