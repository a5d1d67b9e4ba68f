"""A backend in a dict: the contract without a database, and ways to break it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DuplicateIdError,
    JSONCodec,
    SerializationError,
    SessionId,
    SessionRecord,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.records import require_ttl


class MemoryBackend:
    """Correct: no operation awaits anything, so each is atomic."""

    def __init__(self) -> None:
        self.rows: dict[SessionId, tuple[bytes, float]] = {}
        self.codec = JSONCodec()

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session."""
        require(session_id, SessionId)
        require(record, SessionRecord)
        data = self.encode(CreateError, record)
        if self.is_live(session_id):
            raise for_operation(CreateError, DuplicateIdError(session_id))
        self.rows[session_id] = data, deadline(record.ttl)

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace a live session."""
        require(session_id, SessionId)
        require(record, SessionRecord)
        data = self.encode(UpdateError, record)
        self.require_live(UpdateError, session_id)
        self.rows[session_id] = data, deadline(record.ttl)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Extend a live session."""
        require(session_id, SessionId)
        require_ttl(ttl)
        self.require_live(UpdateTtlError, session_id)
        self.rows[session_id] = self.rows[session_id][0], deadline(ttl)

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return a live session."""
        require(session_id, SessionId)
        if not self.is_live(session_id):
            return None
        data, until = self.rows[session_id]
        remaining = timedelta(seconds=max(until - time.monotonic(), 1e-6))
        return SessionRecord(self.codec.decode(data), remaining)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session."""
        require(session_id, SessionId)
        self.require_live(DeleteError, session_id)
        del self.rows[session_id]

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another id."""
        require(old_id, SessionId)
        require(new_id, SessionId)
        self.require_live(ChangeIdError, old_id)
        if self.is_live(new_id):
            raise for_operation(ChangeIdError, DuplicateIdError(new_id))
        self.rows[new_id] = self.rows.pop(old_id)

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions, oldest first."""
        if batch_size is not None:
            if not isinstance(batch_size, int) or isinstance(batch_size, bool):
                raise TypeError("batch_size is an int")
            if batch_size < 1:
                raise ValueError("batch_size is at least 1")
        expired = sorted(
            (each for each in self.rows if not self.is_live(each)),
            key=lambda each: self.rows[each][1],
        )[:batch_size]
        for session_id in expired:
            del self.rows[session_id]
        return len(expired)

    def is_live(self, session_id: SessionId) -> bool:
        """Whether there is such a session, and it has not expired."""
        return session_id in self.rows and self.rows[session_id][1] > time.monotonic()

    def require_live(self, operation: type[Any], session_id: SessionId) -> None:
        """Raise unless the session is live."""
        if not self.is_live(session_id):
            raise for_operation(operation, UnknownIdError(session_id))

    def encode(self, operation: type[Any], record: SessionRecord) -> bytes:
        """Return the state as bytes."""
        try:
            return self.codec.encode(record.state)
        except SerializationError as error:
            cause = error
        raise for_operation(operation, cause)


def require(value: object, wanted: type) -> None:
    """Raise unless ``value`` is of the type wanted."""
    if not isinstance(value, wanted):
        raise TypeError(f"wanted a {wanted.__name__}")


def deadline(ttl: timedelta) -> float:
    """Return when a session that is stored now expires."""
    return time.monotonic() + ttl.total_seconds()
