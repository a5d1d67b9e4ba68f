"""Session stores that record or disturb calls, for the tests of web frameworks."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from sessionstore_sql import SessionId, SessionRecord, SessionStorageBackend, SQLSessionStore


class RecordedStore:
    """Forwards calls to a store and records their names."""

    def __init__(self, store: SessionStorageBackend) -> None:
        self.store = store
        self.calls: list[str] = []

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Forward the call."""
        self.calls.append("create")
        await self.store.create(session_id, record)

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Forward the call."""
        self.calls.append("update")
        await self.store.update(session_id, record)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Forward the call."""
        self.calls.append("update_ttl")
        await self.store.update_ttl(session_id, ttl)

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Forward the call."""
        self.calls.append("load")
        return await self.store.load(session_id)

    async def delete(self, session_id: SessionId) -> None:
        """Forward the call."""
        self.calls.append("delete")
        await self.store.delete(session_id)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Forward the call."""
        self.calls.append("change_id")
        await self.store.change_id(old_id, new_id)

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Forward the call."""
        self.calls.append("delete_expired")
        return await self.store.delete_expired(batch_size)


class EndedMeanwhile(RecordedStore):
    """Deletes each session as soon as it is loaded, as a concurrent logout might."""

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return the session as it was before the deletion."""
        record = await self.store.load(session_id)
        if record is not None:
            await self.store.delete(session_id)
        return record


async def let_pass(store: SQLSessionStore, time: timedelta) -> None:
    """Move every deadline back by ``time``."""
    async with store.engine.begin() as connection:
        await connection.execute(
            text("UPDATE sessionstore_sessions SET deadline = deadline - :passed"),
            {"passed": time // timedelta(microseconds=1)},
        )


async def count(store: SQLSessionStore) -> int:
    """Return the number of rows, live and expired."""
    async with store.engine.connect() as connection:
        found = await connection.execute(text("SELECT COUNT(*) FROM sessionstore_sessions"))
        return int(found.scalar_one())
