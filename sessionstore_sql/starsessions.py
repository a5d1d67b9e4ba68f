"""A store for starsessions, for applications that use it already.

It needs the extra ``starsessions``: ``pip install 'sessionstore-sql[starsessions]'``. New
applications should use ``sessionstore_sql.starlette``. A store of starsessions has one method
``write`` in place of three operations. So it cannot handle every case, and it knows no users:
listing or ending a user's sessions, absolute lifetimes and re-authentication are not available.
"""

from __future__ import annotations

import base64
import json
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sessionstore_sql.accounts import AccountSessionBackend
from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import ConflictError, SerializationError, UnknownIdError
from sessionstore_sql.records import MAX_TTL, SessionId, SessionRecord, require_ttl
from sessionstore_sql.web.changes import Snapshot

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
"""The only key of a state that contains arbitrary bytes, in Base64."""

_MERGES = 3
"""How often changes are put onto a newer state before they are stored unconditionally."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The live session that a request has read.

    Ids are only compared with it, because requests can share a context, as with httpx'
    ASGITransport, and it may then be the session of another visitor.
    """

    store: SQLStore
    session_id: SessionId
    state: dict[str, JSON] = field(repr=False)
    version: int | None

    def is_of(self, store: SQLStore, session_id: SessionId) -> bool:
        return self.store is store and self.session_id == session_id


_read: ContextVar[_Read | None] = ContextVar("sessionstore_sql.starsessions", default=None)


class SQLStore(SessionStore):
    """A ``SessionStore`` of starsessions that keeps sessions in a session store.

    - An id that is not live is never adopted. A session that is written with such an id gets a new
      one, which ``write`` returns and the middleware sends as the cookie.
    - A session that was removed or has expired since this request read it is not revived. Its late
      ``write`` stores nothing, if the session is loaded in the context in which the response is
      sent. Behind a ``BaseHTTPMiddleware`` it is not, and the late write creates a session with
      another id.
    - ``regenerate_session_id`` of starsessions gives the session a second id and leaves the first
      one live. The store is not informed. ``remove`` the old id to end it.
    - Concurrent requests do not undo each other's changes, if the session is loaded in the context
      in which the response is sent, the serializer writes JSON, and the session store is an
      ``AccountSessionBackend``, such as ``SQLSessionStore``: the top-level keys that each of them
      set or deleted are merged. Otherwise, the later write wins, as with every store of
      starsessions.

    The output of the serializer is stored as JSON if it is JSON, so that it is readable and other
    adapters of this package can use it, and in Base64 otherwise. ``read`` returns exactly the same
    bytes, as long as the store's codec keeps the order of keys.

    Errors of the database are ``sessionstore_sql.DatabaseError``.

    Args:
        store: The session store.
        session_only_ttl: The lifetime of a session whose cookie ends with the browser
            (``lifetime=0`` in starsessions).

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
        self._accounts = store if isinstance(store, AccountSessionBackend) else None
        self._session_only_ttl = session_only_ttl

    async def read(self, session_id: str, lifetime: int) -> bytes:  # noqa: ARG002  # part of the interface
        """Return the stored bytes, or no bytes if the id is not live."""
        known = _as_id(session_id)
        found = None if known is None else await self._load(known)
        if known is None or found is None:
            _read.set(None)
            return b""
        state, version = found
        _read.set(_Read(self, known, state, version))
        return _bytes_of(state)

    async def write(self, session_id: str, data: bytes, lifetime: int, ttl: int) -> str:
        """Store the data and return their id: a new one if ``session_id`` is not live.

        Args:
            session_id: The id in the cookie, or a new one.
            data: The serialized session.
            lifetime: Zero if the cookie ends with the browser.
            ttl: The time to live in seconds. Ignored if ``lifetime`` is zero.
        """
        record = SessionRecord(_state_of(data), self._ttl(lifetime, ttl))
        known = _as_id(session_id)
        if known is not None:
            read = _read.get()
            is_known = read is not None and read.is_of(self, known)
            try:
                await self._update(known, record, read if is_known else None)
            except UnknownIdError:
                if is_known:
                    return session_id
            else:
                return session_id
        new_id = SessionId.generate()
        await self._store.create(new_id, record)
        return new_id.value

    async def remove(self, session_id: str) -> None:
        """Delete the session. If there is none, do nothing."""
        known = _as_id(session_id)
        if known is None:
            return
        try:
            await self._store.delete(known)
        except UnknownIdError:
            return

    async def _load(self, session_id: SessionId) -> tuple[dict[str, JSON], int | None] | None:
        if self._accounts is None:
            record = await self._store.load(session_id)
            return None if record is None else (record.state, None)
        session = await self._accounts.load_session(session_id)
        return None if session is None else (session.record.state, session.version)

    async def _update(
        self, session_id: SessionId, record: SessionRecord, read: _Read | None
    ) -> None:
        """Store a session. What it changed since ``read`` is put onto what others stored."""
        version, state = None if read is None else read.version, record.state
        if self._accounts is not None and read is not None and version is not None:
            changes = Snapshot(read.state).changes_to(state)
            for _ in range(_MERGES + 1):
                if _BYTES in state:
                    break
                try:
                    record = SessionRecord(state, record.ttl)
                    await self._accounts.update_if(session_id, record, version)
                except ConflictError:
                    newer = await self._accounts.load_session(session_id)
                    if newer is None:
                        raise UnknownIdError(session_id) from None
                    state, version = changes.onto(newer.record.state), newer.version
                else:
                    return
        await self._store.update(session_id, record)

    def _ttl(self, lifetime: int, ttl: int) -> timedelta:
        if lifetime == 0:
            return self._session_only_ttl
        # Without `rolling`, ttl is negative if the request ends after its session.
        return timedelta(seconds=min(max(ttl, 0), MAX_TTL.total_seconds()))


def _as_id(session_id: str) -> SessionId | None:
    """Return the id that a client sent, or ``None`` if the text cannot be one."""
    try:
        return SessionId(session_id)
    except ValueError:
        return None


def _state_of(data: bytes) -> dict[str, JSON]:
    try:
        state = json.loads(data)
        if isinstance(state, dict) and _bytes_of(state) == data:
            JSONCodec().encode(state)  # stricter than the json module
            return state
    except (ValueError, RecursionError, SerializationError):
        pass
    return {_BYTES: base64.b64encode(data).decode()}


def _bytes_of(state: dict[str, JSON]) -> bytes:
    text = state.get(_BYTES)
    if len(state) == 1 and isinstance(text, str):
        return base64.b64decode(text)
    return json.dumps(state).encode()  # like the serializer of starsessions
