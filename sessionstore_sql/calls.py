"""The operations as calls: each in a statement of its own, on a connection of an executor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sessionstore_sql.exclusion import purge_exclusively
from sessionstore_sql.execution import Effect, Executor
from sessionstore_sql.operations import Backlog

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import Connection

    from sessionstore_sql.operations import Operations, Purge
    from sessionstore_sql.records import SessionId

Loaded: TypeAlias = "tuple[bytes | None, timedelta] | None"
"""The state and the remaining life of a session, if it is live; see ``as_loaded``."""


class DirectCalls:
    """Calls that are made as they come."""

    def __init__(self, executor: Executor, operations: Operations) -> None:
        self._executor = executor
        self._operations = operations

    async def create(self, session_id: SessionId, state: bytes, ttl: timedelta) -> None:
        """Insert, or replace an expired session."""
        work = partial(self._operations.create, session_id=session_id, state=state, ttl=ttl)
        await self._executor.run(work, Effect.ONCE)

    async def update(self, session_id: SessionId, state: bytes, ttl: timedelta) -> None:
        """Replace state and deadline of a live session."""
        work = partial(self._operations.update, session_id=session_id, state=state, ttl=ttl)
        await self._executor.run(work, Effect.REPEATABLE)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Replace the deadline of a live session."""
        work = partial(self._operations.update_ttl, session_id=session_id, ttl=ttl)
        await self._executor.run(work, Effect.REPEATABLE)

    async def load(self, session_id: SessionId) -> Loaded:
        """Return state and remaining life of a live session."""
        work = partial(self._operations.load, session_id=session_id)
        return await self._executor.run(work, Effect.READ)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session."""
        work = partial(self._operations.delete, session_id=session_id)
        await self._executor.run(work, Effect.REPEATABLE)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another key."""
        work = partial(self._operations.change_id, old_id=old_id, new_id=new_id)
        await self._executor.run(work, Effect.ONCE)

    async def delete_expired(self, batch_size: int | None) -> int:
        """Remove expired sessions, in purges that each are committed and retried by themselves."""
        removed, _ = await self._purge(self._operations.purge, batch_size)
        return removed

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Likewise, unless someone else does so already, or until someone does."""
        purge_once = partial(purge_exclusively, self._operations)
        removed, was_alone = await self._purge(purge_once, batch_size)
        return removed if was_alone or removed > 0 else None

    async def _purge(self, purge_once: _PurgeOnce, batch_size: int | None) -> tuple[int, bool]:
        """Return how many were removed, and whether nobody else was at it."""
        removed, backlog = 0, Backlog()
        while batch_size is None or removed < batch_size:
            wanted = None if batch_size is None else batch_size - removed
            limit = self._operations.purge_limit(wanted)
            work = partial(purge_once, limit=limit, backlog=backlog)
            purge = await self._executor.run(work, Effect.REPEATABLE)
            if purge is None:
                return removed, False
            removed += purge.removed
            if self._executor.observer is not None:
                self._executor.observer.purged(purge.removed)
            if purge.is_last:
                break
        return removed, True


class _PurgeOnce(Protocol):
    def __call__(self, connection: Connection, limit: int, backlog: Backlog) -> Purge | None:
        """Purge; ``None`` where someone else does."""
        ...
