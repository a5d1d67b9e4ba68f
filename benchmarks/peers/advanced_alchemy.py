"""advanced-alchemy's store for Litestar."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from benchmarks.databases import DATABASES, scratch_engine
from benchmarks.peer import AsyncPeer, NotRunError
from benchmarks.seeding import insert_rows
from benchmarks.workload import STATE, TTL, session_id


class AdvancedAlchemyPeer(AsyncPeer):
    """Its ``get`` extends the session too, so one call is a touch and a request."""

    name = "advanced-alchemy"
    databases = frozenset(DATABASES)
    description = "SQLAlchemyStore on a default engine; get(renew_for=..) is touch and request"

    async def open(self) -> None:
        """Create the table and the store."""
        try:
            from advanced_alchemy.extensions.litestar import (
                EngineConfig,
                SQLAlchemyAsyncConfig,
            )
            from advanced_alchemy.extensions.litestar.store import (
                SQLAlchemyStore,
            )
            from litestar.serialization import decode_json, encode_json
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.decode, self.encode = decode_json, encode_json
        self.config = SQLAlchemyAsyncConfig(
            connection_string=self.target.url.render_as_string(hide_password=False),
            engine_config=EngineConfig(pool_size=self.target.pool, max_overflow=0),
        )
        model = _model()
        self.store: Any = SQLAlchemyStore(self.config, model=model)
        rows: Any = model.__table__
        engine = scratch_engine(self.target.url)
        async with engine.begin() as connection:
            await connection.run_sync(rows.create)
        await engine.dispose()
        data, expires_at = encode_json(STATE), datetime.now(UTC) + TTL
        await insert_rows(
            self.target,
            rows,
            (
                {
                    "id": uuid.uuid4(),
                    "key": session_id(number),
                    "namespace": self.store.namespace,
                    "value": data,
                    "expires_at": expires_at,
                }
                for number in range(self.target.sessions)
            ),
        )

    async def close(self) -> None:
        """Dispose the engine."""
        await self.config.get_engine().dispose()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"advanced-alchemy": version("advanced-alchemy")}

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


@cache
def _model() -> Any:
    from advanced_alchemy.extensions.litestar.store import StoreModelMixin

    class BenchmarkSession(StoreModelMixin):
        __tablename__ = "bench_advanced_alchemy"

    return BenchmarkSession
