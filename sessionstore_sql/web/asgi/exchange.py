"""One request and its response, or one WebSocket, and its session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.web.asgi.headers import RawHeaders
from sessionstore_sql.web.asgi.recheck import Recheck
from sessionstore_sql.web.asgi.unavailable import unavailable_messages
from sessionstore_sql.web.cache_control import keep_private
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.session_dict import SessionDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from sessionstore_sql.web.setup import SessionSetup
    from sessionstore_sql.web.work import Outcome

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("sessionstore_sql.lifecycle")

_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""The messages that carry headers: the last moment for a cookie. A WebSocket that is closed
without having been accepted has none."""

_IN_SCOPE = "sessionstore_sql.setups"
"""What the middlewares go by that a request has passed, by the name of their cookie or header."""


def has_session(setup: SessionSetup, scope: Scope) -> bool:
    """Return whether a request gets a session: not if it has one, or needs none.

    Raises:
        RuntimeError: It has passed another middleware that uses the same name.
    """
    if scope["type"] not in {"http", "websocket"} or setup.excludes(_route_path(scope)):
        return False
    return not setup.continues(scope.get(_IN_SCOPE, {}).get(setup.transport.name))


def _route_path(scope: Scope) -> str:
    """Return the path as routes see it: without the prefix of a mount or of ``--root-path``."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root_path) if path.startswith(f"{root_path}/") else path


class Exchange:
    """One request and its response, or one WebSocket."""

    def __init__(
        self, app: ASGIApp, setup: SessionSetup, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._setup = setup
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = False
        self._failed = False
        self._client_is_gone = False
        self._recheck: Recheck | None = None

    async def run(self) -> None:
        """Run the application."""
        setup, transport = self._setup, self._setup.transport
        presented = transport.ids_in(self._scope["headers"])
        self._request_session = session = await setup.sessions.begin(presented)
        self._session = SessionDict.of(session, challenge=transport.challenge)
        self._enter()
        passed = self._scope.get(_IN_SCOPE, {})
        self._scope[_IN_SCOPE] = {**passed, transport.name: setup}
        try:
            await self._app(self._scope, self._receive_message, self._send_message)
            if self._client_is_gone and not self._started and not session.closed:
                # Frameworks do not start to stream a response that no client receives.
                await session.finish(self._complete_state())
        except Exception as error:
            session.close()
            failure = self._failure_behind(error)
            if self._started or failure is None or not failure.transient:
                raise
            logger.error("a request was answered with 503, as the database failed: %s", failure)  # noqa: TRY400  # without the traceback, once for each request
            for message in unavailable_messages(self._scope):
                await self._send(message)
            return
        finally:
            session.close()
            if self._recheck is not None:
                await self._recheck.stop()
        if session.failure is None and not self._failed:
            session.require_finished(self._complete_state())

    # What depends on the framework.

    def _enter(self) -> None:
        """Give the application its session."""
        self._scope["session"] = self._session

    def _state(self) -> dict[str, Any]:
        """Return the state as the application leaves it."""
        return self._session.complete_state()

    def _depends_on_session(self) -> bool:
        """Return whether the response depends on the session."""
        return self._session.accessed

    def _is_of_a_failure(self) -> bool:
        """Return whether a response is about to start because the application has failed.

        If so, nothing is stored, as if the exception had left the session middleware.
        """
        return False

    def _failure_behind(self, error: Exception) -> DatabaseError | None:
        """Return the failure of the database with which the application ended, if it was one."""
        return error if isinstance(error, DatabaseError) else None

    async def _receive_message(self) -> Message:
        if self._recheck is not None:
            return await self._recheck.receive(self._receive)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._client_is_gone = True
        return message

    async def _send_message(self, message: Message) -> None:
        if self._recheck is not None:
            await self._recheck.send(message)
            return
        if message["type"] not in _STARTS:
            await self._send(message)
            return
        self._failed = self._failed or self._is_of_a_failure()
        if self._failed:
            self._request_session.close()
        if not self._request_session.closed:
            message = await self._finished(message)
        self._started = True
        await self._send(message)
        if message["type"] == "websocket.accept":
            self._start_recheck()

    async def _finished(self, message: Message) -> Message:
        """Store the session, and return a copy of a message with the headers that this needs."""
        session = self._request_session
        outcome = await session.finish(self._complete_state())
        if outcome.cookie is Cookie.KEEP and not self._depends_on_session():
            return message
        return {**message, "headers": self._headers(message, outcome)}

    def _complete_state(self) -> dict[str, Any]:
        if self._request_session.failure is not None:
            return {}
        try:
            return self._state()
        except BaseException:
            # The response that reports this error is not another chance to store the session.
            self._request_session.close()
            raise

    def _headers(self, message: Message, outcome: Outcome) -> list[tuple[bytes, bytes]]:
        transport = self._setup.transport
        headers = RawHeaders(message.get("headers", ()))
        keep_private(headers, headers.values_of, name=transport.request_header)
        for name, value in transport.headers_after(outcome):
            if name == "Set-Cookie":
                headers.add(name, value)
            else:
                headers[name] = value
        if outcome.cookie is Cookie.SET:
            self._setup.warn_of_plain_http(self._scope.get("scheme", ""))
        return headers.raw

    def _start_recheck(self) -> None:
        period = self._setup.websocket_recheck
        if period is not None and self._request_session.session_id is not None:
            self._recheck = Recheck(self._request_session, period, self._send)
