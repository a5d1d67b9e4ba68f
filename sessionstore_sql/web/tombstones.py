"""Notes on ids that are followed by another id, for requests that still use the old one.

After a rotation, the old id is unknown, like that of a session that was logged out. For a request
that was in flight, the difference matters. After a logout, its response has to remove the cookie.
After a rotation, it must not: the browser has the new id by then, or is about to receive it, and a
cookie is removed by its name, whatever its value is. The visitor who has just logged in would be
logged out.

A *tombstone* is a row that says that another id followed this one. It does not say which. Before
the id changes, the tombstone is announced, under a key of its own; afterwards, but before the
response starts, it is put into its place. So a request that finds an id unknown, and neither a
tombstone nor an announcement, knows that it was not rotated; and one that finds a tombstone knows
that it was.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.accounts import AccountSessionBackend
from sessionstore_sql.errors import DuplicateIdError, UnknownIdError
from sessionstore_sql.records import SessionId, SessionRecord
from sessionstore_sql.web.decision import Lost

if TYPE_CHECKING:
    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.records import JSON

LIFETIME = timedelta(days=1)
"""How long a tombstone is kept. It has to outlive requests, also the upload of a large file."""

ARRIVAL_PERIOD = timedelta(minutes=15)
"""How long after a rotation a request that arrives with the old id may have been sent before the
browser received the new one. Later, the response with the new id was lost, and the visitor may
start anew."""

_PAUSES = (0.01, 0.04, 0.15, 0.5)
"""Seconds between looks at a tombstone that was announced. Its writer needs one more statement;
if that process died, no client has received the new id."""

_ALONE: dict[str, JSON] = {"after": "rotation"}
_SHARED: dict[str, JSON] = {"after": "rotation", "announced": "more than once"}
_SUCCEEDED: dict[str, JSON] = {"after": "end"}


async def announce(store: SessionStorageBackend, session_id: SessionId) -> bool:
    """Note that an id is about to be rotated.

    Returns:
        Whether no other request has announced it. If one has, the announcement is marked as
        shared before anything else is done, so that the other request finds out.

    Raises:
        DatabaseError: The database failed.
    """
    key = _announcement_of(session_id)
    while True:
        with suppress(DuplicateIdError):
            await store.create(key, SessionRecord(_ALONE, LIFETIME))
            return True
        with suppress(UnknownIdError):  # It was put into its place, or withdrawn, in between.
            await store.update(key, SessionRecord(_SHARED, LIFETIME))
            return False


async def note_rotation(store: SessionStorageBackend, session_id: SessionId) -> None:
    """Note that an id was rotated, after it was announced.

    Raises:
        DatabaseError: The database failed.
    """
    # If it is there already, another request has ended the session and left it.
    with suppress(DuplicateIdError):
        try:
            await store.change_id(_announcement_of(session_id), _tombstone_of(session_id))
        except UnknownIdError:  # It has expired.
            await store.create(_tombstone_of(session_id), SessionRecord(_ALONE, LIFETIME))


async def note_successor(store: SessionStorageBackend, session_id: SessionId) -> None:
    """Note that a session ends, and that the same browser gets another one.

    Raises:
        DatabaseError: The database failed.
    """
    key, record = _tombstone_of(session_id), SessionRecord(_SUCCEEDED, LIFETIME)
    try:
        await store.create(key, record)
    except DuplicateIdError:  # Of a rotation, which is not to be followed any more.
        with suppress(UnknownIdError):
            await store.update(key, record)


async def withdraw(store: SessionStorageBackend, session_id: SessionId) -> None:
    """Delete an announcement, if still no other request relies on it.

    Raises:
        DatabaseError: The database failed.
    """
    announcement = await store.load(_announcement_of(session_id))
    if announcement is not None and announcement.state == _ALONE:
        await _delete(store, _announcement_of(session_id))


async def fate_of(
    store: SessionStorageBackend, session_id: SessionId, *, announced_alone: bool = False
) -> Lost:
    """Return what became of an id that has become unknown.

    Args:
        store: Where the sessions are.
        session_id: The id.
        announced_alone: Whether this request announced a rotation, as the only one. As that
            failed, the announcement is deleted, if still no other request relies on it.

    Raises:
        DatabaseError: The database failed.
        DeserializationError: The tombstone cannot be decoded.
    """
    for pause in (*_PAUSES, None):
        # In this order: an announcement that is put into its place in between is not missed.
        announcement = await store.load(_announcement_of(session_id))
        tombstone = await store.load(_tombstone_of(session_id))
        if tombstone is not None:
            if announcement is not None:  # Of a request that came too late.
                await _delete(store, _announcement_of(session_id))
            return Lost.SUCCEEDED if tombstone.state == _SUCCEEDED else Lost.ROTATED
        if announcement is None:
            return Lost.ENDED
        if announced_alone and announcement.state == _ALONE:
            await _delete(store, _announcement_of(session_id))
            return Lost.ENDED
        if pause is not None:
            await asyncio.sleep(pause)
    return Lost.UNCERTAIN


async def was_followed_lately(store: SessionStorageBackend, session_id: SessionId) -> bool:
    """Return whether an unknown id may have been sent before its successor was received.

    Raises:
        DatabaseError: The database failed.
        DeserializationError: The tombstone cannot be decoded.
    """
    fate = await fate_of(store, session_id)
    if fate not in {Lost.ROTATED, Lost.SUCCEEDED}:
        return False
    age = await _age_of(store, session_id)
    return age is None or age < ARRIVAL_PERIOD


async def _age_of(store: SessionStorageBackend, session_id: SessionId) -> timedelta | None:
    """Return how long ago a tombstone was written, by the clock of the storage.

    ``None`` if it cannot be told, because the absolute lifetime of sessions is shorter than that
    of a tombstone.
    """
    key = _tombstone_of(session_id)
    if not isinstance(store, AccountSessionBackend):
        record = await store.load(key)
        return None if record is None else LIFETIME - record.ttl
    session = await store.load_session(key)
    if session is None or (session.ends_in is not None and session.ends_in <= session.record.ttl):
        return None
    return LIFETIME - session.record.ttl


async def _delete(store: SessionStorageBackend, key: SessionId) -> None:
    with suppress(UnknownIdError):
        await store.delete(key)


def _announcement_of(session_id: SessionId) -> SessionId:
    return _reserved("announcement", session_id)


def _tombstone_of(session_id: SessionId) -> SessionId:
    return _reserved("tombstone", session_id)


def _reserved(purpose: str, session_id: SessionId) -> SessionId:
    digest = hashlib.sha256(session_id.value.encode()).hexdigest()
    return SessionId.reserved(f"{purpose} of {digest}")
