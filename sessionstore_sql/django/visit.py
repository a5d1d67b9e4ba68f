"""What one session object of Django's does in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.django.process import sessions_in
from sessionstore_sql.web.changes import Snapshot
from sessionstore_sql.web.decision import Cookie, Lost
from sessionstore_sql.web.presented import Presented
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.lifetimes import Lifetimes
    from sessionstore_sql.web.request_session import RequestSession

NOTHING_SAID = Outcome(Cookie.KEEP)


class Visit:
    """What one session object does in the store, from the first load to the last save.

    Django's sessions can be stored several times in a request. Each time is what a request of
    another framework does in all: a ``RequestSession`` finishes, and the next one begins. The
    coroutines run in the event loop of the store.

    Args:
        presented: What the request presents.

    Attributes:
        session: The session as it is loaded; ``None`` before, and after it was stored.
        said: What all that was done so far says about the cookie.
        is_flushed: Whether the application asked for the end of the session.
    """

    def __init__(self, presented: Presented | None = None) -> None:
        self.presented = Presented() if presented is None else presented
        self.session: RequestSession | None = None
        self.said = NOTHING_SAID
        self.is_flushed = False
        self._wishes: list[Callable[[RequestSession], None]] = []
        self._keeps_empty = False
        self._authenticates = False
        self._base_of: RequestSession | None = None
        self._base: Snapshot | None = None
        self._has_stored = False

    @property
    def is_asked(self) -> bool:
        """Whether the application asked for more than that the state is stored."""
        return bool(self._wishes)

    @property
    def was_live(self) -> bool:
        """Whether the session was live when this object loaded or stored it last."""
        return self._base is not None

    def ask(self, wish: Callable[[RequestSession], None]) -> None:
        """Note what the application asks for. It is done when the session is stored."""
        if self.session is not None:
            wish(self.session)
        self._wishes.append(wish)

    def rotate(self, new_id: SessionId) -> None:
        """Ask for a new id, which the application knows already."""

        def wish(session: RequestSession) -> None:
            session.rotate()
            session.use_id(new_id)

        self.ask(wish)
        self._keeps_empty = True

    def invalidate(self) -> None:
        """Ask for the end of the session, whatever was asked for before."""
        self.forget_wishes()
        self.ask(lambda session: session.invalidate())
        self.is_flushed = True

    def sign_in(self, subject: str, **options: Any) -> None:
        """Ask for a sign-in."""
        self.ask(lambda session: session.sign_in(subject, **options))
        self._authenticates = True

    def note_login(self, subject: str) -> None:
        """Ask for a sign-in, if the store knows users."""

        def wish(session: RequestSession) -> None:
            if session.knows_users:
                session.sign_in(subject)

        self.ask(wish)
        self._authenticates = True

    def forget_wishes(self) -> None:
        """Do not do what was asked for."""
        self._wishes.clear()
        self._keeps_empty = self._authenticates = self.is_flushed = False

    async def begin(self, store: SessionStorageBackend) -> RequestSession:
        """Return the session, which is loaded if it was not yet.

        Raises:
            DatabaseError: It cannot be loaded. The next call tries again.
        """
        if self.session is None:
            session = await sessions_in(store).begin(self.presented)
            session.require_loaded()
            for wish in self._wishes:
                wish(session)
            self.session = session
            if self._base is None and session.session_id is not None:
                self._base, self._base_of = Snapshot(session.state), session
        return self.session

    async def store(
        self,
        store: SessionStorageBackend,
        state: dict[str, Any],
        lifetimes: Lifetimes,
        *,
        keeps_empty: bool = False,
    ) -> Outcome:
        """Store the session, do what was asked for, and return what that says.

        Args:
            store: Where the sessions are.
            state: The state as the application leaves it.
            lifetimes: How long the session lasts.
            keeps_empty: Whether a session without values is stored.

        Raises:
            SerializationError, ConflictError, DatabaseError: As ``RequestSession.finish``.
        """
        base = self._base
        session = await self.begin(store)
        is_new = self.is_flushed or self._authenticates
        if base is not None and session.session_id is None and not is_new:
            self.session = None  # It ended since it was loaded or stored here.
            return Outcome(Cookie.KEEP, lost=Lost.ENDED)
        subject = sessions_in(store).options.subject_in(state)
        if keeps_empty or self._keeps_empty or self._goes_on(session, subject):
            session.keep_empty()
        complete = state
        if base is not None and self._base_of is not session and not self.is_flushed:
            # Other requests may have stored something since this object loaded it.
            complete = base.changes_to(state).onto(session.state)
        outcome = await self._finish(session.finish(complete, lifetimes=lifetimes), session)
        self._base = None if session.session_id is None else Snapshot(state)
        self._base_of = None
        self._has_stored = self._base is not None
        return outcome

    async def renew(self, store: SessionStorageBackend, lifetimes: Lifetimes) -> Outcome:
        """Store no change of the state, but a new deadline if that is due."""
        session = await self.begin(store)
        return await self._finish(session.finish_unchanged(lifetimes=lifetimes), session)

    def has_stored(self, state: dict[str, Any]) -> bool:
        """Return whether everything is stored that this object changed."""
        if not self._has_stored or self._wishes or self._base is None:
            return False
        return not self._base.changes_to(state)

    def _goes_on(self, session: RequestSession, subject: str | None) -> bool:
        """Return whether the session that was loaded goes on, and is not left by its user."""
        if session.session_id is None or self.is_flushed:
            return False
        return session.subject is None or subject is not None

    async def _finish(
        self, finishing: Coroutine[Any, Any, Outcome], session: RequestSession
    ) -> Outcome:
        # If that fails, the next attempt begins with what is stored then.
        self.session = None
        outcome = await finishing
        if outcome.cookie is not Cookie.KEEP:
            self.said = outcome
        session_id = session.session_id
        self.forget_wishes()
        self.presented = Presented() if session_id is None else Presented((session_id,), False)
        return outcome
