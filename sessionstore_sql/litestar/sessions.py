"""Litestar's sessions on the operations of a session store: a config, a backend, a middleware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware.base import DefineMiddleware
from litestar.middleware.session.base import (
    BaseBackendConfig,
    BaseSessionBackend,
    SessionMiddleware,
)
from litestar.types import Empty

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.caching import keep_private, vary_by_cookie
from sessionstore_sql.cookies import SessionCookie, default_name
from sessionstore_sql.lifecycle import DEFAULT_RENEWAL_THRESHOLD, Cookie
from sessionstore_sql.visits import Visit, require_threshold, ttl_of_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.connection import ASGIConnection
    from litestar.types import Message, Receive, Scope, Scopes, Send

    from sessionstore_sql.lifecycle import Outcome

_VISIT = "sessionstore_sql.visit"
"""Where a connection's scope has the visit."""

_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""The messages that carry headers: the last moment for a cookie."""

_DEFAULT_MAX_AGE = 14 * 24 * 60 * 60


class SQLSessionBackend(BaseSessionBackend["SQLSessionConfig"]):
    """Loads the session that a connection presents, and stores what its response owes it.

    No id of a client's is adopted, nothing is written for a session that is only read, and one
    that ended meanwhile is not revived: see ``sessionstore_sql.lifecycle``.
    """

    def __init__(self, config: SQLSessionConfig) -> None:
        super().__init__(config)
        self._store = config.store
        self._ttl = ttl_of_seconds(config.max_age)
        self._cookie = config.cookie

    async def load_from_connection(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> dict[str, Any]:
        """Return the state of the session that the client presents; else an empty dict.

        Raises:
            DatabaseError: The database failed.
        """
        return (await self._begin(connection)).state

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """Return the id of the session that was loaded; ``None`` where none was.

        What a client presents is no session's id before it has been found.
        """
        visit = visit_of(connection.scope)
        return None if visit is None or visit.session_id is None else visit.session_id.value

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
        visit = visit_of(connection.scope) or await self._begin(connection)
        if visit.session_id is not None and connection.get_session_id() is None:
            # What clear_session leaves behind, whatever was set since.
            visit.invalidate()
        outcome = await visit.finish(
            self._store,
            self.state_of(scope_session, connection.scope),
            ttl=self._ttl,
            renewal_threshold=self.config.renewal_threshold,
        )
        self._write_headers(MutableScopeHeaders.from_message(message), visit, outcome)

    def state_of(self, session: object, scope: Scope) -> dict[str, Any]:
        """Return a session of an application as the state to store.

        A dict is stored as it is. Models are turned into JSON, by the type encoders of the
        application where need be; what makes no dict is refused with ``TypeError`` when it is
        stored.
        """
        if session is None or session is Empty:
            return {}
        if isinstance(session, dict):
            return session
        return self.deserialize_data(self.serialize_data(cast("Any", session), scope))

    async def _begin(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Visit:
        visit = await Visit.begin(self._store, self._presented(connection))
        cast("dict[str, Any]", connection.scope)[_VISIT] = visit
        return visit

    def _presented(self, connection: ASGIConnection[Any, Any, Any, Any]) -> list[bytes]:
        headers = connection.scope["headers"]
        if any(name == b"cookie" for name, _ in headers):
            return self._cookie.presented(headers)
        # The connection that a test client makes up has cookies without a header.
        value = connection.cookies.get(self._cookie.name)
        return [] if value is None else [value.encode()]

    def _write_headers(self, headers: MutableScopeHeaders, visit: Visit, outcome: Outcome) -> None:
        def values_of(name: str) -> list[str]:
            return headers.getall(name, [])

        if outcome.cookie is Cookie.KEEP and visit.session_id is None:
            # Whether the application looked at the session cannot be told.
            vary_by_cookie(headers, values_of)
            return
        keep_private(headers, values_of)
        header = self._cookie.header_after(outcome, self._ttl)
        if header is not None:
            headers.add("set-cookie", header)


class SQLSessionMiddleware(SessionMiddleware[SQLSessionBackend]):
    """Litestar's session middleware, but for what it does with messages, and in the end.

    Litestar's writes the cookie into the message that it was given. Its response cache has kept
    that message, and would give one client's cookie to all others.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session, and see that nothing of it was lost.

        Raises:
            SessionClosedError: The session was changed too late to be stored.
        """
        await super().__call__(scope, receive, send)
        visit = visit_of(scope)
        assert visit is not None, "the session was loaded on the way in"
        visit.require_finished(self.backend.state_of(scope.get("session"), scope))

    def create_send_wrapper(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> Callable[[Message], Awaitable[None]]:
        """Return a ``send`` that stores the session before the response starts."""

        async def send_after_saving(message: Message) -> None:
            if message["type"] in _STARTS:
                fields = cast("dict[str, Any]", message)
                message = cast("Message", {**fields, "headers": [*fields.get("headers", ())]})
                session = connection.scope.get("session")
                await self.backend.store_in_message(session, message, connection)
            await connection.send(message)

        return send_after_saving


@dataclass(kw_only=True)
class SQLSessionConfig(BaseBackendConfig[SQLSessionBackend]):
    """Server-side sessions for a Litestar application, secure unless told otherwise.

    ``request.session`` is a dict that JSON can hold, and its changes are stored before the response
    starts: a client that has the response has a session that is committed. What is changed later
    raises ``SessionClosedError`` when the application has finished.

    Where a response depends on a session that was loaded, or carries its cookie, ``Cache-Control:
    private`` keeps shared caches from it.

    Attributes:
        store: Where the sessions are; give it to the application's ``lifespan``, which closes it.
        key: The name of the cookie. Left empty, it is ``__Host-session``; ``__Secure-session``
            with another ``path`` than ``/`` or a ``domain``, and ``session`` where ``secure`` is
            off.
        max_age: Seconds that a session lives after it was stored or extended, and its cookie.
        renewal_threshold: The share of ``max_age``, from 0 to 1, below which the remaining life
            is extended. With 0 it never is.
        scopes: The kinds of connections that have a session.
        path: The ``Path`` of the cookie.
        domain: The ``Domain`` of the cookie; with ``None``, no other host gets it.
        secure: Whether the cookie is for HTTPS only.
        httponly: Always: no script has any business with the id.
        samesite: The ``SameSite`` of the cookie.
        exclude: Patterns of paths that have no session.
        exclude_opt_key: The key in a handler's ``opt`` by which it has no session.

    Raises:
        TypeError: ``store`` or ``max_age`` is of another type.
        ValueError: ``max_age`` or ``renewal_threshold`` is out of range, or browsers would not
            accept such a cookie.
    """

    _backend_class = SQLSessionBackend

    store: SessionStorageBackend
    key: str = ""
    max_age: int = _DEFAULT_MAX_AGE
    renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD
    scopes: Scopes = field(default_factory=lambda: {ScopeType.HTTP, ScopeType.WEBSOCKET})
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    httponly: bool = field(default=True, init=False)
    samesite: Literal["lax", "strict", "none"] = "lax"
    exclude: str | list[str] | None = None
    exclude_opt_key: str = "skip_session"

    def __post_init__(self) -> None:
        if not isinstance(self.store, SessionStorageBackend):
            raise TypeError(f"store is a session store, not {type(self.store).__name__}")
        ttl_of_seconds(self.max_age)
        require_threshold(self.renewal_threshold)
        if not self.key:
            self.key = default_name(path=self.path, secure=self.secure, domain=self.domain)
        _ = self.cookie  # raises where it is none that browsers accept

    @property
    def cookie(self) -> SessionCookie:
        """The cookie, as its attributes stand.

        Raises:
            ValueError: Browsers would not accept it.
        """
        return SessionCookie(
            name=self.key,
            path=self.path,
            same_site=self.samesite,
            secure=self.secure,
            domain=self.domain,
        )

    @property
    def middleware(self) -> DefineMiddleware:
        """What goes into the ``middleware`` of an application, a router or a handler."""
        return DefineMiddleware(SQLSessionMiddleware, backend=self._backend_class(config=self))


def rotate(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Give the session another id with this response; what it holds stays.

    To be called wherever somebody's privileges change, as when they log in: an id that an
    attacker planted before, or has learned, is worth nothing afterwards. The old id is unknown
    from then on, to requests of the same browser that are under way as well.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The connection did not pass through the middleware of a ``SQLSessionConfig``.
    """
    _require_visit(connection).rotate()


def invalidate(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Empty the session, and have it deleted, and its cookie removed, with this response.

    To be called when somebody logs out. What is put into ``request.session`` afterwards begins a
    new session, with an id of its own. ``request.clear_session()`` does the same, but leaves the
    application without a dict.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The connection did not pass through the middleware of a ``SQLSessionConfig``.
    """
    _require_visit(connection).invalidate()
    session = connection.scope.get("session")
    if isinstance(session, dict):
        session.clear()
    else:
        connection.scope["session"] = {}


def visit_of(scope: Scope) -> Visit | None:
    """Return the visit of a connection, if it passed through the middleware."""
    return cast("dict[str, Any]", scope).get(_VISIT)


def _require_visit(connection: ASGIConnection[Any, Any, Any, Any]) -> Visit:
    visit = visit_of(connection.scope)
    if visit is None:
        raise RuntimeError("the connection has no session of a SQLSessionConfig")
    return visit
