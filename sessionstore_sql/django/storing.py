"""How a session of Django's is loaded and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted

from sessionstore_sql.django.expiry import expiry_in, lifetimes_of
from sessionstore_sql.django.process import sessions_in
from sessionstore_sql.django.visit import Visit
from sessionstore_sql.errors import DuplicateIdError
from sessionstore_sql.records import SessionId
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.presented import Presented
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.store import SQLSessionStore
    from sessionstore_sql.web.lifetimes import Lifetimes


class SessionEndedError(UpdateError, SessionInterrupted):
    """The session ended while the request used it. Nothing was stored.

    It is both of Django's errors: the one that ``save`` raises, and the one to which Django
    responds with 400.
    """

    def __init__(self) -> None:
        super().__init__(
            "The session was deleted or has expired since this request loaded it, for example by "
            "a logout in another request. Nothing was stored."
        )


class StoredSession(SessionBase):
    """The coroutines behind Django's interface.

    They run in the event loop of the store, while the caller waits. The state is in memory by
    then: nothing in them loads it through Django's interface, which would wait for itself.

    Attributes:
        visit: What this object does in the store.
    """

    # Django's; its stubs do not mention them.
    _get_session: Callable[..., dict[str, Any]]
    _aget_session: Callable[..., Coroutine[Any, Any, dict[str, Any]]]
    _session_cache: dict[str, Any]

    def __init__(self, session_key: str | None = None) -> None:
        self._closed = False
        self._modified = False
        self._in_request = 0
        self._expiry_before: object = None
        super().__init__(session_key)
        self.visit = Visit(presented_by(self.session_key))

    @property
    def modified(self) -> bool:
        """Whether the session was changed, so that the middleware has to store it."""
        return self._modified

    @modified.setter
    def modified(self, modified: bool) -> None:
        if modified:
            self.require_open()
        self._modified = modified

    def require_open(self) -> None:
        """Raise ``SessionClosedError`` if it is too late for a change."""
        if self._closed:
            raise SessionClosedError(
                "the session can no longer be changed: the response has started"
            )

    async def _load(self, store: SQLSessionStore) -> dict[str, Any]:
        session = await self.visit.begin(store)
        if session.session_id is None:
            self._session_key = None
            if not self._in_request:
                self.visit = Visit()
        else:
            self._session_key = session.session_id.value
        self._expiry_before = expiry_in(session.state)
        return session.state

    async def _save(self, store: SQLSessionStore, *, must_create: bool) -> None:
        if must_create and self.session_key is not None:
            await self._create_under(store, self.session_key)
            return
        if not self._in_request and self.session_key is not None:
            await self.visit.begin(store)
            if not (self.visit.is_asked or self.visit.was_live):
                raise SessionEndedError
        await self._store(store, keeps_empty=True)

    async def _create(self, store: SQLSessionStore) -> None:
        await self.visit.begin(store)
        if not self._in_request or self.visit.was_live:
            self._begin_anew()
        await self._store(store, keeps_empty=True)
        self.modified = True  # pyright: ignore[reportIncompatibleVariableOverride]

    async def _create_under(self, store: SQLSessionStore, session_key: str) -> None:
        session_id = id_of(session_key)
        if session_id is None:
            raise CreateError("this is not a key that a session can have")
        self._begin_anew()
        self.visit.ask(lambda session: session.use_id(session_id))
        try:
            await self._store(store, keeps_empty=True)
        except DuplicateIdError as error:
            raise CreateError from error

    def _begin_anew(self) -> None:
        said, self.visit = self.visit.said, Visit()
        self.visit.said = said

    async def _store(
        self, store: SQLSessionStore, *, keeps_empty: bool = False, in_response: bool = False
    ) -> None:
        visit = self.visit
        await visit.begin(store)
        was_live = visit.was_live
        # Outside of a request, the caller expects that the session is stored at once.
        lifetimes = self._lifetimes(store, renews=None if self._in_request or in_response else True)
        state = self._session_cache
        outcome = await visit.store(store, state, lifetimes, keeps_empty=keeps_empty)
        if outcome.lost is not None:
            if in_response and not was_live:
                return  # The request came with an id that was just rotated.
            raise SessionEndedError
        self._note(outcome, lifetimes)

    async def _renew(self, store: SQLSessionStore) -> None:
        lifetimes = self._lifetimes(store, renews=False)
        self._note(await self.visit.renew(store, lifetimes), lifetimes)

    def _lifetimes(self, store: SQLSessionStore, *, renews: bool | None) -> Lifetimes:
        return lifetimes_of(
            self,
            sessions_in(store).options.lifetimes,
            before=self._expiry_before,
            goes_on=not self.visit.is_asked,
            renews=renews,
        )

    def _note(self, outcome: Outcome, lifetimes: Lifetimes) -> None:
        """Note the key, and send a cookie that is to last until the browser is closed now."""
        expiry = expiry_in(self._session_cache)
        changed, self._expiry_before = expiry != self._expiry_before, expiry
        ids = self.visit.presented.ids
        self._session_key = ids[0].value if ids else None
        if outcome.cookie is Cookie.KEEP and ids and changed and not lifetimes.persistent:
            self.visit.said = Outcome(Cookie.SET, ids[0])


def presented_by(session_key: str | None) -> Presented:
    """Return what a request presents whose cookie is a key."""
    if session_key is None:
        return Presented()
    session_id = id_of(session_key)
    return Presented(() if session_id is None else (session_id,), False)


def id_of(session_key: str | None) -> SessionId | None:
    """Return the key as an id; ``None`` if it cannot be one, whatever its origin."""
    try:
        return None if session_key is None else SessionId(session_key)
    except ValueError:
        return None
