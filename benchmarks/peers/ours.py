"""This store."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy

from benchmarks.databases import DATABASES
from benchmarks.peer import AsyncPeer
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import STATE, TTL
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore

RECORD = SessionRecord(STATE, TTL)


class StorePeer(AsyncPeer):
    """``SQLSessionStore`` with its own engine."""

    databases = frozenset(DATABASES)
    coalesce: ClassVar[bool]
    table: str

    async def open(self) -> None:
        """Create the table and the store."""
        await create_session_table(self.target, self.table)
        await fill_session_table(self.target, self.table, self.target.sessions)
        self.store = SQLSessionStore(
            self.target.url,
            table=self.table,
            coalesce=self.coalesce,
            engine_options={"pool_size": self.target.pool},
        )

    async def close(self) -> None:
        """Close the store."""
        await self.store.aclose()

    async def describe(self) -> dict[str, str]:
        """Return versions."""
        return {"sqlalchemy": sqlalchemy.__version__}

    async def load(self, session_id: str) -> Any:
        """``load``."""
        record = await self.store.load(SessionId(session_id))
        return None if record is None else record.state

    async def touch(self, session_id: str) -> None:
        """``update_ttl``."""
        await self.store.update_ttl(SessionId(session_id), TTL)

    async def update(self, session_id: str) -> None:
        """``update``."""
        await self.store.update(SessionId(session_id), RECORD)

    async def create(self, session_id: str) -> None:
        """``create``."""
        await self.store.create(SessionId(session_id), RECORD)

    async def rotate(self, old: str, new: str) -> None:
        """``change_id``."""
        await self.store.change_id(SessionId(old), SessionId(new))


class CoalescingPeer(StorePeer):
    """The store with its default options."""

    name = "sessionstore_sql"
    description = "default options, except the size of the pool"
    coalesce = True
    table = "bench_coalescing"


class DirectPeer(StorePeer):
    """The store without coalescing."""

    name = "sessionstore_sql, coalesce=False"
    description = "the same, one statement for each call"
    coalesce = False
    table = "bench_direct"
