"""crudauth's ``DatabaseStore``."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.databases import DATABASES
from benchmarks.peer import AsyncPeer, NotRunError
from benchmarks.seeding import insert_rows
from benchmarks.workload import STATE, TTL_SECONDS, session_id

_OWN_FIELDS = {"user_id", "ip_address", "user_agent"}


class CrudauthPeer(AsyncPeer):
    """Its session storage on an ORM session maker, as in its guide."""

    name = "crudauth"
    databases = frozenset(DATABASES)
    description = "DatabaseStore(async_sessionmaker(engine, expire_on_commit=False))"

    async def open(self) -> None:
        """Create the tables and the storage."""
        try:
            from crudauth import DatabaseStore
            from crudauth.transports.session.schemas import (
                SessionData,
            )
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        self.engine = create_async_engine(
            self.target.url, pool_size=self.target.pool, max_overflow=0
        )
        self.model: Any = SessionData
        store = DatabaseStore(async_sessionmaker(self.engine, expire_on_commit=False))
        await store.create_tables()
        self.storage: Any = store.storage(expiration=TTL_SECONDS)
        value = self.data().model_dump_json()
        rows = (
            {
                "key": self.storage.get_key(session_id(number)),
                "value": value,
                "user_id": str(STATE["user_id"]),
                "version": 1,
                "expires_at": int((time.time() + TTL_SECONDS) * 1000),
            }
            for number in range(self.target.sessions)
        )
        await insert_rows(self.target, store.store, rows)

    async def close(self) -> None:
        """Dispose the engine."""
        await self.engine.dispose()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"crudauth": version("crudauth")}

    def data(self) -> Any:
        """Return the state in the form that crudauth uses."""
        own = {name: STATE[name] for name in _OWN_FIELDS}
        others = {name: value for name, value in STATE.items() if name not in _OWN_FIELDS}
        return self.model(**own, metadata=others)

    def require_state(self, state: Any) -> None:
        """Raise unless ``state`` is what was stored."""
        assert {name: getattr(state, name) for name in _OWN_FIELDS} | state.metadata == STATE

    async def load(self, session_id: str) -> Any:
        """``get``."""
        return await self.storage.get(session_id, self.model)

    async def touch(self, session_id: str) -> None:
        """``extend``."""
        assert await self.storage.extend(session_id)

    async def update(self, session_id: str) -> None:
        """``update``."""
        assert await self.storage.update(session_id, self.data())

    async def create(self, session_id: str) -> None:
        """``create``."""
        await self.storage.create(self.data(), session_id)

    async def rotate(self, old: str, new: str) -> None:
        """Call ``create`` and ``delete``, because the store has no rotation."""
        await self.storage.create(self.data(), new)
        assert await self.storage.delete(old)
