"""One request's session: from what the request presents to what its response says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sessionstore_sql.web.asked_session import AskedSession
from sessionstore_sql.web.changes import NO_CHANGES, Snapshot
from sessionstore_sql.web.decision import Cookie, Wish
from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.options import require_handle
from sessionstore_sql.web.saving import save
from sessionstore_sql.web.work import Outcome, Work

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts import SessionHandle, SessionInfo
    from sessionstore_sql.web.changes import Changes
    from sessionstore_sql.web.lifetimes import Lifetimes
    from sessionstore_sql.web.options import SessionOptions


class RequestSession(AskedSession):
    """The session of one request. ``Sessions.begin`` makes it.

    An adapter gives ``state`` to the application, and calls ``finish`` when the response is about
    to start.

    Attributes:
        session_id: The id of the session that was loaded; ``None`` if none was.
        closed: Whether it is too late for a change.
        failure: Why the session could not be loaded; ``None`` if that did not fail.
    """

    _finished = False

    async def sessions_of(self, *, limit: int = 100) -> list[SessionInfo]:
        """Return the sessions of the user who is signed in, the one written last first.

        Raises:
            TypeError: The store is no ``AccountSessionBackend``.
            DatabaseError: The database failed.
        """
        accounts, subject = self._accounts("sessions_of"), self.subject
        return [] if subject is None else await accounts.sessions_of(subject, limit=limit)

    async def revoke(self, handle: SessionHandle) -> bool:
        """End one session of the user who is signed in, and return whether there was one.

        If it is the session of this request, it is invalidated.

        Raises:
            TypeError: The store is no ``AccountSessionBackend``, or ``handle`` no handle.
            SessionClosedError: It is the session of this request, and the response has started.
            DatabaseError: The database failed.
        """
        require_handle(handle)
        accounts, subject = self._accounts("revoke"), self.subject
        if subject is None:
            return False
        if handle == self.handle:
            self.require_open()
        ended = await accounts.revoke(subject, only=handle) > 0
        if handle == self.handle:
            self.invalidate()
        return ended

    async def sign_out_everywhere(self, *, keep_this: bool = True) -> int:
        """End the sessions of the user who is signed in, and return how many.

        Args:
            keep_this: Whether to keep the session of this request. If not, it is invalidated.

        Raises:
            TypeError: The store is no ``AccountSessionBackend``.
            SessionClosedError: This session would end too, but the response has started.
            DatabaseError: The database failed.
        """
        accounts, subject = self._accounts("sign_out_everywhere"), self.subject
        if subject is None:
            return 0
        if not keep_this:
            self.require_open()
        ended = await accounts.revoke(subject, keep=self.handle if keep_this else None)
        if not keep_this:
            self.invalidate()
        return ended

    async def finish(
        self,
        state: dict[str, Any],
        *,
        idle_time: timedelta | None = None,
        lifetimes: Lifetimes | None = None,
    ) -> Outcome:
        """Close the session, and do what the response has to do to it.

        A session that could not be loaded, and was not used, is left alone.

        Args:
            state: The state as the application leaves it.
            idle_time: Another idle time than ``max_age`` for this response. It is not kept: the
                next response that renews the session goes by the options again.
            lifetimes: Other lifetimes than those of the options.

        Raises:
            SerializationError: The state cannot be stored. Nothing was changed.
            ConflictError: Another request has changed the session, and ``on_conflict`` is
                ``"error"``.
            ValueError: ``sign_in`` and ``subject_of`` name different users.
            DatabaseError: The database failed.
        """
        self.closed = True
        if not isinstance(state, dict):
            raise TypeError(f"a session is a dict, not {type(state).__name__}")
        self._finished = True
        if self.failure is not None:
            return Outcome(Cookie.KEEP)
        snapshot, self._snapshot = self._snapshot, Snapshot(state)
        options = self._options
        if lifetimes is not None:
            options = replace(options, lifetimes=lifetimes)
        if idle_time is not None:
            options = options.with_idle_time(idle_time)
        subject = options.subject_in(state)
        return await self._save(options, state, snapshot.changes_to(state), subject)

    async def finish_unchanged(self, *, lifetimes: Lifetimes | None = None) -> Outcome:
        """Do as ``finish``, but store no change of the state.

        For frameworks where an application has to say that it changed a session: values inside of
        the state may have become something that was not meant to be stored.
        """
        self.closed = self._finished = True
        if self.failure is not None:
            return Outcome(Cookie.KEEP)
        options = self._options
        if lifetimes is not None:
            options = replace(options, lifetimes=lifetimes)
        return await self._save(options, self._state, NO_CHANGES, self._subject_before)

    async def _save(
        self,
        options: SessionOptions,
        state: dict[str, Any],
        changes: Changes,
        subject: str | None,
    ) -> Outcome:
        wish, sign_in = self._resolve(subject)
        outcome = await save(
            self._storage,
            options,
            Work(
                found=self._found,
                unknown_ids=self._unknown_ids,
                stored_id=self._stored_id,
                loaded=self._loaded,
                wish=wish,
                sign_in=sign_in,
                state=state,
                changes=changes,
                idle_ttl=self._changed_idle_ttl(wish),
                new_id=self._new_id,
                keeps_empty=self._keeps_empty,
            ),
        )
        if outcome.session_id is not None:
            self.session_id = outcome.session_id
        elif outcome.cookie is Cookie.REMOVE:
            self.session_id = None
        return outcome

    def require_finished(self, state: dict[str, Any]) -> None:
        """Raise ``SessionClosedError`` if something was asked for that has not been done."""
        if self.failure is not None:
            return
        asked_for = not self._finished and self._wish is not Wish.NOTHING
        if asked_for or not self._snapshot.is_like(state):
            raise SessionClosedError(
                "the session was changed after the response had started, or without a response "
                "that can carry a cookie: the change is lost"
            )
