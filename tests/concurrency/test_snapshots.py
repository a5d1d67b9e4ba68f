"""In a caller's transaction, operations see current rows, not those of its snapshot."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import DuplicateIdError, SessionId, SQLSessionStore, UnknownIdError
from tests.concurrency.stores import record

pytestmark = pytest.mark.anyio


async def test_a_session_created_since_is_a_duplicate(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Create and rotate report an id that was taken after the snapshot as a duplicate."""
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record(by="us"))

    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        assert await bound.load(new_id) is None
        await store.create(new_id, record(by="other"))
        with pytest.raises(DuplicateIdError):
            await bound.create(new_id, record())
        with pytest.raises(DuplicateIdError):
            await bound.change_id(old_id, new_id)
        with pytest.raises(DuplicateIdError):
            await bound.change_id(new_id, new_id)
        await connection.commit()

    loaded = await store.load(new_id)
    assert loaded is not None
    assert loaded.state == {"by": "other"}
    assert await store.load(old_id) is not None


async def test_a_session_deleted_since_is_unknown(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """A session that was deleted after the snapshot can be created, but not updated."""
    session_id = SessionId.generate()
    await store.create(session_id, record())

    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        assert await bound.load(session_id) is not None
        await store.delete(session_id)
        for call in (
            bound.update(session_id, record()),
            bound.delete(session_id),
            bound.change_id(session_id, session_id),
        ):
            with pytest.raises(UnknownIdError):
                await call
        await bound.create(session_id, record(by="us"))
        await connection.commit()

    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"by": "us"}
