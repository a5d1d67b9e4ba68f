"""One request, its session, which is loaded when it is first used, and its response."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp_session import SESSION_KEY, STORAGE_KEY

from sessionstore_sql.aiohttp.recheck import Recheck
from sessionstore_sql.aiohttp.session import SQLSession
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.web.asgi.unavailable import RETRY_AFTER
from sessionstore_sql.web.cache_control import keep_private
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.storage import AccountStorage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import timedelta

    from sessionstore_sql.web.request_session import RequestSession
    from sessionstore_sql.web.setup import SessionSetup

logger = logging.getLogger("sessionstore_sql.lifecycle")


class Exchange:
    """One request and its response.

    aiohttp-session's ``get_session`` and ``new_session`` find it where they look for a storage.

    Args:
        setup: The sessions, and how their ids are sent.
        request: The request.

    Attributes:
        setup: The sessions, and how their ids are sent.
        outer: The exchange of a middleware that the request has passed before; ``None`` without.
    """

    def __init__(self, setup: SessionSetup, request: web.Request) -> None:
        self.setup = setup
        self.outer = next(exchanges_of(request), None)
        self._request = request
        self._outer_session: object = None
        self._lock = asyncio.Lock()
        self._request_session: RequestSession | None = None
        self._session: SQLSession | None = None
        self._closed = False
        self._started = False
        self._websocket: web.WebSocketResponse | None = None
        self._recheck: Recheck | None = None

    # What aiohttp-session calls.

    async def load_session(self, request: web.Request) -> SQLSession:
        """Return the session that the client presents, or else a new one.

        Raises:
            DatabaseError: The database failed.
        """
        del request  # It is the same one.
        async with self._lock:  # Concurrent tasks of one request share its session.
            if self._session is None:
                session = await self._begin()
                is_new = session.session_id is None
                self._session = SQLSession(session, self._default_max_age, new=is_new)
            return self._session

    async def new_session(self) -> SQLSession:
        """Return a new session. The one that the client presents ends with the response.

        Raises:
            SessionClosedError: The response has started.
            DatabaseError: The database failed.
        """
        async with self._lock:
            session = await self._begin()
            session.invalidate()
            self._session = SQLSession(session, self._default_max_age, new=True)
            return self._session

    # What a middleware and a storage call.

    async def run(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Return the response of ``handler``, after storing the session."""
        self._enter()
        is_raised = False
        response: web.StreamResponse
        try:
            try:
                response = await handler(self._request)
            except web.HTTPException as error:
                response, is_raised = error, True
            if not (self._started or response.prepared):
                await self.save_current(response)
        except DatabaseError as error:
            if self._started or not error.transient:
                raise
            logger.error("a request was answered with 503, as the database failed: %s", error)  # noqa: TRY400  # without the traceback, once for each request
            raise unavailable() from None
        finally:
            await self._leave()
        if self._session is not None:
            _require_finished(self._session)
        if is_raised:
            assert isinstance(response, web.HTTPException)
            raise response
        return response

    async def start(self, response: web.StreamResponse) -> None:
        """Store the session before a response starts that the application prepares itself."""
        if self._started or self._closed:
            return
        await self.save_current(response)
        self._started = True
        if self._request_session is not None:
            self._request_session.close()
        if isinstance(response, web.WebSocketResponse):
            self._websocket = response
            self._start_recheck()

    async def save_current(self, response: web.StreamResponse) -> None:
        """Store the session, if the request used it, and add headers to the response."""
        if self._session is not None:
            await self.save(response, self._session)

    async def save(self, response: web.StreamResponse, session: SQLSession) -> None:
        """Store a session, unless that was done already, and add headers to the response.

        Raises:
            SessionClosedError: It was stored already, and changed since.
        """
        request_session = session.request_session
        if request_session is None:
            request_session = await self.adopt(self._request, session)
        if request_session.closed:
            request_session.require_finished(session.state)
            return
        idle_time = self._apply_max_age(session, request_session)
        outcome = await request_session.finish(session.state, idle_time=idle_time)
        if session.ends_with_browser:
            outcome = replace(outcome, max_age=None)
        transport, headers = self.setup.transport, response.headers
        keep_private(headers, lambda name: headers.getall(name, []), name=transport.request_header)
        for name, value in transport.headers_after(outcome):
            if name == "Set-Cookie":
                # aiohttp sends the application's cookies after other headers: browsers take the
                # last one of a name.
                response.cookies.pop(transport.name, None)
                headers.add(name, value)
            else:
                headers[name] = value
        if outcome.cookie is Cookie.SET:
            self.setup.warn_of_plain_http(self._request.scheme)

    async def adopt(self, request: web.Request, session: SQLSession) -> RequestSession:
        """Let a new session that knows no request take the place of what the client presents."""
        del request
        session.request_session = await self._begin()
        session.request_session.invalidate()
        return session.request_session

    @property
    def _default_max_age(self) -> timedelta:
        return self.setup.sessions.options.lifetimes.max_age

    async def _begin(self) -> RequestSession:
        if self._request_session is not None:
            return self._request_session
        presented = self.setup.transport.ids_in(self._request.raw_headers)
        session = await self.setup.sessions.begin(presented)
        session.require_loaded()
        if self._started or self._closed:
            session.close()
        self._request_session = session
        self._start_recheck()
        return session

    def _apply_max_age(
        self, session: SQLSession, request_session: RequestSession
    ) -> timedelta | None:
        """Give the session the idle time that was set, and return one for this response only."""
        if session.ends_with_browser:
            return self._default_max_age
        idle_time = session.own_max_age
        if idle_time is None or not isinstance(self.setup.sessions.storage, AccountStorage):
            return idle_time
        request_session.set_max_age(idle_time)
        return None

    def _start_recheck(self) -> None:
        period, session = self.setup.websocket_recheck, self._request_session
        if self._websocket is None or period is None or session is None or self._closed:
            return
        if self._recheck is None and session.session_id is not None:
            self._recheck = Recheck(session, period, self._websocket)

    def _enter(self) -> None:
        if self.outer is not None:
            self._outer_session = self._request.get(SESSION_KEY)
            self._request[SESSION_KEY] = None
        self._request[STORAGE_KEY] = self

    async def _leave(self) -> None:
        self._closed = True
        if self._request_session is not None:
            self._request_session.close()
        if self._recheck is not None:
            await self._recheck.stop()
        if self.outer is not None:
            self._request[STORAGE_KEY] = self.outer
            self._request[SESSION_KEY] = self._outer_session


def exchanges_of(request: web.Request) -> Iterator[Exchange]:
    """Yield the exchanges of the middlewares that a request has passed, the innermost first."""
    exchange = request.get(STORAGE_KEY)
    while isinstance(exchange, Exchange):
        yield exchange
        exchange = exchange.outer


def unavailable() -> web.HTTPException:
    """Return the response while the database cannot be reached."""
    headers = {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
    return web.HTTPServiceUnavailable(headers=headers)


def _require_finished(session: SQLSession) -> None:
    if session.request_session is not None:
        session.request_session.require_finished(session.state)
