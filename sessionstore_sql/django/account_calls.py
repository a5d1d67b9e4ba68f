"""What the account functions do in the event loop of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts import SessionHandle, SessionInfo
    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.django.sessions import SessionStore
    from sessionstore_sql.web.asked_session import Freshness
    from sessionstore_sql.web.request_session import RequestSession


async def current_handle(
    store: SessionStorageBackend, session: SessionStore
) -> SessionHandle | None:
    """Return the handle of a session."""
    return (await _begin(store, session)).handle


async def sessions_of(
    store: SessionStorageBackend, session: SessionStore, limit: int
) -> list[SessionInfo]:
    """Return the sessions of the user of a session."""
    return await (await _begin(store, session)).sessions_of(limit=limit)


async def revoke(
    store: SessionStorageBackend, session: SessionStore, handle: SessionHandle
) -> tuple[bool, bool]:
    """End a session of the same user. Return whether there was one, and whether it is this one."""
    request_session = await _begin(store, session)
    is_this = handle == request_session.handle
    return await request_session.revoke(handle), is_this


async def sign_out_everywhere(
    store: SessionStorageBackend, session: SessionStore, keep_this: bool
) -> int:
    """End the sessions of the user of a session, and return how many."""
    return await (await _begin(store, session)).sign_out_everywhere(keep_this=keep_this)


async def freshness(
    store: SessionStorageBackend, session: SessionStore, within: timedelta
) -> Freshness:
    """Return whether the user of a session has authenticated within a period."""
    return (await _begin(store, session)).freshness(within)


async def _begin(store: SessionStorageBackend, session: SessionStore) -> RequestSession:
    session.accessed = True
    session.require_open()
    return await session.visit.begin(store)
