"""The second contract: what a backend does that knows whose sessions it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sessionstore_sql.accounts.sessions import UNCHANGED

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts.sessions import (
        AccountSession,
        IdleTtl,
        SessionHandle,
        SessionInfo,
    )
    from sessionstore_sql.records import JSON, SessionId, SessionRecord


@runtime_checkable
class AccountSessionBackend(Protocol):
    """Operations on the sessions of one user.

    They work on the sessions of ``SessionStorageBackend`` and follow its rules for clocks, errors,
    commits and concurrent calls. ``SQLSessionStore`` implements both.

    A *subject* is the application's id of a user: text of 1 to 1,024 characters, compared exactly.
    The database holds its digest only. A *handle* names one signed-in session of a subject.

    A session with an absolute lifetime ends when the lifetime is over, even if it is extended. No
    operation sets a deadline after that, those of ``SessionStorageBackend`` included. The lifetime
    counts from ``sign_in``; if the store has a ``lifetime``, that of an anonymous session counts
    from ``create``.
    """

    async def sign_in(  # noqa: PLR0913  # options, each by keyword
        self,
        old_id: SessionId | None,
        new_id: SessionId,
        record: SessionRecord,
        *,
        subject: str,
        about: dict[str, JSON] | None = None,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> SessionHandle:
        """Sign a user in: give the session to ``subject`` under a new id, and return its handle.

        Call it at every login, and when a user who is signed in enters the password again.
        Id, state, deadline, subject and times change in one statement.

        If the session at ``old_id`` belongs to the same subject already, this is
        re-authentication: handle and creation time stay. If it belongs to another subject,
        nothing of that subject's session remains.

        Args:
            old_id: The live session that the user signs in from; ``None`` if there is none.
            new_id: The id of the session from here on.
            record: State and time to live, which replace those of the old session.
            subject: The user.
            about: What ``sessions_of`` shows about the session, such as the name of the device.
                ``None`` keeps what is there at re-authentication, ``{}`` clears it. A session
                that was not of ``subject`` before begins with ``{}``.
            lifetime: Absolute lifetime, more than zero. ``None``: the store's.
            max_sessions: Maximum number of live sessions of the subject. After the sign-in is
                committed, the oldest ones above it are ended; a sign-in is never rejected.
                ``None``: the store's.
            version: Sign in only if the state is still the one that was loaded with it.
            idle_ttl: For adapters: the session's own idle time. ``UNCHANGED`` keeps it, ``None``
                means the application's default.

        Raises:
            UnknownIdError: ``old_id`` is not live; nothing was stored. Call it again with
                ``None``, as the user has proved who they are.
            DuplicateIdError: ``new_id`` is live, or equal to ``old_id``. Nothing was changed.
            ConflictError: Another state was stored since ``version``. Nothing was changed.
            SerializationError: The state or ``about`` would not come back equal. Nothing was
                changed.
            DatabaseError: The database failed.
        """
        ...

    async def load_session(self, session_id: SessionId) -> AccountSession | None:
        """Return a live session with its handle, ages and version; ``None`` if it is not live.

        Raises:
            DeserializationError: The stored state cannot be decoded. The row is kept.
            DatabaseError: The database failed.
        """
        ...

    async def sessions_of(self, subject: str, *, limit: int = 100) -> list[SessionInfo]:
        """Return the live sessions of a user, the one that was written last first.

        An ``about`` that cannot be decoded is an empty one, and an error is logged: the user must
        still be able to end that session.

        Args:
            subject: The user.
            limit: Maximum number of sessions to return, at least 1.

        Raises:
            DatabaseError: The database failed.
        """
        ...

    async def revoke(
        self, subject: str, *, only: SessionHandle | None = None, keep: SessionHandle | None = None
    ) -> int:
        """End sessions of a user, and return how many.

        When it returns, every session whose ``sign_in`` returned before this call has ended, even
        if its id was rotated meanwhile. Sessions that expired and were not purged are counted too.

        A login that checked the old password before this call and signs in after it is not
        affected. The page *Accounts* of the documentation shows how to prevent that.

        Args:
            subject: The user.
            only: End this session and no other.
            keep: End all sessions but this one.

        Raises:
            ValueError: Both ``only`` and ``keep`` were given.
            DatabaseError: The database failed.
        """
        ...

    async def sign_out(self, session_id: SessionId, session: AccountSession) -> None:
        """End a session, even if its id was rotated since. It is no error if it ended before.

        Args:
            session_id: The id under which it was loaded.
            session: What ``load_session`` returned for it.

        Raises:
            DatabaseError: The database failed.
        """
        ...

    async def replace(
        self,
        old_id: SessionId,
        new_id: SessionId,
        record: SessionRecord,
        *,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> None:
        """Replace id, state and deadline of a live session in one statement.

        The session keeps its user, its handle and its times.

        Args:
            old_id: The live session.
            new_id: Its id from here on.
            record: State and time to live.
            version: Replace only if the state is still the one that was loaded with it.
            idle_ttl: As for ``sign_in``.

        Raises:
            UnknownIdError: ``old_id`` is not live.
            DuplicateIdError: ``new_id`` is live, or equal to ``old_id``. Nothing was changed.
            ConflictError: Another state was stored since ``version``. Nothing was changed.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...

    async def update_if(
        self,
        session_id: SessionId,
        record: SessionRecord,
        version: int,
        *,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> int:
        """Replace state and deadline if the state is still the one that was loaded.

        Args:
            session_id: The live session.
            record: State and time to live.
            version: ``AccountSession.version``, or what ``update_if`` returned.
            idle_ttl: As for ``sign_in``.

        Returns:
            The new version.

        Raises:
            UnknownIdError: The id is not live. Nothing was stored.
            ConflictError: Another state was stored since ``version``. Nothing was changed.
            SerializationError: The state would not come back equal. Nothing was changed.
            DatabaseError: The database failed.
        """
        ...
