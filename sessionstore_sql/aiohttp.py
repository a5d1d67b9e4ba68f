"""aiohttp: a storage for the sessions of aiohttp-session.

    aiohttp_session.setup(app, SQLStorage(SQLSessionStore(url)))

Needs the extra ``aiohttp``: ``pip install 'sessionstore-sql[aiohttp]'``.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if find_spec("aiohttp_session") is None:
    raise ModuleNotFoundError(
        "aiohttp_session is not installed: pip install 'sessionstore-sql[aiohttp]'",
        name="aiohttp_session",
    )

from aiohttp_session import AbstractStorage, Session, get_session

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.caching import keep_private
from sessionstore_sql.cookies import SessionCookie, default_name
from sessionstore_sql.lifecycle import DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.visits import (
    SessionClosedError,
    Visit,
    require_threshold,
    ttl_of_seconds,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sessionstore_sql.cookies import SameSite

__all__ = ["SQLSession", "SQLStorage", "SessionClosedError", "invalidate", "rotate"]

_CREATED = "aiohttp_session.created"
"""The key of a state that says when the session began, which aiohttp-session wants to know."""

_DEFAULT_MAX_AGE = 14 * 24 * 60 * 60


class SQLSession(Session):
    """A session of aiohttp-session that is stored as the operations of a session store do it.

    ``created`` is when it began, in seconds since 1970 by the application's clock; it does not move
    with changes. Changes inside a value need no ``changed()``. The id is drawn at random when the
    session is stored.

    ``max_age`` is how long the session, and its cookie, lives once it is stored with this
    response: as long as the storage says, unless the application says otherwise. ``None`` lets
    the cookie end with the browser, and the session live as long as the storage says. It is not
    remembered: where another response stores the session, the storage's counts again.

    Attributes:
        visit: The request's use of the session that it presented; ``None`` for a new session
            that has not been stored.
    """

    def __init__(self, visit: Visit | None, max_age: int) -> None:
        session_id = None if visit is None else visit.session_id
        state: dict[str, Any] = {} if visit is None else dict(visit.state)
        self.visit = visit
        self._marks: dict[str, Any] = {}
        super().__init__(
            None if session_id is None else session_id.value,
            data=None,
            new=session_id is None,
            # Not to be given to it: it would compare it with ``created``, by its own clock.
            max_age=None,
        )
        if session_id is None:
            self._begin()
        elif _CREATED in state:
            self._marks = {_CREATED: state.pop(_CREATED)}
        self._mapping = state
        self._max_age = max_age
        # So that aiohttp-session calls save_session, which knows better what has changed.
        self._changed = True

    @property
    def created(self) -> int:
        """When the session began. Now, for one that another framework began."""
        created = self._marks.get(_CREATED)
        return created if isinstance(created, int) else int(time.time())

    @property
    def state(self) -> dict[str, Any]:
        """What is to be stored."""
        return {**self._mapping, **self._marks} if self._mapping else {}

    def __setitem__(self, key: str, value: object) -> None:
        self._require_open()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._require_open()
        super().__delitem__(key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [new:{self.new}, created:{self.created}]>"

    def rotate(self) -> None:
        """Ask for another id with this response; what the session holds stays.

        Raises:
            SessionClosedError: The session has been stored.
        """
        self._require_open()
        if self.visit is not None:
            self.visit.rotate()

    def invalidate(self) -> None:
        """End the session: it is deleted with this response, and its cookie removed.

        What is put there afterwards begins another one, with an id of its own.

        Raises:
            SessionClosedError: The session has been stored.
        """
        self._require_open()
        if self.visit is not None:
            self.visit.invalidate()
        super().invalidate()
        self._begin()

    def set_new_identity(self, identity: object) -> None:  # noqa: ARG002  # aiohttp-session's
        """Refuse: an id that somebody chose is one that somebody may know.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("the id of a session is drawn at random when it is stored")

    def _begin(self) -> None:
        self._marks = {_CREATED: int(time.time())}

    def _require_open(self) -> None:
        if self.visit is not None:
            self.visit.require_open()


class SQLStorage(AbstractStorage):
    """A storage of aiohttp-session, secure unless told otherwise.

    A session is loaded, in one statement, when the application first asks for it, and stored
    before the response starts: a client that has the response has a session that is committed.
    Nothing is written for a session that is only read, but its life is extended when too little
    of it remains, and its cookie renewed with it. No id of a client's is adopted, and a session
    that ended while a request was using it is not revived. ``new_session`` ends the session that
    the client presented, if it is live.

    aiohttp-session saves nothing for a WebSocket or a response that is streamed: call
    ``save_session`` before you prepare it.

    Where the application asked for the session, ``Vary: Cookie`` and ``Cache-Control: private``
    keep the response from shared caches.

    Args:
        store: Where the sessions are; its life is the application's affair.
        cookie_name: The name of the cookie. ``__Host-session`` where none is given,
            ``__Secure-session`` with another ``path`` than ``/`` or a ``domain``, and ``session``
            where ``secure`` is off.
        max_age: Seconds that a session lives after it was stored or extended, and its cookie.
        path: The ``Path`` of the cookie.
        domain: The ``Domain`` of the cookie; with ``None``, no other host gets it.
        secure: Whether the cookie is for HTTPS only.
        samesite: The ``SameSite`` of the cookie.
        renewal_threshold: The share of ``max_age``, from 0 to 1, below which the remaining life
            is extended. With 0 it never is.

    Raises:
        TypeError: ``store`` or ``max_age`` is of another type.
        ValueError: ``max_age`` or ``renewal_threshold`` is out of range, or browsers would not
            accept such a cookie.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        store: SessionStorageBackend,
        *,
        cookie_name: str | None = None,
        max_age: int = _DEFAULT_MAX_AGE,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        samesite: SameSite = "lax",
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
    ) -> None:
        if not isinstance(store, SessionStorageBackend):
            raise TypeError(f"store is a session store, not {type(store).__name__}")
        require_threshold(renewal_threshold)
        if cookie_name is None:
            cookie_name = default_name(path=path, secure=secure, domain=domain)
        super().__init__(
            cookie_name=cookie_name,
            domain=domain,
            max_age=max_age,
            path=path,
            secure=secure,
            samesite=samesite,
        )
        self._store = store
        self._ttl, self._default_max_age = ttl_of_seconds(max_age), max_age
        self._renewal_threshold = renewal_threshold
        self._cookie = SessionCookie(
            name=cookie_name, path=path, same_site=samesite, secure=secure, domain=domain
        )

    async def load_session(self, request: web.Request) -> SQLSession:
        """Return the session that the client presents; else a new one.

        Raises:
            DatabaseError: The database failed.
        """
        return SQLSession(await self._begin(request), self._default_max_age)

    async def new_session(self) -> SQLSession:
        """Return a new session, which takes the place of whatever the client presents."""
        return SQLSession(None, self._default_max_age)

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: Session
    ) -> None:
        """Store the session, and add its cookie to the headers of ``response``.

        Raises:
            TypeError: The session is not of this storage.
            SessionClosedError: It has been stored already, and was changed since.
            SerializationError: The state cannot be stored.
            DatabaseError: The database failed.
        """
        if not isinstance(session, SQLSession):
            raise TypeError(f"this storage takes its own sessions, not {type(session).__name__}")
        if session.visit is None:
            session.visit = await self._begin(request)
            session.visit.invalidate()
        visit, is_usual = session.visit, session.max_age == self._default_max_age
        if visit.closed:
            visit.require_finished(session.state)
            return
        ttl = self._ttl if session.max_age is None else ttl_of_seconds(session.max_age)
        outcome = await visit.finish(
            self._store,
            session.state,
            ttl=ttl,
            renewal_threshold=self._renewal_threshold,
            new_ttl=not is_usual,
        )
        keep_private(response.headers, lambda name: response.headers.getall(name, []))
        header = self._cookie.header_after(outcome, None if session.max_age is None else ttl)
        if header is not None:
            response.headers.add("Set-Cookie", header)

    async def _begin(self, request: web.Request) -> Visit:
        return await Visit.begin(self._store, self._cookie.presented(request.raw_headers))


async def rotate(request: web.Request) -> None:
    """Give the session another id with this response; what it holds stays.

    To be called wherever somebody's privileges change, as when they log in: an id that an
    attacker planted before, or has learned, is worth nothing afterwards. The old id is unknown
    from then on, to requests of the same browser that are under way as well.

    Raises:
        SessionClosedError: The session has been stored.
        RuntimeError: The application's sessions are not those of a ``SQLStorage``.
        DatabaseError: The database failed to load the session.
    """
    (await _session_of(request)).rotate()


async def invalidate(request: web.Request) -> None:
    """End the session: it is deleted with this response, and its cookie removed.

    To be called when somebody logs out. What is put into the session afterwards begins another
    one, with an id of its own.

    Raises:
        SessionClosedError: The session has been stored.
        RuntimeError: The application's sessions are not those of a ``SQLStorage``.
        DatabaseError: The database failed to load the session.
    """
    (await _session_of(request)).invalidate()


async def _session_of(request: web.Request) -> SQLSession:
    session = await get_session(request)
    if not isinstance(session, SQLSession):
        raise RuntimeError(  # noqa: TRY004  # the set-up is at fault, not the argument
            "the application's sessions are not those of a SQLStorage"
        )
    return session
