"""The contract: what every session storage backend does, at the edges too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.records import SessionId, SessionRecord


@runtime_checkable
class SessionStorageBackend(Protocol):
    """Server-side sessions behind seven operations.

    One clock decides: the storage's own. A session is *live* while its deadline lies after now,
    and *expired* from then on; there is no third state. An expired session behaves as one that
    never existed, in every operation but ``delete_expired``.

    An operation that returned has committed. One that raised has changed nothing, unless it
    raised ``DatabaseError`` with ``outcome_unknown``. Each may be called from any number of
    tasks, processes and machines at once; deadlocks and serialization failures are the
    backend's affair, not the caller's.

    Whatever an operation raises about its work is an instance of its own operation class
    (``CreateError`` for ``create``) and of one cause. Arguments of a wrong type or range are
    ``TypeError`` or ``ValueError``, before any I/O.
    """

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session, replacing an expired one of the same id.

        Of any number of concurrent calls for one id, exactly one wins.

        Raises:
            DuplicateIdError: The id is live. Nothing was changed.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace the state and the deadline of a live session.

        It never stores a session that is not live: a late write does not revive a session that
        was logged out, has expired or was rotated to another id.

        Raises:
            UnknownIdError: The id is not live. Nothing was stored.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Let a live session expire ``ttl`` from now. Its state is not read or written.

        Args:
            session_id: The session to extend, or to shorten.
            ttl: Between zero and 36,525 days; the same value again is fine, zero ends it now.

        Raises:
            UnknownIdError: The id is not live.
            DatabaseError: The database failed.
        """
        ...

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return the session, or ``None`` where the id is not live.

        The state is equal to what was stored; ``ttl`` is the life that remains, more than zero.

        Raises:
            DeserializationError: The stored bytes cannot be decoded. The row is kept.
            DatabaseError: The database failed.
        """
        ...

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session.

        Raises:
            UnknownIdError: The id is not live.
            DatabaseError: The database failed.
        """
        ...

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another id, as one atomic change; state and deadline stay.

        OWASP's Session Management Cheat Sheet asks for it at every change of privilege, such
        as a login. No moment exists at which both ids, or neither, are live. Of concurrent calls
        from one id, or onto one id, exactly one wins. An expired session at ``new_id`` is
        replaced.

        Raises:
            UnknownIdError: ``old_id`` is not live, whatever ``new_id`` is.
            DuplicateIdError: ``new_id`` is live, ``old_id`` itself included: a rotation that
                rotates nothing is a bug in the caller. Both sessions are intact.
            DatabaseError: The database failed.
        """
        ...

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Remove expired sessions, oldest first, and return how many.

        A live session is never touched, nor one that was extended before its turn came. Calls at
        the same time neither wait for each other nor count a session twice.

        Args:
            batch_size: At most so many, at least 1; ``None`` for all there are.

        Raises:
            DatabaseError: The database failed.
        """
        ...
