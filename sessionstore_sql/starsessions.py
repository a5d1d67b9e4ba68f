"""A store for starsessions, for applications that use it already.

Needs the extra ``starsessions``: ``pip install 'sessionstore-sql[starsessions]'``. Applications
that can choose are better off with ``sessionstore_sql.starlette``: starsessions has one ``write``
for what are three operations here, and this store has to guess.
"""

from __future__ import annotations

import base64
import json
from contextvars import ContextVar
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import SerializationError, UnknownIdError
from sessionstore_sql.records import MAX_TTL, SessionId, SessionRecord, require_ttl

if find_spec("starsessions") is None:
    raise ModuleNotFoundError(
        "starsessions is not installed: pip install 'sessionstore-sql[starsessions]'",
        name="starsessions",
    )

from starsessions import SessionStore

if TYPE_CHECKING:
    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.records import JSON

_BYTES = "starsessions.bytes"
"""The one key of a state that holds bytes, in Base64."""

_read: ContextVar[tuple[SQLStore, SessionId] | None] = ContextVar(
    "sessionstore_sql.starsessions", default=None
)
"""The live session that this request has read. An id is only ever compared with it: where several
requests share a context, as with httpx' ASGITransport, it may be another visitor's."""


class SQLStore(SessionStore):
    """The sessions of starsessions, in a session store.

    - An id that is not live is never adopted, whoever sent it: what is written under it gets a new
      id, which ``write`` returns and the middleware puts into the cookie.
    - A session that was removed or has expired since this request read it is not revived: its
      late ``write`` stores nothing. That is so where the session is loaded in the context in
      which the response is sent; behind a ``BaseHTTPMiddleware`` it is not, and the late write
      becomes a session of another id.
    - ``regenerate_session_id`` of starsessions gives the session a second id and leaves the first
      one live. Nobody tells a store: to end it, ``remove`` the old id.
    - Of two requests at once, the later write wins, as ever with starsessions.

    What the serializer made is stored as JSON where it is JSON, so that it can be read and other
    adapters of this package find it, and in Base64 otherwise. What comes back is equal, byte by
    byte, as long as the store's codec keeps the order of keys.

    Whatever the database refuses is ``sessionstore_sql.DatabaseError``.

    Args:
        store: Where the sessions are.
        session_only_ttl: How long a session lives that ends with the browser, as far as the
            browser is concerned: starsessions' ``lifetime=0``.

    Raises:
        TypeError, ValueError: ``session_only_ttl`` is not a time to live.
    """

    def __init__(
        self,
        store: SessionStorageBackend,
        *,
        session_only_ttl: timedelta = timedelta(days=30),
    ) -> None:
        require_ttl(session_only_ttl)
        self._store = store
        self._session_only_ttl = session_only_ttl

    async def read(self, session_id: str, lifetime: int) -> bytes:  # noqa: ARG002  # theirs
        """Return what was written, or no bytes where the id is not live."""
        known = _as_id(session_id)
        record = None if known is None else await self._store.load(known)
        if known is None or record is None:
            _read.set(None)
            return b""
        _read.set((self, known))
        return _bytes_of(record.state)

    async def write(self, session_id: str, data: bytes, lifetime: int, ttl: int) -> str:
        """Store the data, and return the id they have: a new one, where this one is not live.

        Args:
            session_id: From the cookie, or new.
            data: What the serializer made of the session.
            lifetime: Zero for a session that ends with the browser.
            ttl: Seconds to live; without a meaning where ``lifetime`` is zero.
        """
        record = SessionRecord(_state_of(data), self._ttl(lifetime, ttl))
        known = _as_id(session_id)
        if known is not None:
            try:
                await self._store.update(known, record)
            except UnknownIdError:
                if _read.get() == (self, known):
                    return session_id
            else:
                return session_id
        new_id = SessionId.generate()
        await self._store.create(new_id, record)
        return new_id.value

    async def remove(self, session_id: str) -> None:
        """Remove the session; where there is none, do nothing."""
        known = _as_id(session_id)
        if known is None:
            return
        try:
            await self._store.delete(known)
        except UnknownIdError:
            return

    def _ttl(self, lifetime: int, ttl: int) -> timedelta:
        if lifetime == 0:
            return self._session_only_ttl
        # Without `rolling`, a request that outlasts its session has less than nothing left.
        return timedelta(seconds=min(max(ttl, 0), MAX_TTL.total_seconds()))


def _as_id(session_id: str) -> SessionId | None:
    """Return what a client sent as an id; ``None`` for what cannot be one."""
    try:
        return SessionId(session_id)
    except ValueError:
        return None


def _state_of(data: bytes) -> dict[str, JSON]:
    try:
        state = json.loads(data)
        if isinstance(state, dict) and _bytes_of(state) == data:
            JSONCodec().encode(state)  # which refuses some of what Python's JSON lets through
            return state
    except (ValueError, RecursionError, SerializationError):
        pass
    return {_BYTES: base64.b64encode(data).decode()}


def _bytes_of(state: dict[str, JSON]) -> bytes:
    text = state.get(_BYTES)
    if len(state) == 1 and isinstance(text, str):
        return base64.b64decode(text)
    return json.dumps(state).encode()  # as starsessions' own serializer does
