"""Test clients that are signed in without a login page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from sessionstore_sql.starlette import (
    BearerToken,
    SessionMiddleware,
    invalidate,
    require_fresh,
    rotate,
    sessions_of,
)
from sessionstore_sql.testing import ManualClock, MemorySessionStore, signed_in_client
from tests.unit.memory_backend import MemoryBackend

HTTPS = "https://testserver"
COOKIE = "__Host-session"
STATE = {"user_id": "ada"}


async def show(request: Request) -> Response:
    """Answer with the session and the user's devices."""
    return JSONResponse(
        {
            "state": dict(request.session),
            "devices": [each.about for each in await sessions_of(request)],
        }
    )


async def renew(request: Request) -> Response:
    """Rotate the id."""
    rotate(request)
    return Response()


async def leave(request: Request) -> Response:
    """Log out."""
    invalidate(request)
    return Response()


async def pay(request: Request) -> Response:
    """Do what needs a login of the last minute."""
    require_fresh(request, within=60)
    return Response()


def application(store: Any, **options: Any) -> Starlette:
    """Return an application that finds its user in the state."""
    options = {"subject_of": lambda state: state.get("user_id")} | options
    return Starlette(
        routes=[Route(f"/{each.__name__}", each) for each in (show, renew, leave, pay)],
        middleware=[Middleware(SessionMiddleware, store=store, **options)],
    )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Starlette:
    """An application on a store in memory."""
    return application(MemorySessionStore(clock=clock))


def mounted(app: Starlette) -> Any:
    """Return an application in which another one is mounted."""
    return Starlette(routes=[Mount("/", app)])


def wrapped(app: Starlette) -> Any:
    """Return a middleware of another package around an application."""

    class Wrapper:
        def __init__(self) -> None:
            self.app = app

        async def __call__(self, *args: Any) -> None:
            await self.app(*args)

    return Wrapper()


@pytest.mark.parametrize("around", [lambda app: app, mounted, wrapped])
def test_starlettes_client(app: Starlette, around: Callable[[Starlette], Any]) -> None:
    """The application finds the user, and the session among the user's devices."""
    client = signed_in_client(
        TestClient(around(app), base_url=HTTPS), "ada", state=STATE, about={"device": "phone"}
    )

    assert client.get("/show").json() == {"state": STATE, "devices": [{"device": "phone"}]}
    assert client.get("/pay").status_code == 200


def test_a_client_in_its_with_block(app: Starlette) -> None:
    """The store is used in the event loop of the application."""
    with TestClient(app, base_url=HTTPS) as client:
        assert signed_in_client(client, "ada", state=STATE) is client
        assert client.get("/show").json()["state"] == STATE


def test_a_client_after_it_was_used(app: Starlette) -> None:
    """The client's earlier session is left behind."""
    client = signed_in_client(TestClient(app, base_url=HTTPS), "ada", state=STATE)

    signed_in_client(client, "grace", state={"user_id": "grace"})

    assert client.get("/show").json()["state"] == {"user_id": "grace"}
    assert [each.name for each in client.cookies.jar] == [COOKIE]


def test_the_application_changes_the_cookie(app: Starlette) -> None:
    """Later responses replace and remove the cookie, as in a browser."""
    client = signed_in_client(TestClient(app, base_url=HTTPS), "ada", state=STATE)
    before = client.cookies[COOKIE]

    client.get("/renew")
    assert [each.name for each in client.cookies.jar] == [COOKIE]
    assert client.cookies[COOKIE] != before
    client.get("/leave")

    assert list(client.cookies.jar) == []


@pytest.mark.anyio
@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_an_asynchronous_client(app: Starlette, library: Any) -> None:
    """It is signed in in its own event loop."""
    transport = library.ASGITransport(app)
    async with library.AsyncClient(transport=transport, base_url=HTTPS) as client:
        assert await signed_in_client(client, "ada", state=STATE) is client

        assert (await client.get("/show")).json()["state"] == STATE


@pytest.mark.anyio
async def test_a_synchronous_client_in_an_asynchronous_test(app: Starlette) -> None:
    """A loop that runs in the thread is no obstacle."""
    client = signed_in_client(TestClient(app, base_url=HTTPS), "ada", state=STATE)

    assert COOKIE in client.cookies


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_client_of_a_running_server(app: Starlette, library: Any) -> None:
    """A client without an application is told which one it is."""
    client: httpx.Client
    with library.Client(base_url=HTTPS) as client:
        signed_in_client(client, "ada", state=STATE, app=app)

        browser = TestClient(app, base_url=HTTPS, cookies=dict(client.cookies))
        assert browser.get("/show").json()["state"] == STATE


def test_an_idle_time_of_its_own(app: Starlette, clock: ManualClock) -> None:
    """As after "remember me", the session outlives the application's idle time."""
    client = signed_in_client(
        TestClient(app, base_url=HTTPS), "ada", state=STATE, max_age=timedelta(days=60)
    )

    clock.advance(timedelta(days=40))

    assert client.get("/show").json()["state"] == STATE


def test_bearer_tokens() -> None:
    """The client sends the id as the application expects it, over HTTP too."""
    app = application(MemorySessionStore(), bearer=BearerToken())
    client = signed_in_client(TestClient(app), "ada", state=STATE)

    assert client.get("/show").json()["state"] == STATE
    assert list(client.cookies.jar) == []


def test_a_backend_without_accounts() -> None:
    """The seven operations are enough for the state."""
    app = application(MemoryBackend(), subject_of=None)
    client = signed_in_client(TestClient(app, base_url=HTTPS), "ada", state=STATE)

    assert COOKIE in client.cookies


def test_a_client_that_would_not_send_the_cookie(app: Starlette) -> None:
    """A plain-HTTP base URL is an error, instead of a client that is not signed in."""
    with pytest.raises(ValueError, match=r"base_url='https://testserver'"):
        signed_in_client(TestClient(app), "ada", state=STATE)


def test_a_state_without_the_user(app: Starlette) -> None:
    """``subject_of`` has to find the user, as after a login."""
    with pytest.raises(ValueError, match="subject_of"):
        signed_in_client(TestClient(app, base_url=HTTPS), "ada", state={"cart": []})


def test_a_state_of_another_user(app: Starlette) -> None:
    """The subject is the one that ``subject_of`` finds."""
    with pytest.raises(ValueError, match="another user"):
        signed_in_client(TestClient(app, base_url=HTTPS), "grace", state=STATE)


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (TestClient(Starlette(), base_url=HTTPS), "no session middleware"),
        (httpx.Client(base_url=HTTPS), "pass app="),
        (object(), "object is no test client"),
    ],
)
def test_what_cannot_be_signed_in(client: object, message: str) -> None:
    """The error says what is missing."""
    with pytest.raises(TypeError, match=message):
        signed_in_client(client, "ada", state=STATE)


def test_no_framework_is_imported() -> None:
    """The module works without any of the frameworks and clients."""
    check = (
        "import sys, sessionstore_sql.testing; "
        "sys.exit(bool({'starlette', 'httpx', 'httpx2', 'django', 'flask'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
