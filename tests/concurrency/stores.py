"""Stores as the tests of races and faults make them, all in one place."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import JSON, SessionRecord, SQLSessionStore

HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)


class StoreMaker:
    """Makes stores with the options of a test, and closes them after it."""

    def __init__(self, url: URL, options: dict[str, Any]) -> None:
        self.url = url
        self.options = options
        self._stack = AsyncExitStack()

    async def __call__(
        self, engine_or_url: AsyncEngine | URL | None = None, **options: Any
    ) -> SQLSessionStore:
        """Return a store; without an engine or a URL, on the database under test."""
        target = self.url if engine_or_url is None else engine_or_url
        store = SQLSessionStore(target, **{**self.options, **options})
        return await self._stack.enter_async_context(store)

    async def close(self) -> None:
        """Close the stores."""
        await self._stack.aclose()


def record(ttl: timedelta = HOUR, **state: JSON) -> SessionRecord:
    """Return a record of ``state``."""
    return SessionRecord(dict(state), ttl)
