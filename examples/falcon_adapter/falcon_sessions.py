"""Sessions for ASGI applications of Falcon."""

from collections.abc import Iterator
from typing import Any

import falcon
import falcon.asgi

from sessionstore_sql import DatabaseError, SessionStorageBackend
from sessionstore_sql.web import (
    Cookie,
    SessionCookie,
    SessionDict,
    SessionOptions,
    Sessions,
    default_name,
    keep_private,
)


class SessionRequest(falcon.asgi.Request):
    """A request with a session."""

    @property
    def session(self) -> SessionDict:
        """The session. The response depends on it from here on."""
        session: SessionDict = self.context.session
        session.mark_accessed()
        return session


class SessionMiddleware:
    """Loads the session before the responder, and stores it before the response."""

    def __init__(self, sessions: Sessions, cookie: SessionCookie) -> None:
        self._sessions = sessions
        self._cookie = cookie

    async def process_request(
        self, req: SessionRequest, resp: falcon.asgi.Response
    ) -> None:
        """Load the session."""
        presented = self._cookie.ids_in(req.scope["headers"])
        req.context.session = SessionDict.of(await self._sessions.begin(presented))

    async def process_response(
        self,
        req: SessionRequest,
        resp: falcon.asgi.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Store the session, unless the application failed, and tell the client."""
        session: SessionDict | None = req.context.get("session")
        if session is None:  # Another middleware has responded before.
            return
        if not req_succeeded and resp.status_code >= 500:
            session.request_session.close()
            return
        outcome = await session.request_session.finish(session.complete_state())
        for name, value in self._cookie.headers_after(outcome):
            resp.append_header(name, value)
        if session.accessed or outcome.cookie is not Cookie.KEEP:
            headers = _Headers(resp)
            keep_private(headers, headers.values_of)


class _Headers:
    """The headers of a response, as ``keep_private`` changes them."""

    def __init__(self, resp: falcon.asgi.Response) -> None:
        self._resp = resp

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._resp.headers))

    def __setitem__(self, name: str, value: str) -> None:
        self._resp.set_header(name, value)

    def __delitem__(self, name: str) -> None:
        self._resp.delete_header(name)

    def values_of(self, name: str) -> list[str]:
        """Return the values of all headers of a name."""
        value = self._resp.get_header(name)
        return [] if value is None else [value]


async def respond_unavailable(
    req: SessionRequest,
    resp: falcon.asgi.Response,
    error: DatabaseError,
    params: object,
) -> None:
    """Answer with 503 if a retry may help."""
    if not error.transient:
        raise error
    raise falcon.HTTPServiceUnavailable(retry_after=5)


def add_sessions(
    app: falcon.asgi.App[Any, Any],
    store: SessionStorageBackend,
    options: SessionOptions | None = None,
) -> None:
    """Give every request of an application a session.

    Args:
        app: The application, made with ``request_type=SessionRequest``.
        store: Where the sessions are. The application opens and closes it.
        options: How the sessions behave.
    """
    cookie = SessionCookie(name=default_name(path="/", secure=True, domain=None))
    sessions = Sessions(store, options, name=cookie.name)
    app.add_middleware(SessionMiddleware(sessions, cookie))
    app.add_error_handler(DatabaseError, respond_unavailable)
