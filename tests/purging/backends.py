"""Backends whose purges a test can watch, hold and fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sessionstore_sql import SessionId, SessionRecord
from tests.unit.memory_backend import MemoryBackend

EXPIRED, LIVE = timedelta(0), timedelta(hours=1)


class WatchedBackend(MemoryBackend):
    """Notes the batches it is asked for, and first does what the test has planned for each."""

    def __init__(self, *plan: Callable[[], Any] | Exception) -> None:
        super().__init__()
        self.plan = list(plan)
        self.asked: list[int | None] = []

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions, if the plan lets it."""
        self.asked.append(batch_size)
        if self.plan:
            step = self.plan.pop(0)
            if isinstance(step, Exception):
                raise step
            answer = step()
            if isinstance(answer, Awaitable):
                await answer
        return await super().delete_expired(batch_size)

    async def fill(self, *, expired: int = 0, live: int = 0) -> None:
        """Add so many sessions."""
        for ttl in [EXPIRED] * expired + [LIVE] * live:
            await self.create(SessionId.generate(), SessionRecord({}, ttl))


def nothing() -> None:
    """Plan for a batch: nothing out of the ordinary."""
