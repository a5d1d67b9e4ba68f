"""SQLAlchemy Core with hand-written statements, as in an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import orjson
import sqlalchemy
from sqlalchemy import bindparam, event, insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.databases import DATABASES
from benchmarks.peer import AsyncPeer
from benchmarks.peers.handwritten import key_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import STATE, TTL_MICROSECONDS
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import now

if TYPE_CHECKING:
    from sqlalchemy import Executable
    from sqlalchemy.engine.interfaces import DBAPIConnection


class CorePeer(AsyncPeer):
    """Statements are built once; each write is a transaction."""

    name = "SQLAlchemy Core"
    databases = frozenset(DATABASES)
    description = "default engine, max_overflow=0, statements built once, this store's table"
    table = "bench_core"
    options: ClassVar[dict[str, Any]] = {}

    async def open(self) -> None:
        """Create the table and the engine."""
        await create_session_table(self.target, self.table)
        await fill_session_table(self.target, self.table, self.target.sessions)
        self.engine = create_async_engine(
            self.target.url, pool_size=self.target.pool, max_overflow=0, **self.options
        )
        if self.target.database == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _use_wal)
        rows = session_table(self.table)
        deadline, live = now() + TTL_MICROSECONDS, rows.c.deadline > now()
        mine = rows.c.id == bindparam("key")
        change = update(rows).where(mine, live)
        self.load_statement = select(rows.c.state).where(mine, live)
        self.touch_statement = change.values(deadline=deadline)
        self.update_statement = change.values(deadline=deadline, state=bindparam("new_state"))
        self.create_statement = insert(rows).values(
            id=bindparam("key"), deadline=deadline, state=bindparam("new_state")
        )
        self.rotate_statement = change.values(id=bindparam("new_key"))

    async def close(self) -> None:
        """Dispose the engine."""
        await self.engine.dispose()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"sqlalchemy": sqlalchemy.__version__}

    async def write(self, statement: Executable, **parameters: Any) -> None:
        """Execute in a transaction, and check that a row was changed."""
        async with self.engine.begin() as connection:
            result = await connection.execute(statement, parameters)
            assert result.rowcount != 0, "the session was not found"

    async def load(self, session_id: str) -> Any:
        """Select and decode."""
        async with self.engine.connect() as connection:
            state = await connection.scalar(self.load_statement, {"key": key_of(session_id)})
        return None if state is None else orjson.loads(state)

    async def touch(self, session_id: str) -> None:
        """Update the deadline."""
        await self.write(self.touch_statement, key=key_of(session_id))

    async def update(self, session_id: str) -> None:
        """Update state and deadline."""
        state = orjson.dumps(STATE)
        await self.write(self.update_statement, key=key_of(session_id), new_state=state)

    async def create(self, session_id: str) -> None:
        """Insert."""
        state = orjson.dumps(STATE)
        await self.write(self.create_statement, key=key_of(session_id), new_state=state)

    async def rotate(self, old: str, new: str) -> None:
        """Update the key."""
        await self.write(self.rotate_statement, key=key_of(old), new_key=key_of(new))


class AutocommitCorePeer(CorePeer):
    """The same without ``BEGIN`` and ``COMMIT``."""

    name = "SQLAlchemy Core, AUTOCOMMIT"
    description = "the same, isolation_level=AUTOCOMMIT"
    table = "bench_core_autocommit"
    options: ClassVar[dict[str, Any]] = {"isolation_level": "AUTOCOMMIT"}


def _use_wal(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()
