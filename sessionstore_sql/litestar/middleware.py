"""The session middleware of a Litestar application."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.middleware.session.base import SessionMiddleware
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.litestar.states import state_of
from sessionstore_sql.litestar.unavailable import UNAVAILABLE, unavailable
from sessionstore_sql.web.asgi.exchange import Exchange, has_session
from sessionstore_sql.web.asgi.headers import RawHeaders
from sessionstore_sql.web.cache_control import vary_by_cookie
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.session_dict import SessionDict

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from litestar.types import ExceptionHandlersMap, Receive, Scope, Send

    from sessionstore_sql.litestar.sessions import SQLSessionBackend  # noqa: F401  # in quotes
    from sessionstore_sql.web.asgi.exchange import Message
    from sessionstore_sql.web.work import Outcome

logger = logging.getLogger("sessionstore_sql.lifecycle")

_SESSION = "sessionstore_sql.litestar.session"
"""Where a scope has the session, whatever the application puts into ``scope["session"]``."""


class SQLSessionMiddleware(SessionMiddleware["SQLSessionBackend"]):
    """Gives requests and WebSockets ``scope["session"]``, as ``SQLSessionConfig`` says."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session.

        Raises:
            SessionClosedError: The session was changed too late to be stored.
        """
        setup = self.backend.config.setup
        fields = cast("Any", scope)
        if not has_session(setup, fields):
            await self.app(scope, receive, send)
            return
        app = cast("Any", self.app)
        exchange = LitestarExchange(app, setup, fields, cast("Any", receive), cast("Any", send))
        # The scope holds the cookie, and error trackers show the variables of every frame.
        del scope, fields, receive, send
        await exchange.run()


class LitestarExchange(Exchange):
    """One request and its response, or one WebSocket, in a Litestar application.

    Litestar turns exceptions into responses inside of the session middleware, its applications
    replace ``scope["session"]``, and whether they looked at it cannot be told.
    """

    def _enter(self) -> None:
        session = self._request_session
        self._scope[_SESSION] = self._scope["session"] = self._session
        if session.failure is not None:
            session.failure = unavailable(session.failure, self._scope)
            self._scope = _UnavailableScope(self._scope, session.failure)
        session_id = None if session.session_id is None else session.session_id.value
        connection: Any = connection_to(self._scope)
        connection._connection_state.session_id = session_id  # noqa: SLF001  # as Litestar's does

    def _state(self) -> dict[str, Any]:
        session, held = self._request_session, self._scope.get("session")
        if held is self._session:
            return super()._state()
        was_cleared = connection_to(self._scope).get_session_id() is None
        if was_cleared and session.session_id is not None and not session.closed:
            session.invalidate()  # ``clear_session`` was called, whatever was set since.
        return state_of(held, cast("Scope", self._scope))

    def _depends_on_session(self) -> bool:
        return True

    def _headers(self, message: Message, outcome: Outcome) -> list[tuple[bytes, bytes]]:
        if outcome.cookie is not Cookie.KEEP or self._request_session.session_id is not None:
            return super()._headers(message, outcome)
        headers = RawHeaders(message.get("headers", ()))
        vary_by_cookie(headers, headers.values_of, name=self._setup.transport.request_header)
        return headers.raw

    def _is_of_a_failure(self) -> bool:
        # Litestar sends the response to an exception while it handles the exception.
        error = sys.exception()
        if error is None or isinstance(error, HTTPException | DatabaseError):
            return False
        route_handler: Any = self._scope["route_handler"]
        handlers: ExceptionHandlersMap = route_handler.resolve_exception_handlers()
        return handlers.keys().isdisjoint({HTTP_500_INTERNAL_SERVER_ERROR, *type(error).__mro__})

    def _failure_behind(self, error: Exception) -> DatabaseError | None:
        # Litestar wraps what is raised while a response starts.
        cause = error if isinstance(error, DatabaseError) else error.__cause__
        return cause if isinstance(cause, DatabaseError) else None

    async def _send_message(self, message: Message) -> None:
        failure = self._request_session.failure
        if failure is not None and message.get("status") == UNAVAILABLE:
            logger.error("a request was answered with 503, as the database failed: %s", failure)
        await super()._send_message(message)


class _UnavailableScope(dict[str, Any]):
    """A scope whose session could not be loaded: the failure is raised where it is first used.

    ``request.session`` looks it up here. The value itself would be taken for an empty dict by
    what turns it into JSON.
    """

    def __init__(self, scope: MutableMapping[str, Any], failure: DatabaseError) -> None:
        super().__init__(scope)
        self._failure = failure

    def __getitem__(self, key: str) -> object:
        if key == "session":
            raise self._failure
        return super().__getitem__(key)


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> SessionDict:
    """Return the session of a request or a WebSocket.

    Raises:
        RuntimeError: It did not pass through the middleware of a ``SQLSessionConfig``.
    """
    session = cast("dict[str, Any]", connection.scope).get(_SESSION)
    if not isinstance(session, SessionDict):
        raise RuntimeError(  # noqa: TRY004  # the set-up is at fault, not the argument
            "the connection has no session of a SQLSessionConfig, or the path is in its `exclude`"
        )
    return session


def connection_to(scope: object) -> ASGIConnection[Any, Any, Any, Any]:
    """Return the connection of a scope."""
    return ASGIConnection(cast("Scope", scope))
