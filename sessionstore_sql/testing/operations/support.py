"""Sessions for the tests of the seven operations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql import (
    SessionId,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend


MINUTE = timedelta(minutes=1)

CENTURY = timedelta(days=36_525)


async def expired_id(backend: SessionStorageBackend) -> SessionId:
    """Return the id of a session that was stored and has expired."""
    session_id = SessionId.generate()
    await backend.create(session_id, record(AT_ONCE, was="expired"))
    return session_id


async def live_id(backend: SessionStorageBackend, ttl: timedelta = HOUR) -> SessionId:
    """Return the id of a live session."""
    session_id = SessionId.generate()
    await backend.create(session_id, record(ttl, was="live"))
    return session_id


async def state_of(backend: SessionStorageBackend, session_id: SessionId) -> dict[str, Any] | None:
    """Return the state of a session, or ``None`` if it is not live."""
    loaded = await backend.load(session_id)
    return None if loaded is None else loaded.state
