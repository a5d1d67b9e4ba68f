"""Requests through starsessions' middleware, on every database."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, load_session
from starsessions.session import get_session_id, regenerate_session_id

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.starsessions import SQLStore

pytestmark = pytest.mark.anyio


class Site:
    """A small site with starsessions."""

    def __init__(self, stars: SQLStore, *between: Middleware) -> None:
        self.stars = stars
        self._app = Starlette(
            routes=[
                Route("/", self.index),
                Route("/add", self.add),
                Route("/logout", self.log_out),
                Route("/overtaken", self.overtaken),
                Route("/login", self.log_in),
            ],
            middleware=[Middleware(SessionMiddleware, store=stars, lifetime=3_600), *between],
        )

    async def index(self, request: Request) -> Response:
        """Read the session."""
        await load_session(request)
        return PlainTextResponse(str(request.session.get("cart")))

    async def add(self, request: Request) -> Response:
        """Write to the session."""
        await load_session(request)
        request.session["cart"] = request.query_params["item"]
        return Response()

    async def log_out(self, request: Request) -> Response:
        """Empty the session."""
        await load_session(request)
        request.session.clear()
        return Response()

    async def overtaken(self, request: Request) -> Response:
        """Write to the session while another request removes it."""
        await load_session(request)
        await self.stars.remove(get_session_id(request) or "")
        request.session["cart"] = "late"
        return Response()

    async def log_in(self, request: Request) -> Response:
        """Change the id and remove the old one, as the guide shows."""
        await load_session(request)
        old_id = get_session_id(request)
        regenerate_session_id(request)
        await self.stars.remove(old_id or "")
        return Response()

    async def get(self, path: str, session_id: str | None = None) -> tuple[str, str | None]:
        """Return the body of the response and the session id in its cookie."""
        path, _, query = path.partition("?")
        cookie = [(b"cookie", f"session={session_id}".encode())] if session_id else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": cookie,
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        assert sent[0]["status"] == 200
        cookies = SimpleCookie()
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                cookies.load(value.decode())
        body = b"".join(message.get("body", b"") for message in sent)
        return body.decode(), cookies["session"].value if "session" in cookies else None


@pytest.fixture
def site(store: SQLSessionStore) -> Site:
    """The site, on an empty table."""
    return Site(SQLStore(store))


async def test_a_session_lasts_from_request_to_request(site: Site) -> None:
    """The session is found again with the id in the cookie, which does not change."""
    _, session_id = await site.get("/add?item=tea")

    assert await site.get("/", session_id) == ("tea", session_id)


async def test_a_planted_id_is_not_adopted(site: Site) -> None:
    """A visitor with a planted id gets a new one."""
    _, session_id = await site.get("/add?item=tea", "planted")

    assert session_id not in {"planted", None}
    assert await site.get("/", "planted") == ("None", None)


async def test_an_emptied_session_is_gone(site: Site) -> None:
    """A kept id is useless after the session was emptied."""
    _, session_id = await site.get("/add?item=tea")

    assert await site.get("/logout", session_id) == ("", "''")  # starsessions' empty cookie

    assert await site.get("/", session_id) == ("None", None)


@pytest.mark.parametrize("autoload", [False, True])
async def test_a_request_that_a_logout_overtook_revives_nothing(
    store: SQLSessionStore, autoload: bool
) -> None:
    """The response of a request that a logout overtook carries an id that is not live."""
    between = [Middleware(SessionAutoloadMiddleware)] if autoload else []
    site = Site(SQLStore(store), *between)
    _, session_id = await site.get("/add?item=tea")

    _, late_id = await site.get("/overtaken", session_id)

    assert late_id == session_id
    assert await site.get("/", session_id) == ("None", None)


async def test_behind_a_base_http_middleware_a_late_write_gets_a_new_id(
    store: SQLSessionStore,
) -> None:
    """This limit is documented; the old id remains invalid even here."""

    async def unchanged(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    site = Site(SQLStore(store), Middleware(BaseHTTPMiddleware, dispatch=unchanged))
    _, session_id = await site.get("/add?item=tea")

    _, late_id = await site.get("/overtaken", session_id)

    assert late_id != session_id
    assert await site.get("/", late_id) == ("late", late_id)
    assert await site.get("/", session_id) == ("None", None)


async def test_an_old_id_is_ended_by_removing_it(site: Site) -> None:
    """Removing the old id ends it, as the guide shows for a login."""
    _, old_id = await site.get("/add?item=tea")

    _, new_id = await site.get("/login", old_id)

    assert await site.get("/", new_id) == ("tea", new_id)
    assert await site.get("/", old_id) == ("None", None)
