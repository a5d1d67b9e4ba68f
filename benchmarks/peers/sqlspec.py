"""sqlspec's session stores for Litestar."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, Float, LargeBinary, Text, column, table

from benchmarks.databases import DATABASES
from benchmarks.peer import AsyncPeer, NotRunError
from benchmarks.seeding import insert_rows
from benchmarks.workload import STATE, TTL, session_id

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

_JULIAN_EPOCH = 2_440_587.5
_SECONDS_PER_DAY = 86_400

_DEADLINE_TYPES: dict[str, TypeEngine[Any]] = {
    "postgresql": DateTime(timezone=True),
    "mysql": DateTime(),
    "mariadb": DateTime(),
    "sqlite": Float(),
}


class SqlspecPeer(AsyncPeer):
    """Its ``get`` extends the session too, so one call is a touch and a request."""

    name = "sqlspec"
    databases = frozenset(DATABASES)
    description = "its Litestar store on its own pool; get(renew_for=..) is touch and request"

    async def open(self) -> None:
        """Create the table and the store."""
        try:
            from litestar.serialization import decode_json, encode_json

            self.config, store_class = self._parts()
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.decode, self.encode = decode_json, encode_json
        self.store: Any = store_class(self.config)
        await self.store.create_table()
        rows = table(
            self.store.table_name,
            column("session_id", Text()),
            column("data", LargeBinary()),
            column("expires_at", _DEADLINE_TYPES[self.target.database]),
        )
        data, expires_at = encode_json(STATE), self._deadline()
        await insert_rows(
            self.target,
            rows,
            (
                {"session_id": session_id(number), "data": data, "expires_at": expires_at}
                for number in range(self.target.sessions)
            ),
        )

    def _parts(self) -> tuple[Any, Any]:
        """Return the configuration and the store for this database."""
        url, size = self.target.url, self.target.pool
        extension: dict[str, Any] = {"litestar": {"session_table": "bench_sqlspec"}}
        if self.target.database == "postgresql":
            from sqlspec.adapters.asyncpg import AsyncpgConfig
            from sqlspec.adapters.asyncpg.litestar import AsyncpgStore

            pool = {"dsn": self.target.dsn, "min_size": size, "max_size": size}
            return AsyncpgConfig(connection_config=pool, extension_config=extension), AsyncpgStore
        if self.target.database == "sqlite":
            from sqlspec.adapters.aiosqlite import AiosqliteConfig
            from sqlspec.adapters.aiosqlite.litestar import AiosqliteStore

            pool = {"database": self.target.path, "pool_size": size}
            return (
                AiosqliteConfig(connection_config=pool, extension_config=extension),
                AiosqliteStore,
            )
        from sqlspec.adapters.aiomysql import AiomysqlConfig
        from sqlspec.adapters.aiomysql.litestar import AiomysqlStore

        pool = {
            "host": url.host,
            "port": url.port or 3306,
            "user": url.username,
            "password": url.password or "",
            "database": url.database,
            "minsize": size,
            "maxsize": size,
            # Without it, reads stay in an old transaction and do not find new sessions.
            "autocommit": True,
        }
        return AiomysqlConfig(connection_config=pool, extension_config=extension), AiomysqlStore

    def _deadline(self) -> Any:
        deadline = datetime.now(UTC) + TTL
        if self.target.database == "postgresql":
            return deadline
        if self.target.database == "sqlite":
            return deadline.timestamp() / _SECONDS_PER_DAY + _JULIAN_EPOCH
        return deadline.replace(tzinfo=None)

    async def close(self) -> None:
        """Close the pool."""
        await self.config.close_pool()

    async def describe(self) -> dict[str, str]:
        """Return the version and the durability settings."""
        found = version("sqlspec")
        if self.target.database == "sqlite":
            async with self.config.provide_connection() as connection:
                rows = await connection.execute_fetchall("PRAGMA synchronous")
            found += f", PRAGMA synchronous={next(iter(next(iter(rows))))} (1 is NORMAL, 2 is FULL)"
        return {"sqlspec": found}

    async def load(self, session_id: str) -> Any:
        """``get``, decoded as Litestar does."""
        data = await self.store.get(session_id)
        return None if data is None else self.decode(data)

    async def touch(self, session_id: str) -> None:
        """``get`` with ``renew_for``."""
        assert await self.store.get(session_id, renew_for=TTL)

    async def request(self, session_id: str) -> None:
        """``get`` with ``renew_for``, decoded."""
        assert self.decode(await self.store.get(session_id, renew_for=TTL))

    async def update(self, session_id: str) -> None:
        """``set``."""
        await self.store.set(session_id, self.encode(STATE), TTL)

    async def create(self, session_id: str) -> None:
        """``set``."""
        await self.store.set(session_id, self.encode(STATE), TTL)

    async def rotate(self, old: str, new: str) -> None:
        """Call ``set`` and ``delete``, because the store has no rotation."""
        await self.store.set(new, self.encode(STATE), TTL)
        await self.store.delete(old)
