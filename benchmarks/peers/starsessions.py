"""starsessions on Redis, a common alternative to SQL."""

from __future__ import annotations

import os
import secrets
from importlib.metadata import version
from typing import Any

from benchmarks.databases import DATABASES, one_line
from benchmarks.peer import AsyncPeer, NotRunError
from benchmarks.workload import STATE, TTL_SECONDS, session_id

VARIABLE = "SESSIONSTORE_BENCH_REDIS_URL"
DEFAULT_URL = "redis://127.0.0.1:6379"
_CHUNK = 1_000


class StarsessionsPeer(AsyncPeer):
    """Runs with every database, although it uses none."""

    name = "starsessions on Redis"
    databases = frozenset(DATABASES)
    description = "RedisStore, BlockingConnectionPool; a touch writes the whole session"

    async def open(self) -> None:
        """Connect, and write the sessions."""
        try:
            import redis.asyncio as redis
            from starsessions import JsonSerializer
            from starsessions.stores.redis import RedisStore
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        pool: Any = redis.BlockingConnectionPool.from_url(
            os.environ.get(VARIABLE, DEFAULT_URL), max_connections=self.target.pool, timeout=None
        )
        self.redis: Any = redis.Redis(connection_pool=pool)
        self.prefix = f"sessionstore-bench-{secrets.token_hex(4)}."
        self.store = RedisStore(connection=self.redis, prefix=self.prefix)
        self.serializer = JsonSerializer()
        try:
            self.info = await self.redis.info()
        except Exception as error:
            await self.redis.aclose()
            raise NotRunError(f"Redis is not available: {one_line(error)}") from error
        data = self.serializer.serialize(STATE)
        for start in range(0, self.target.sessions, _CHUNK):
            async with self.redis.pipeline(transaction=False) as pipeline:
                for number in range(start, min(start + _CHUNK, self.target.sessions)):
                    pipeline.set(self.prefix + session_id(number), data, ex=TTL_SECONDS)
                await pipeline.execute()

    async def close(self) -> None:
        """Remove the sessions."""
        found = self.redis.scan_iter(match=f"{self.prefix}*", count=_CHUNK)
        keys = [key async for key in found]
        for start in range(0, len(keys), _CHUNK):
            await self.redis.unlink(*keys[start : start + _CHUNK])
        await self.redis.aclose()

    async def describe(self) -> dict[str, str]:
        """Return versions and durability settings."""
        return {
            "starsessions": version("starsessions"),
            "redis": (
                f"server {self.info['redis_version']}, client {version('redis')}, "
                f"appendonly {'yes' if self.info.get('aof_enabled') else 'no'}"
            ),
        }

    async def load(self, session_id: str) -> Any:
        """``read``."""
        data = await self.store.read(session_id, TTL_SECONDS)
        return self.serializer.deserialize(data) if data else None

    async def touch(self, session_id: str) -> None:
        """Call ``write``, because the store has no touch."""
        await self.update(session_id)

    async def update(self, session_id: str) -> None:
        """``write``."""
        data = self.serializer.serialize(STATE)
        await self.store.write(session_id, data, TTL_SECONDS, TTL_SECONDS)

    async def create(self, session_id: str) -> None:
        """``write``."""
        await self.update(session_id)

    async def rotate(self, old: str, new: str) -> None:
        """Call ``remove`` and ``write``."""
        await self.store.remove(old)
        await self.update(new)
