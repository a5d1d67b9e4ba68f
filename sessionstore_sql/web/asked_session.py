"""What an application asks for. It is done when the response starts."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts import UNCHANGED
from sessionstore_sql.accounts.arguments import require_about, require_max_sessions
from sessionstore_sql.web.decision import Wish
from sessionstore_sql.web.found_session import FoundSession
from sessionstore_sql.web.lifetimes import duration_of
from sessionstore_sql.web.loaded import SignIn
from sessionstore_sql.web.options import subject_text

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.records import JSON, SessionId


class Freshness(Enum):
    """Whether the user of a session has authenticated lately."""

    FRESH = auto()
    STALE = auto()
    NOT_SIGNED_IN = auto()


class AskedSession(FoundSession):
    """A session, and what the application asks for."""

    _wish = Wish.NOTHING
    _sign_in: SignIn | None = None
    _idle_ttl: IdleTtl = UNCHANGED
    _new_id: SessionId | None = None
    _keeps_empty = False

    def rotate(self) -> None:
        """Ask for a new id.

        Raises:
            SessionClosedError: The response has started.
            DatabaseError: The session could not be loaded.
        """
        self._require_changeable()
        if self._wish is Wish.NOTHING:
            self._wish = Wish.ROTATE

    def invalidate(self) -> None:
        """End the session. What the state holds in the end belongs to a new session.

        The adapter empties the application's dict.

        Raises:
            SessionClosedError: The response has started.
            DatabaseError: The session could not be loaded.
        """
        self._require_changeable()
        self._wish, self._sign_in, self._idle_ttl = Wish.INVALIDATE, None, UNCHANGED

    def sign_in(
        self,
        subject: str | int,
        *,
        about: dict[str, JSON] | None = None,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
    ) -> None:
        """Make the session that of a user, under a new id; see ``AccountSessionBackend.sign_in``.

        Raises:
            SessionClosedError: The response has started.
            TypeError: The store is no ``AccountSessionBackend``, or an argument has a wrong type.
            ValueError: An argument is out of range.
            DatabaseError: The session could not be loaded.
        """
        self._require_changeable()
        self._accounts("sign_in")
        require_about(about)
        require_max_sessions(max_sessions)
        after_end = self._wish in (Wish.INVALIDATE, Wish.SWITCH)
        sign_in = SignIn(
            subject=subject_text(subject),
            about=about,
            lifetime=None if lifetime is None else duration_of(lifetime, "lifetime"),
            max_sessions=max_sessions,
        )
        self._wish = Wish.SWITCH if after_end else Wish.SIGN_IN
        self._sign_in = sign_in

    def set_max_age(self, max_age: timedelta | float | None) -> None:
        """Give the session an idle time of its own, as for "remember me".

        Renewals, rotations and other requests keep it.

        Args:
            max_age: A duration or seconds; ``None``: the application's ``max_age`` again.

        Raises:
            SessionClosedError: The response has started.
            TypeError: The store is no ``AccountSessionBackend``, or ``max_age`` no duration.
            ValueError: ``max_age`` is out of range.
            DatabaseError: The session could not be loaded.
        """
        self._require_changeable()
        self._accounts("set_max_age")
        self._idle_ttl = None if max_age is None else duration_of(max_age, "max_age")

    def use_id(self, session_id: SessionId) -> None:
        """Announce the id under which the session is stored, if it gets a new one.

        It is for frameworks that tell the application a new id before the response starts.
        """
        self._new_id = session_id

    def keep_empty(self) -> None:
        """Store the session even if its state is empty, as some frameworks do."""
        self._keeps_empty = True

    @property
    def subject(self) -> str | None:
        """The user who is signed in, or is about to be; ``None`` if there is none.

        Raises:
            DatabaseError: The session could not be loaded.
        """
        self.require_loaded()
        if self._sign_in is not None:
            return self._sign_in.subject
        if self._loaded is None or self._wish is Wish.INVALIDATE:
            return None
        return self._subject_before if self._loaded.subject is None else self._loaded.subject

    def freshness(self, within: timedelta) -> Freshness:
        """Return whether the user has authenticated within a period.

        Raises:
            TypeError: The store is no ``AccountSessionBackend``.
            DatabaseError: The session could not be loaded.
        """
        self._accounts("a fresh sign-in")
        self.require_loaded()
        if self._sign_in is not None:
            return Freshness.FRESH
        ago = None if self._loaded is None else self._loaded.authenticated_ago()
        if ago is None or self._wish is Wish.INVALIDATE:
            return Freshness.NOT_SIGNED_IN
        return Freshness.FRESH if ago <= within else Freshness.STALE

    def is_changed(self, state: dict[str, Any]) -> bool:
        """Return whether there is anything to store when the response starts."""
        return self._wish is not Wish.NOTHING or not self._snapshot.is_like(state)

    def _resolve(self, subject: str | None) -> tuple[Wish, SignIn | None]:
        """Return what the application asked for, in words or by a change of the user."""
        wish, sign_in = self._wish, self._sign_in
        if sign_in is not None:
            if subject not in {None, sign_in.subject}:
                raise ValueError("sign_in was called for another user than subject_of returns")
            return wish, sign_in
        if wish is Wish.INVALIDATE:
            if subject is not None:
                return Wish.SWITCH, SignIn(subject=subject)
        elif subject != self._subject_before:
            if subject is None:
                return Wish.INVALIDATE, None
            return Wish.SIGN_IN, SignIn(subject=subject)
        return wish, None

    def _changed_idle_ttl(self, wish: Wish) -> IdleTtl:
        before = None if self._loaded is None else self._loaded.idle_ttl
        if wish in (Wish.NOTHING, Wish.ROTATE) and self._idle_ttl == before:
            return UNCHANGED
        return self._idle_ttl

    def _require_changeable(self) -> None:
        self.require_open()
        self.require_loaded()
