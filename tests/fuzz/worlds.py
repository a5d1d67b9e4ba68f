"""A table with some sessions, stores on it, and snapshots of its rows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    URL,
    BindParameter,
    MetaData,
    Row,
    Table,
    delete,
    insert,
    inspect,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from sessionstore_sql import JSON, SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named
from tests.fuzz.hostile import SECRET

NEIGHBOURS = [SessionId(f"neighbour {SECRET} {number}") for number in range(3)]
LIVE = SessionId(f"live {SECRET}")
EXPIRED = SessionId(f"expired {SECRET}")
UNKNOWN = SessionId(f"unknown {SECRET}")

STATE: dict[str, JSON] = {"secret": SECRET, "cart": [1, 2]}
_DAY = timedelta(days=1)


class World:
    """A new table in a database, and an event loop."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.table = f"fuzz_{secrets.token_hex(4)}"
        self.rows = session_table(self.table)
        self.is_file = url.get_backend_name() == "sqlite"
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.run(migrate.upgrade(self.url, table=self.table))
        self.store = SQLSessionStore(self.url, table=self.table)
        self.alone = SQLSessionStore(self.url, table=self.table, coalesce=False)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self.store.aclose())
        self.run(self.alone.aclose())
        self.run(migrate.downgrade(self.url, "base", table=self.table))
        self._runner.__exit__(exc_type, exc, traceback)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the event loop."""
        return self._runner.run(work)

    def share(self, examples: int) -> int:
        """Return the number of examples: fewer on servers, where each takes round trips."""
        return examples if self.is_file else max(1, examples // 6)

    async def reset(self) -> None:
        """Restore the initial sessions, and delete all others."""
        async with self._connection() as connection:
            await connection.execute(delete(self.rows))
        for session_id in (*NEIGHBOURS, LIVE):
            await self.alone.create(session_id, SessionRecord(dict(STATE), _DAY))
        await self.alone.create(EXPIRED, SessionRecord(dict(STATE), timedelta(0)))

    async def snapshot(self) -> Sequence[Row[Any]]:
        """Return every stored row."""
        columns = [self.rows.c[name] for name in ("id", "deadline", "state")]
        async with self._connection() as connection:
            found = (await connection.execute(select(*columns))).all()
        return sorted(found, key=lambda row: bytes(row.id))

    async def write(self, session_id: SessionId, **values: Any) -> None:
        """Change the row of a session by hand."""
        is_meant = self.rows.c.id == self.bytes(key_of(session_id))
        changed = update(self.rows).where(is_meant).values(**values)
        async with self._connection() as connection:
            await connection.execute(changed)

    async def insert(self, **values: Any) -> None:
        """Add a row by hand."""
        async with self._connection() as connection:
            await connection.execute(insert(self.rows).values(**values))

    async def tables(self) -> set[str]:
        """Return the names of all tables."""
        async with self._connection() as connection:
            return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))

    async def drop(self, table: str) -> None:
        """Drop a table."""
        async with self._connection() as connection:
            await connection.run_sync(Table(table, MetaData()).drop)

    def bytes(self, value: bytes) -> BindParameter[bytes]:
        """Return a bytes parameter that works with every driver."""
        return literal(value, dialect_named(self.url.get_backend_name()).binary)

    def _connection(self) -> AsyncConnection:
        return self.alone.engine.connect()
