"""The session middleware among others, in nested applications, and where it is excluded."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sessionstore_sql.starlette import SessionClosedError, SessionMiddleware
from sessionstore_sql.testing import MemorySessionStore
from tests.leaks import logged
from tests.starlette.applications import COOKIE, application, browser, show

pytestmark = pytest.mark.anyio


@pytest.fixture
def memory() -> MemorySessionStore:
    """A store for what no database makes a difference to."""
    return MemorySessionStore()


async def count(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Count visits in the session, as a middleware between the two."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return await call_next(request)


async def login(request: Request) -> Response:
    """Store a user."""
    request.session["user"] = "ada"
    return JSONResponse(dict(request.session))


def nested(outer: dict[str, Any], inner: dict[str, Any]) -> Starlette:
    """Return an application with a middleware, and a mounted one with another."""
    account = Starlette(
        routes=[Route("/login", login), Route("/show", show)],
        middleware=[Middleware(SessionMiddleware, **inner)],
    )
    return Starlette(
        routes=[Route("/show", show), Mount("/account", account)],
        middleware=[
            Middleware(SessionMiddleware, **outer),
            Middleware(BaseHTTPMiddleware, dispatch=count),
        ],
    )


async def test_the_inner_one_of_two_equal_middlewares_passes_through(
    memory: MemorySessionStore,
) -> None:
    """There is one session, to which both applications and the middleware between them write."""
    app = nested({"store": memory}, {"store": memory, "max_age": 60})
    async with browser(app) as client:
        response = await client.get("/account/login")
        assert response.json() == {"visits": 1, "user": "ada"}
        assert len(response.headers.get_list("set-cookie")) == 1

        assert (await client.get("/show")).json() == {"visits": 2, "user": "ada"}
        assert (await client.get("/account/show")).json() == {"visits": 3, "user": "ada"}


@pytest.mark.parametrize(
    "inner", [{"store": MemorySessionStore()}, {"same_site": "strict"}], ids=["store", "cookie"]
)
async def test_one_cookie_cannot_belong_to_two_middlewares(
    memory: MemorySessionStore, inner: dict[str, Any]
) -> None:
    """Each would overwrite the id of the other. The first request says so."""
    async with browser(nested({"store": memory}, {"store": memory} | inner)) as client:
        with pytest.raises(RuntimeError, match=f"'{COOKIE}'"):
            await client.get("/account/login")


async def test_two_middlewares_with_names_of_their_own_have_a_session_each(
    memory: MemorySessionStore,
) -> None:
    """The inner application sees its own."""
    app = nested({"store": memory}, {"store": memory, "session_cookie": "account"})
    async with browser(app) as client:
        assert (await client.get("/account/login")).json() == {"user": "ada"}
        assert client.cookies.keys() == {COOKIE, "account"}
        assert (await client.get("/show")).json() == {"visits": 2}


async def test_an_excluded_path_has_no_session(memory: MemorySessionStore) -> None:
    """Nothing is loaded for it, whatever cookie the request has."""

    async def has_session(request: Request) -> Response:
        return JSONResponse("session" in request.scope)

    exclude: list[str | re.Pattern[str]] = ["/static", "/health/", re.compile(r"\.css$")]
    paths = {
        "/static": False,
        "/static/logo.png": False,
        "/statics": True,
        "/health": False,
        "/health/live": False,
        "/theme/a.css": False,
        "/theme/a.csv": True,
        "/": True,
    }
    app = Starlette(
        routes=[Route("/{path:path}", has_session)],
        middleware=[Middleware(SessionMiddleware, store=memory, exclude=exclude)],
    )
    async with browser(app) as client:
        assert {path: (await client.get(path)).json() for path in paths} == paths


@pytest.mark.parametrize(
    ("root_path", "path", "has_session"),
    [
        ("/api", "/api/health", False),
        ("/api/", "/api/health", False),
        ("/api", "/health", False),
        ("/api", "/apis/health", True),
        ("/api", "/api", True),
    ],
)
async def test_an_excluded_path_is_that_of_routes(
    memory: MemorySessionStore, root_path: str, path: str, has_session: bool
) -> None:
    """Where the application is mounted, or which prefix a proxy removes, does not matter."""
    found = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append("session" in scope)

    scope = {"type": "http", "path": path, "root_path": root_path, "headers": []}
    nothing: Any = None
    await SessionMiddleware(app, memory, exclude="/health")(scope, nothing, nothing)

    assert found == [has_session]


async def test_one_excluded_path_needs_no_list(memory: MemorySessionStore) -> None:
    """A text is one path."""
    async with browser(application(memory, exclude="/show")) as client:
        with pytest.raises(AssertionError, match="must be installed"):
            await client.get("/show")
        assert (await client.get("/put?a=1")).status_code == httpx.codes.OK


@pytest.mark.parametrize(
    ("exclude", "error"), [("static", ValueError), ([7], TypeError), ([""], ValueError)]
)
def test_what_excludes_nothing_is_rejected(
    memory: MemorySessionStore, exclude: Any, error: type[Exception]
) -> None:
    """A path begins with a slash."""
    with pytest.raises(error, match="exclude"):
        SessionMiddleware(_no_application, memory, exclude=exclude)


async def _no_application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Do nothing."""


class Cache:
    """Keeps the messages of a page, and sends them again to every other visitor."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.kept: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what was kept."""
        if scope["path"] != "/untouched":
            await self.app(scope, receive, send)
            return
        if not self.kept:

            async def keep(message: Message) -> None:
                self.kept.append(message)
                await send(message)

            await self.app(scope, receive, keep)
            return
        for message in self.kept:
            await send(message)


async def test_the_messages_of_the_application_are_not_modified(
    memory: MemorySessionStore,
) -> None:
    """A cache inside of the middleware does not give one visitor's cookie to all others."""
    app = Starlette(
        routes=application(memory).routes,
        middleware=[
            Middleware(SessionMiddleware, store=memory, renewal_threshold=1),
            Middleware(Cache),
        ],
    )
    async with browser(app) as ada, browser(app) as stranger:
        await ada.get("/put?user=ada")
        assert "set-cookie" in (await ada.get("/untouched")).headers

        response = await stranger.get("/untouched")

    assert "set-cookie" not in response.headers
    assert "cache-control" not in response.headers


async def test_a_handler_outside_of_the_middleware_cannot_write(
    memory: MemorySessionStore,
) -> None:
    """Starlette calls the handler of unexpected errors after the exception has passed."""
    caught: list[Exception] = []

    async def unexpected(request: Request, _error: Exception) -> Response:
        try:
            request.session["message"] = "Something went wrong."
        except SessionClosedError as error:
            caught.append(error)
        return PlainTextResponse(f"Sorry, {request.session['user']}", status_code=500)

    async def fail(_request: Request) -> Response:
        raise ValueError

    app = application(memory, fail)
    app.add_exception_handler(Exception, unexpected)
    async with browser(app, raise_app_exceptions=False) as client:
        await client.get("/put?user=ada")
        response = await client.get("/fail")

        assert response.text == "Sorry, ada"
        assert len(caught) == 1
        assert (await client.get("/show")).json() == {"user": "ada"}


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda session: pickle.loads(pickle.dumps(session)),  # noqa: S301  # of this test
        lambda session: session.copy(),
        lambda session: session | {},
        dict,
    ],
)
async def test_copies_are_plain_dicts(memory: MemorySessionStore, copied: Any) -> None:
    """A background task can work on one after the response has started."""
    copies: list[Any] = []

    async def page(request: Request) -> Response:
        request.session["cart"] = ["tea"]
        session = request.session
        return Response(background=BackgroundTask(lambda: copies.append(copied(session))))

    async with browser(application(memory, page)) as client:
        await client.get("/page")

    (made,) = copies
    assert type(made) is dict
    assert made == {"cart": ["tea"]}
    made["changed"] = True


async def test_a_deep_copy_shares_nothing(memory: MemorySessionStore) -> None:
    """Changing it changes no session."""

    async def page(request: Request) -> Response:
        request.session["cart"] = ["tea"]
        copy.deepcopy(request.session)["cart"].append("scones")
        return JSONResponse(dict(request.session))

    async with browser(application(memory, page)) as client:
        assert (await client.get("/page")).json() == {"cart": ["tea"]}


@pytest.mark.parametrize(
    ("base_url", "options", "warnings"),
    [
        ("http://shop.example", {}, 1),
        ("https://shop.example", {}, 0),
        ("http://shop.example", {"https_only": False}, 0),
    ],
)
async def test_a_secure_cookie_on_plain_http_is_reported_once(
    memory: MemorySessionStore, base_url: str, options: dict[str, Any], warnings: int
) -> None:
    """Browsers drop it silently. The message names the option for development."""
    transport = httpx.ASGITransport(application(memory, **options))
    with logged("sessionstore_sql.lifecycle") as log:
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            for n in range(3):
                client.cookies.clear()
                await client.get(f"/put?n={n}")

    assert len(log.records) == warnings
    assert "https_only=False" in log.text or not warnings
