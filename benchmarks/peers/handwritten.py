"""The drivers with hand-written SQL, with the same table and the same conditions.

They use this store's table, so that a touch changes no index, and hash their keys as well. Only
the way to the database differs.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Any, ClassVar

import orjson

from benchmarks.peer import AsyncPeer, NotRunError
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import STATE, TTL_MICROSECONDS


def key_of(session_id: str) -> bytes:
    """Return the key in the table."""
    return hashlib.sha256(session_id.encode()).digest()


class HandwrittenPeer(AsyncPeer):
    """A driver: fetches one value, or returns the number of changed rows."""

    table: ClassVar[str]
    now: ClassVar[str]
    """The database's clock, in microseconds."""
    marker = "?"

    async def open(self) -> None:
        """Create the table, connect, and prepare the statement texts."""
        await create_session_table(self.target, self.table)
        await fill_session_table(self.target, self.table, self.target.sessions)
        await self.connect()
        mark = self.marks
        live = f"deadline > {self.now}"
        table, deadline = self.table, f"{self.now} + {TTL_MICROSECONDS}"
        self.load_sql = f"SELECT state FROM {table} WHERE id = {mark(1)} AND {live}"
        self.touch_sql = f"UPDATE {table} SET deadline = {deadline} WHERE id = {mark(1)} AND {live}"
        self.update_sql = (
            f"UPDATE {table} SET state = {mark(1)}, deadline = {deadline} "
            f"WHERE id = {mark(2)} AND {live}"
        )
        self.create_sql = (
            f"INSERT INTO {table} (id, deadline, state) VALUES ({mark(1)}, {deadline}, {mark(2)})"
        )
        self.rotate_sql = f"UPDATE {table} SET id = {mark(1)} WHERE id = {mark(2)} AND {live}"

    def marks(self, number: int) -> str:  # noqa: ARG002  # asyncpg numbers them
        """Return the marker of a parameter."""
        return self.marker

    @abstractmethod
    async def connect(self) -> None:
        """Open the pool."""

    @abstractmethod
    async def state_of(self, sql: str, *parameters: Any) -> bytes | None:
        """Return the one value of the one row."""

    @abstractmethod
    async def count(self, sql: str, *parameters: Any) -> int:
        """Commit, and return the number of changed rows."""

    async def load(self, session_id: str) -> Any:
        """Select and decode."""
        state = await self.state_of(self.load_sql, key_of(session_id))
        return None if state is None else orjson.loads(state)

    async def touch(self, session_id: str) -> None:
        """Update the deadline."""
        _require_one(await self.count(self.touch_sql, key_of(session_id)))

    async def update(self, session_id: str) -> None:
        """Update state and deadline."""
        state = orjson.dumps(STATE)
        _require_one(await self.count(self.update_sql, state, key_of(session_id)))

    async def create(self, session_id: str) -> None:
        """Insert."""
        await self.count(self.create_sql, key_of(session_id), orjson.dumps(STATE))

    async def rotate(self, old: str, new: str) -> None:
        """Update the key."""
        _require_one(await self.count(self.rotate_sql, key_of(new), key_of(old)))


class AsyncpgPeer(HandwrittenPeer):
    """A pool with the defaults of ``create_pool``."""

    name = "asyncpg pool"
    databases = frozenset({"postgresql"})
    description = "create_pool, min_size = max_size, fetchval and execute of the pool"
    table = "bench_asyncpg"
    now = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint"

    def marks(self, number: int) -> str:
        """Return the marker of a parameter."""
        return f"${number}"

    async def connect(self) -> None:
        """Open the pool."""
        try:
            import asyncpg
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.version = asyncpg.__version__
        size = self.target.pool
        self.pool = await asyncpg.create_pool(
            self.target.dsn, min_size=size, max_size=size, **self.options()
        )

    def options(self) -> dict[str, Any]:
        """Return further options of the pool."""
        return {}

    async def close(self) -> None:
        """Close the pool."""
        await self.pool.close()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"asyncpg": self.version}

    async def state_of(self, sql: str, *parameters: Any) -> bytes | None:
        """Fetch on a connection of the pool."""
        state: bytes | None = await self.pool.fetchval(sql, *parameters)
        return state

    async def count(self, sql: str, *parameters: Any) -> int:
        """Execute on a connection of the pool."""
        status: str = await self.pool.execute(sql, *parameters)
        return int(status.rpartition(" ")[2])


class BareAsyncpgPeer(AsyncpgPeer):
    """A pool that does not reset returned connections, which saves a round trip."""

    name = "asyncpg pool, no reset"
    description = "the same, with a reset that does nothing: no round trip on return"
    table = "bench_asyncpg_bare"

    def options(self) -> dict[str, Any]:
        """Return a reset that does nothing."""

        async def leave_it(_connection: object) -> None:
            pass

        return {"reset": leave_it}


class AiomysqlPeer(HandwrittenPeer):
    """A pool with the defaults of ``create_pool``, in autocommit mode."""

    name = "aiomysql pool"
    databases = frozenset({"mysql", "mariadb"})
    description = "create_pool, minsize = maxsize, autocommit"
    table = "bench_aiomysql"
    now = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
    marker = "%s"

    async def connect(self) -> None:
        """Open the pool."""
        try:
            import aiomysql
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.version = aiomysql.__version__
        url, size = self.target.url, self.target.pool
        self.pool = await aiomysql.create_pool(
            host=url.host,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            db=url.database,
            minsize=size,
            maxsize=size,
            autocommit=True,
        )

    async def close(self) -> None:
        """Close the pool."""
        self.pool.close()
        await self.pool.wait_closed()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"aiomysql": self.version}

    async def state_of(self, sql: str, *parameters: Any) -> bytes | None:
        """Fetch on a connection of the pool."""
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql, parameters)
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def count(self, sql: str, *parameters: Any) -> int:
        """Execute on a connection of the pool."""
        async with self.pool.acquire() as connection, connection.cursor() as cursor:
            count: int = await cursor.execute(sql, parameters)
        return count


class AiosqlitePeer(HandwrittenPeer):
    """One connection, because SQLite has one writer; used as its documentation shows."""

    name = "aiosqlite"
    databases = frozenset({"sqlite"})
    description = "one connection; execute, fetchone, close; execute, commit; WAL"
    table = "bench_aiosqlite"
    options: ClassVar[dict[str, Any]] = {}
    now = "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)"

    async def connect(self) -> None:
        """Open the connection."""
        try:
            import aiosqlite
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.version = aiosqlite.__version__
        self.connection = await aiosqlite.connect(self.target.path, **self.options)
        await self.connection.execute("PRAGMA journal_mode=WAL")

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"aiosqlite": self.version}

    async def state_of(self, sql: str, *parameters: Any) -> bytes | None:
        """Fetch from a cursor, with three thread switches."""
        async with self.connection.execute(sql, parameters) as cursor:
            row = await cursor.fetchone()
        return None if row is None else row[0]

    async def count(self, sql: str, *parameters: Any) -> int:
        """Execute and commit; this also commits the statements of other callers."""
        cursor = await self.connection.execute(sql, parameters)
        await self.connection.commit()
        return cursor.rowcount


class OneTurnAiosqlitePeer(AiosqlitePeer):
    """aiosqlite with one thread switch for each call, its minimum."""

    name = "aiosqlite, one turn"
    description = "one connection in autocommit; execute_fetchall, or execute and no close; WAL"
    table = "bench_aiosqlite_one_turn"
    options: ClassVar[dict[str, Any]] = {"isolation_level": None}

    async def state_of(self, sql: str, *parameters: Any) -> bytes | None:
        """Fetch all."""
        rows = list(await self.connection.execute_fetchall(sql, parameters))
        return rows[0][0] if rows else None

    async def count(self, sql: str, *parameters: Any) -> int:
        """Execute."""
        cursor = await self.connection.execute(sql, parameters)
        return cursor.rowcount


def _require_one(count: int) -> None:
    assert count == 1, "the session was not found"
