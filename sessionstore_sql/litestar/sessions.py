"""``SQLSessionConfig``: Litestar's server-side sessions in a session store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware.base import DefineMiddleware
from litestar.middleware.session.base import BaseBackendConfig, BaseSessionBackend

from sessionstore_sql.litestar.middleware import SQLSessionMiddleware
from sessionstore_sql.litestar.states import state_of
from sessionstore_sql.web.lifetimes import DEFAULT_MAX_AGE, DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES
from sessionstore_sql.web.setup import DEFAULT_RECHECK, SessionSetup

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self

    from litestar.connection import ASGIConnection
    from litestar.types import ASGIApp, Message, Scopes

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.cookie import SessionCookie
    from sessionstore_sql.web.options import OnConflict, SubjectOf
    from sessionstore_sql.web.presented import Presented


class SQLSessionBackend(BaseSessionBackend["SQLSessionConfig"]):
    """What Litestar's test clients use to read and write a session without a request."""

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """Return ``None``: a test client does not know the id of its session."""
        del connection
        return None

    async def load_from_connection(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> dict[str, Any]:
        """Return the state of the session that the client presents; else an empty dict.

        Raises:
            DatabaseError: The database failed.
        """
        return (await self.config.setup.sessions.begin(self._presented(connection))).state

    async def store_in_message(
        self,
        scope_session: object,
        message: Message,
        connection: ASGIConnection[Any, Any, Any, Any],
    ) -> None:
        """Store the session, and add its cookie to the headers of ``message``.

        Raises:
            SerializationError: The state cannot be stored.
            DatabaseError: The database failed.
        """
        setup = self.config.setup
        session = await setup.sessions.begin(self._presented(connection))
        session.require_loaded()
        outcome = await session.finish(state_of(scope_session, connection.scope))
        headers = MutableScopeHeaders.from_message(message)
        for name, value in setup.transport.headers_after(outcome):
            headers.add(name, value)

    def _presented(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Presented:
        # The connection that a test client makes up has cookies without a header.
        transport = self.config.setup.transport
        value = connection.cookies.get(transport.name)
        cookie = [] if value is None else [(b"cookie", f"{transport.name}={value}".encode())]
        return transport.ids_in(cookie)


@dataclass(kw_only=True)
class SQLSessionConfig(BaseBackendConfig[SQLSessionBackend]):
    """Server-side sessions for a Litestar application, secure by default.

    ``request.session`` is a dict that is kept in the database. It is loaded in one statement if a
    request presents a cookie that can be an id. It is stored before the response starts: a client
    that has received the response has a session that is committed. A session that is only read is
    not written, but it is extended, and its cookie renewed, when too little of its lifetime
    remains.

    Concurrent requests of one visitor do not undo each other's changes: the top-level keys that
    each of them set or deleted are merged. A session that ended while a request was using it is
    not stored again.

    ``SessionClosedError`` is raised for changes that come after the response has started. The
    response to an ``HTTPException``, or to an exception that the application has a handler for,
    stores the session like any other. The response to another exception stores nothing.

    If the database cannot be reached, only requests that use their session fail. They are
    answered with 503 and ``Retry-After``, unless the application handles the ``DatabaseError``.

    Every response gets ``Vary: Cookie``. If the visitor has a session, or if the response sets or
    removes the cookie, it also gets ``Cache-Control: private``.

    Options marked with * need a store that is an ``AccountSessionBackend``, such as
    ``SQLSessionStore``. Durations are a ``timedelta`` or seconds. The options are read when the
    config is made: later changes have no effect.

    Attributes:
        store: The store of the sessions. Pass it to the application's ``lifespan``, to close it.
        key: The name of the cookie. Default: ``__Host-session``; with another ``path`` than ``/``
            or with a ``domain``, ``__Secure-session``; with ``secure=False``,
            ``sessionstore_id``.
        max_age: Idle time: how long a session lives after it was stored or renewed.
        renewal_threshold: The share of the idle time, from 0 to 1, below which the remaining time
            is renewed. With 0 it never is.
        scopes: The kinds of connections that have a session.
        path: The ``Path`` of the cookie.
        domain: The ``Domain`` of the cookie; ``None``: no other host receives it.
        secure: Whether the cookie is ``Secure``. Browsers ignore a ``Secure`` cookie on plain
            HTTP, and some of them on localhost too: switch it off in development then.
        httponly: Always: no script needs the id.
        samesite: The ``SameSite`` of the cookie.
        partitioned: Whether the cookie is ``Partitioned``: one for each site that embeds this one.
        bearer: Sends the id in headers instead of a cookie. The options of the cookie have no
            effect then.
        anonymous_max_age: * Idle time of sessions that are not signed in; ``None``: ``max_age``.
        persistent: Whether the browser keeps the cookie when it is closed. With ``False``, it
            keeps only cookies of sessions for which ``set_max_age`` was called.
        lifetime: * Absolute lifetime of signed-in sessions, counted from the sign-in; ``None``:
            that of the store.
        max_sessions: * Maximum number of sessions of one user. A sign-in ends the oldest ones
            above it. ``None``: that of the store.
        subject_of: * Returns the user id in a state, or ``None``, such as
            ``lambda state: state.get("user_id")``. A request that changes it signs in, and gets a
            new id; one that removes it ends the session.
        on_conflict: What happens if another request has changed the session meanwhile:
            ``"merge"``, ``"overwrite"``, or * ``"error"``, which raises ``ConflictError``.
        max_state_bytes: Maximum size of a state as JSON. A larger one is a
            ``SerializationError``, and nothing is stored. ``None``: no maximum.
        websocket_recheck: How often the session of an open WebSocket is looked up. If it has
            ended, the WebSocket is closed with code 1008. ``None``: never.
        exclude: Patterns of paths that have no session.
        exclude_opt_key: The key in a handler's ``opt`` by which it has no session.

    Raises:
        TypeError: An option is of a wrong type, or needs an ``AccountSessionBackend``.
        ValueError: An option is out of range, or browsers would not accept such a cookie.
    """

    _backend_class = SQLSessionBackend

    store: SessionStorageBackend
    key: str = ""
    max_age: timedelta | float = DEFAULT_MAX_AGE  # type: ignore[assignment]  # Litestar: int
    renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD
    scopes: Scopes = field(default_factory=lambda: {ScopeType.HTTP, ScopeType.WEBSOCKET})
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    httponly: bool = field(default=True, init=False)
    samesite: Literal["lax", "strict", "none"] = "lax"
    partitioned: bool = False
    bearer: BearerToken | None = None
    anonymous_max_age: timedelta | float | None = None
    persistent: bool = True
    lifetime: timedelta | float | None = None
    max_sessions: int | None = None
    subject_of: SubjectOf | None = None
    on_conflict: OnConflict = "merge"
    max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES
    websocket_recheck: timedelta | float | None = DEFAULT_RECHECK
    exclude: str | list[str] | None = None
    exclude_opt_key: str = "skip_session"
    setup: SessionSetup = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.setup = SessionSetup(
            self.store,
            session_cookie=self.key or None,
            max_age=self.max_age,
            path=self.path,
            same_site=self.samesite,
            https_only=self.secure,
            domain=self.domain,
            partitioned=self.partitioned,
            bearer=self.bearer,
            anonymous_max_age=self.anonymous_max_age,
            persistent=self.persistent,
            lifetime=self.lifetime,
            renewal_threshold=self.renewal_threshold,
            max_sessions=self.max_sessions,
            subject_of=self.subject_of,
            on_conflict=self.on_conflict,
            max_state_bytes=self.max_state_bytes,
            websocket_recheck=self.websocket_recheck,
            https_option="secure",
        )
        self.key = self.setup.transport.name

    def __deepcopy__(self, _memo: object) -> Self:
        """Return this config itself, as Litestar copies what a router is given."""
        return self

    @property
    def transport(self) -> SessionCookie | BearerToken:
        """Sends the ids: a cookie or headers."""
        return self.setup.transport

    @property
    def middleware(self) -> DefineMiddleware:
        """The middleware for an application, a router, a controller or a handler."""

        def make(app: ASGIApp, backend: SQLSessionBackend | None = None) -> ASGIApp:
            return SQLSessionMiddleware(app, backend or SQLSessionBackend(self))

        return DefineMiddleware(make)
