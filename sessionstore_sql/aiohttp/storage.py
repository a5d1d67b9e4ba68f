"""The storage that aiohttp-session uses, and how an application gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp_session import STORAGE_KEY, AbstractStorage, Session

from sessionstore_sql.aiohttp.exchange import Exchange, exchanges_of, unavailable
from sessionstore_sql.aiohttp.session import SQLSession
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.web.lifetimes import DEFAULT_MAX_AGE, DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES
from sessionstore_sql.web.setup import DEFAULT_RECHECK, SessionSetup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.cookie import SameSite
    from sessionstore_sql.web.options import OnConflict, SubjectOf
    from sessionstore_sql.web.request_session import RequestSession
    from sessionstore_sql.web.setup import Exclude

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SQLStorage(AbstractStorage):
    """A storage of aiohttp-session, secure by default. Install it with ``setup`` of this module.

    A session is loaded, in one statement, when the application first asks for it. A request that
    does not use its session never touches the database. The session is stored before the response
    starts: a client that has received the response has a session that is committed. A session
    that is only read is not written, but it is extended, and its cookie renewed, when too little
    of its lifetime remains. ``new_session`` ends the session that the client presented.

    Concurrent requests of one visitor do not undo each other's changes: the top-level keys that
    each of them set or deleted are merged. A session that ended while a request was using it is
    not stored again.

    ``SessionClosedError`` is raised for changes that come too late: after the response has
    started, or after an exception has left the middleware.

    If the database cannot be reached, only requests that use their session fail. They are
    answered with 503 and ``Retry-After``, unless the application handles the ``DatabaseError``.

    Responses of requests that used their session get ``Vary: Cookie`` and
    ``Cache-Control: private``.

    Options marked with * need a store that is an ``AccountSessionBackend``, such as
    ``SQLSessionStore``. Durations are a ``timedelta`` or seconds.

    Args:
        store: The store of the sessions. The application opens and closes it.
        cookie_name: The name of the cookie. Default: ``__Host-session``; with another ``path``
            than ``/`` or with a ``domain``, ``__Secure-session``; with ``secure=False``,
            ``sessionstore_id``.
        max_age: Idle time: how long a session lives after it was stored or renewed.
        path: The ``Path`` of the cookie.
        domain: The ``Domain`` of the cookie; ``None``: no other host receives it.
        secure: Whether the cookie is ``Secure``. Browsers ignore a ``Secure`` cookie on plain
            HTTP, and some of them on localhost too: switch it off in development then.
        samesite: The ``SameSite`` of the cookie.
        partitioned: Whether the cookie is ``Partitioned``: one for each site that embeds this one.
        bearer: Sends the id in headers instead of a cookie. The options of the cookie have no
            effect then.
        anonymous_max_age: * Idle time of sessions that are not signed in; ``None``: ``max_age``.
        persistent: Whether the browser keeps the cookie when it is closed. With ``False``, it
            keeps only cookies of sessions for which ``set_max_age`` was called.
        lifetime: * Absolute lifetime of signed-in sessions, counted from the sign-in; ``None``:
            that of the store.
        renewal_threshold: The share of the idle time, from 0 to 1, below which the remaining time
            is renewed. With 0 it never is.
        max_sessions: * Maximum number of sessions of one user. A sign-in ends the oldest ones
            above it. ``None``: that of the store.
        subject_of: * Returns the user id in a state, or ``None``, such as
            ``lambda state: state.get("user_id")``. A request that changes it signs in, and gets a
            new id; one that removes it ends the session.
        on_conflict: What happens if another request has changed the session meanwhile:
            ``"merge"``, ``"overwrite"``, or * ``"error"``, which raises ``ConflictError``.
        max_state_bytes: Maximum size of a state as JSON. A larger one is a
            ``SerializationError``, and nothing is stored. ``None``: no maximum.
        exclude: Paths that have no session, each with everything below it, and regular
            expressions that are searched for in the path.
        websocket_recheck: How often the session of an open WebSocket is looked up. If it has
            ended, the WebSocket is closed with code 1008. ``None``: never.

    Raises:
        TypeError: An option is of a wrong type, or needs an ``AccountSessionBackend``.
        ValueError: An option is out of range, or browsers would not accept such a cookie.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        store: SessionStorageBackend,
        *,
        cookie_name: str | None = None,
        max_age: timedelta | float = DEFAULT_MAX_AGE,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        samesite: SameSite = "lax",
        partitioned: bool = False,
        bearer: BearerToken | None = None,
        anonymous_max_age: timedelta | float | None = None,
        persistent: bool = True,
        lifetime: timedelta | float | None = None,
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
        max_sessions: int | None = None,
        subject_of: SubjectOf | None = None,
        on_conflict: OnConflict = "merge",
        max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES,
        exclude: Exclude = (),
        websocket_recheck: timedelta | float | None = DEFAULT_RECHECK,
    ) -> None:
        self._setup = SessionSetup(
            store,
            session_cookie=cookie_name,
            max_age=max_age,
            path=path,
            same_site=samesite,
            https_only=secure,
            domain=domain,
            partitioned=partitioned,
            bearer=bearer,
            anonymous_max_age=anonymous_max_age,
            persistent=persistent,
            lifetime=lifetime,
            renewal_threshold=renewal_threshold,
            max_sessions=max_sessions,
            subject_of=subject_of,
            on_conflict=on_conflict,
            max_state_bytes=max_state_bytes,
            exclude=exclude,
            websocket_recheck=websocket_recheck,
            https_option="secure",
        )
        super().__init__(
            cookie_name=self._setup.transport.name,
            domain=domain,
            max_age=int(self._idle_time.total_seconds()),
            path=path,
            secure=secure,
            samesite=samesite,
        )

    async def load_session(self, request: web.Request) -> SQLSession:
        """Return the session that the client presents, or else a new one.

        Raises:
            DatabaseError: The database failed.
        """
        exchange = self._exchange(request)
        try:
            return await exchange.load_session(request)
        except DatabaseError as error:
            if not error.transient:
                raise
            raise unavailable() from error

    async def new_session(self) -> SQLSession:
        """Return a new session. The one that the client presents ends with the response."""
        return SQLSession(None, self._idle_time, new=True)

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: Session
    ) -> None:
        """Store the session, and add its cookie to the headers of ``response``.

        With ``setup`` of this module, you need not call it.

        Raises:
            TypeError: The session is not one of this storage.
            SessionClosedError: It has been stored already, and was changed since.
            SerializationError: The state cannot be stored.
            DatabaseError: The database failed.
        """
        if not isinstance(session, SQLSession):
            raise TypeError(f"this storage takes its own sessions, not {type(session).__name__}")
        exchange = self._exchange(request)
        try:
            await exchange.save(response, session)
        except DatabaseError as error:
            if not error.transient:
                raise
            raise unavailable() from error

    async def adopt(self, request: web.Request, session: SQLSession) -> RequestSession:
        """Let a new session that knows no request take the place of what the client presents."""
        return await self._exchange(request).adopt(request, session)

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Return the response of a handler; what the middleware does."""
        has_session = self._setup.continues(_setup_at(request, self._setup.transport.name))
        if has_session or self._setup.excludes(request.path):
            return await handler(request)
        return await Exchange(self._setup, request).run(handler)

    @property
    def _idle_time(self) -> timedelta:
        return self._setup.sessions.options.lifetimes.max_age

    def _exchange(self, request: web.Request) -> Exchange:
        """Return the exchange of a request, also if only aiohttp-session's middleware ran."""
        for exchange in exchanges_of(request):
            if self._setup.transport.name == exchange.setup.transport.name:
                return exchange
        exchange = Exchange(self._setup, request)
        request[STORAGE_KEY] = exchange
        return exchange


def setup(app: web.Application, storage: SQLStorage) -> None:
    """Give the requests of an application their sessions. Call it before the application starts.

    It takes the place of ``aiohttp_session.setup``, which works too. With that one, sessions are
    not stored for WebSockets and streams unless the application calls ``save_session``, an open
    WebSocket does not end with its session, and changes that come too late are lost silently.

    Raises:
        TypeError: ``storage`` is not a ``SQLStorage``.
    """
    if not isinstance(storage, SQLStorage):
        raise TypeError(f"storage is a SQLStorage, not {type(storage).__name__}")

    @web.middleware
    async def session_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await storage.handle(request, handler)

    app.middlewares.append(session_middleware)
    app.on_response_prepare.append(_start)


async def _start(request: web.Request, response: web.StreamResponse) -> None:
    for exchange in exchanges_of(request):
        await exchange.start(response)


def _setup_at(request: web.Request, name: str) -> SessionSetup | None:
    found = (each.setup for each in exchanges_of(request) if each.setup.transport.name == name)
    return next(found, None)
