"""A small application on a socket, and browsers that visit it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_session import get_session, new_session

from sessionstore_sql import SessionId, SessionStorageBackend
from sessionstore_sql.aiohttp import SQLStorage, invalidate, rotate, setup

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

QUIET = [pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")]
"""aiohttp-session 2.12.1 uses the keys that it did before aiohttp 3.14."""

COOKIE = "__Host-session"
TTL = timedelta(hours=10)
DUE = timedelta(hours=3)
"""How much time passes until a session is due to be extended."""


async def show(request: web.Request) -> web.Response:
    """Answer with the session."""
    return web.json_response(dict(await get_session(request)))


async def put(request: web.Request) -> web.Response:
    """Store the query, value by value."""
    (await get_session(request)).update(request.query)
    return web.Response()


async def add(request: web.Request) -> web.Response:
    """Add to a list inside the session."""
    session = await get_session(request)
    session.setdefault("cart", []).append(request.query["item"])
    return web.Response()


async def login(request: web.Request) -> web.Response:
    """Log the user in."""
    await rotate(request)
    (await get_session(request))["user"] = request.query["user"]
    return web.Response()


async def login_anew(request: web.Request) -> web.Response:
    """Log the user in with aiohttp-session's ``new_session``."""
    (await new_session(request))["user"] = request.query["user"]
    return web.Response()


async def renew(request: web.Request) -> web.Response:
    """Ask for another id, and for nothing else."""
    await rotate(request)
    return web.Response()


async def logout(request: web.Request) -> web.Response:
    """Log the user out."""
    await invalidate(request)
    return web.Response()


async def switch(request: web.Request) -> web.Response:
    """Log out, and store a message in a new session."""
    session = await get_session(request)
    session.invalidate()
    session["message"] = "you are logged out"
    return web.Response()


async def empty(request: web.Request) -> web.Response:
    """Take everything out of the session."""
    (await get_session(request)).clear()
    return web.Response()


async def untouched(_: web.Request) -> web.Response:
    """Answer without a look at the session."""
    return web.Response()


HANDLERS: tuple[Handler, ...] = (
    *(show, put, add, login, login_anew, renew, logout, switch, empty, untouched),
)


def application(
    store: SessionStorageBackend,
    *more: Handler,
    install: Callable[[web.Application, SQLStorage], None] = setup,
    **options: Any,
) -> web.Application:
    """Return an application with the handlers above and ``more``, each at its name."""
    app = web.Application()
    storage = SQLStorage(store, **{"max_age": TTL} | options)
    install(app, storage)
    for handler in (*HANDLERS, *more):
        app.router.add_get(f"/{handler.__name__}", handler)  # type: ignore[attr-defined]
    return app


@dataclass
class Answer:
    """What a browser gets."""

    status: int
    headers: Any
    json: Any

    @property
    def set_cookie(self) -> str | None:
        """The one ``Set-Cookie``, if there is one."""
        values = self.headers.getall("Set-Cookie", [])
        assert len(values) <= 1
        return values[0] if values else None


@dataclass
class Browser:
    """Sends its cookie back, ``Secure`` or not, as the tests' sockets have no TLS."""

    client: TestClient[Any, Any]
    id: str | None = field(default=None, repr=False)

    async def get(self, path: str) -> Answer:
        """Visit a page."""
        async with self.client.get(path, headers=self.headers) as response:
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json else None
            answer = Answer(response.status, response.headers, body)
        if answer.set_cookie is not None:
            self.id = SimpleCookie(answer.set_cookie)[COOKIE].value or None
        return answer

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the next request."""
        return {} if self.id is None else {"Cookie": f"{COOKIE}={self.id}"}

    @property
    def session_id(self) -> SessionId:
        """The id it has."""
        assert self.id is not None
        return SessionId(self.id)


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[TestClient[Any, Any]]:
    """Run an application; the client has no cookies."""
    async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:
        yield client


@asynccontextmanager
async def browser(app: web.Application) -> AsyncIterator[Browser]:
    """Run an application for one browser."""
    async with running(app) as client:
        yield Browser(client)
