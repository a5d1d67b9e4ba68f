"""The contract of every session storage backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.records import SessionId, SessionRecord


@runtime_checkable
class SessionStorageBackend(Protocol):
    """Server-side sessions behind seven operations.

    The clock of the storage decides. A session is *live* while its deadline is in the future, and
    *expired* from then on. There is no third state. An expired session behaves like one that never
    existed, except in ``delete_expired``.

    An operation that returned is committed. One that raised has changed nothing, unless it raised
    a ``DatabaseError`` with ``outcome_unknown``. Any number of tasks, processes and machines may
    call the operations at the same time. The backend handles deadlocks and serialization failures.

    An error of an operation is an instance of the operation's class (``CreateError`` for
    ``create``) and of the class of its cause. Arguments of a wrong type or range raise
    ``TypeError`` or ``ValueError`` before any I/O.
    """

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Store a new session, and replace an expired one with the same id.

        Of several concurrent calls for one id, exactly one succeeds.

        Raises:
            DuplicateIdError: The id is live. Nothing was changed.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Replace the state and the deadline of a live session.

        It never stores a session that is not live. A late write therefore does not revive a
        session that was logged out, has expired or was rotated to another id.

        Raises:
            UnknownIdError: The id is not live. Nothing was stored.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Set the deadline of a live session to ``ttl`` from now. Its state is not changed.

        Args:
            session_id: The session to extend or shorten.
            ttl: From zero to 36,525 days. Zero lets the session expire at once.

        Raises:
            UnknownIdError: The id is not live.
            DatabaseError: The database failed.
        """
        ...

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return the session, or ``None`` if the id is not live.

        The state is equal to the stored one. ``ttl`` is the remaining time to live, and more than
        zero.

        Raises:
            DeserializationError: The stored bytes cannot be decoded. The row is kept.
            DatabaseError: The database failed.
        """
        ...

    async def delete(self, session_id: SessionId) -> None:
        """Delete a live session.

        Raises:
            UnknownIdError: The id is not live.
            DatabaseError: The database failed.
        """
        ...

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session a new id in one atomic change; state and deadline are kept.

        Call it whenever the privileges of a user change, such as at a login, as OWASP's Session
        Management Cheat Sheet requires. There is no moment at which both ids are live, or neither.
        Of several concurrent calls from one id, or to one id, exactly one succeeds. An expired
        session with ``new_id`` is replaced.

        Raises:
            UnknownIdError: ``old_id`` is not live, whatever ``new_id`` is.
            DuplicateIdError: ``new_id`` is live. Both sessions are unchanged. This includes
                ``new_id`` equal to ``old_id``, which is a bug in the caller.
            DatabaseError: The database failed.
        """
        ...

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Delete expired sessions, oldest first, and return their number.

        Live sessions are not affected, including those that were extended just before. Concurrent
        calls neither wait for each other nor count a session twice.

        Args:
            batch_size: The maximum number of sessions to delete, at least 1. ``None``: all.

        Raises:
            DatabaseError: The database failed.
        """
        ...
