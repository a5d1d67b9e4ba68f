"""What Litestar applications get beside the functions: a guard, a dependency, OpenAPI, a plugin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Router, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Response
from litestar.testing import TestClient
from msgspec import Struct
from pydantic import BaseModel

from sessionstore_sql import DatabaseError, LoadSessionError, RevokeError
from sessionstore_sql.errors import for_operation
from sessionstore_sql.litestar import (
    BearerToken,
    SQLSessionConfig,
    SQLSessionPlugin,
    fresh,
    invalidate,
    sign_in,
    sign_out_everywhere,
    typed_session,
)
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.litestar.applications import COOKIE, HANDLERS, AnyRequest, application, browser

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemorySessionStore:
    """A store that knows users."""
    return MemorySessionStore(clock=clock)


@get("/enter")
async def enter(request: AnyRequest) -> None:
    """Sign a user in."""
    sign_in(request, "ada")
    request.session["user"] = "ada"


@get("/pay", guards=[fresh(timedelta(minutes=10))])
async def pay() -> str:
    """Do what needs a recent sign-in."""
    return "paid"


async def test_a_guard_requires_a_recent_sign_in(
    store: MemorySessionStore, clock: ManualClock
) -> None:
    """Its 403 has a reason that a program can read."""
    async with browser(application(store, enter, pay)) as client:
        anonymous = await client.get("/pay")
        await client.get("/enter")
        recent = await client.get("/pay")
        clock.advance(timedelta(minutes=11))
        stale = await client.get("/pay")

    assert anonymous.status_code == 401
    assert anonymous.headers["www-authenticate"] == "Cookie"
    assert recent.text == "paid"
    assert stale.status_code == 403
    assert stale.json()["extra"] == {
        "reason": "reauthentication_required",
        "within_seconds": 600,
    }


@pytest.mark.parametrize(("within", "error"), [("1h", TypeError), (0, ValueError)])
def test_a_period_is_checked_when_the_guard_is_made(within: Any, error: type[Exception]) -> None:
    """And not when the first user comes."""
    with pytest.raises(error):
        fresh(within)


# The session as a model.


class InStruct(Struct):
    """Of msgspec."""

    user: str
    clicks: int = 0


@dataclass
class InDataclass:
    """Of the standard library."""

    user: str
    clicks: int = 0


class InPydantic(BaseModel):
    """Of Pydantic."""

    user: str
    clicks: int = 0


@pytest.mark.parametrize("model", [InStruct, InDataclass, InPydantic])
async def test_a_session_can_be_a_model(store: MemorySessionStore, model: Any) -> None:
    """Its changed fields are stored, and other keys stay; without a user, the response is 401."""

    @get("/click", dependencies={"login": typed_session(model)})
    async def click(login: NamedDependency[Any]) -> int:
        login.clicks += 1
        return int(login.clicks)

    async with browser(application(store, enter, click)) as client:
        anonymous = await client.get("/click")
        await client.get("/put?color=red")
        await client.get("/enter")
        clicks = [(await client.get("/click")).json() for _ in range(2)]
        shown = (await client.get("/show")).json()

    assert anonymous.status_code == 401
    assert clicks == [1, 2]
    assert shown == {"color": "red", "user": "ada", "clicks": 2}


async def test_after_a_logout_nothing_of_a_model_is_stored(store: MemorySessionStore) -> None:
    """Or the user would stay in the session."""

    @get("/leave", dependencies={"login": typed_session(InStruct)})
    async def leave(request: AnyRequest, login: NamedDependency[InStruct]) -> None:
        login.clicks += 1
        invalidate(request)

    async with browser(application(store, enter, leave)) as client:
        await client.get("/enter")
        await client.get("/leave")

        assert (await client.get("/show")).json() == {}


# The plugin.


def documented(**options: Any) -> dict[str, Any]:
    """Return the OpenAPI document of an application with the plugin."""

    @get("/me", dependencies={"login": typed_session(InStruct)})
    async def me(login: NamedDependency[InStruct]) -> str:
        return login.user

    @get("/public")
    async def public() -> str:
        return "everyone"

    config = SQLSessionConfig(store=MemorySessionStore(), **options)
    app = Litestar([pay, me, public], plugins=[SQLSessionPlugin(config)])
    schema: dict[str, Any] = app.openapi_schema.to_schema()
    return schema


def test_the_responses_are_documented() -> None:
    """401 and 403, and how a client presents its session."""
    schema = documented()
    operations = {path: item["get"] for path, item in schema["paths"].items()}

    assert {"401", "403"} <= operations["/pay"]["responses"].keys()
    assert "401" in operations["/me"]["responses"]
    assert "403" not in operations["/me"]["responses"]
    assert operations["/pay"]["security"] == operations["/me"]["security"] == [{"Session": []}]
    assert operations["/public"]["responses"].keys() == {"200"}
    scheme = schema["components"]["securitySchemes"]["Session"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", COOKIE)


def test_a_bearer_token_is_documented() -> None:
    """In place of the cookie."""
    scheme = documented(bearer=BearerToken())["components"]["securitySchemes"]["Session"]

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


async def test_the_plugin_adds_the_middleware(store: MemorySessionStore) -> None:
    """Three lines of set-up."""
    config = SQLSessionConfig(store=store)
    app = Litestar([*HANDLERS], plugins=[SQLSessionPlugin(config)], openapi_config=None)
    async with browser(app) as client:
        await client.get("/put?color=red")

        assert (await client.get("/show")).json() == {"color": "red"}


async def test_a_router_can_have_the_middleware(store: MemorySessionStore) -> None:
    """Litestar copies what a router is given, and a store cannot be copied."""
    config = SQLSessionConfig(store=store)
    router = Router("/shop", route_handlers=[*HANDLERS], middleware=[config.middleware])
    async with browser(Litestar([router])) as client:
        await client.get("/shop/put?color=red")

        assert (await client.get("/shop/show")).json() == {"color": "red"}


# Exceptions.


@pytest.mark.parametrize("handled", [LookupError, Exception, 500])
async def test_a_handler_of_errors_can_leave_a_message(
    store: MemorySessionStore, handled: Any
) -> None:
    """It runs inside of the session middleware, so its response can carry the cookie."""

    def sorry(request: Request[Any, Any, Any], _: Exception) -> Response[str]:
        request.session["flash"] = "Something went wrong."
        return Response("", status_code=500)

    @get("/fail", exception_handlers={handled: sorry})
    async def fail() -> None:
        raise KeyError

    async with browser(application(store, fail)) as client:
        await client.get("/fail")

        assert (await client.get("/show")).json() == {"flash": "Something went wrong."}


async def test_an_unexpected_error_stores_nothing(store: MemorySessionStore) -> None:
    """What the handler changed before it failed is lost with it; its response is Litestar's."""

    @get("/fail")
    async def fail(request: AnyRequest) -> None:
        request.session["cart"].append("half a purchase")
        raise KeyError

    async with browser(application(store, fail)) as client:
        await client.get("/add?item=tea")
        response = await client.get("/fail")

        assert response.status_code == 500
        assert response.json()["detail"] == "Internal Server Error"
        assert (await client.get("/show")).json() == {"cart": ["tea"]}


# An unreachable database.


class Unreachable(MemorySessionStore):
    """Fails to load and to revoke."""

    async def load_session(self, session_id: Any) -> Any:
        """Fail."""
        del session_id
        raise for_operation(LoadSessionError, DatabaseError("no route", transient=True))


class Unrevokable(MemorySessionStore):
    """Fails to revoke."""

    async def revoke(self, *_: Any, **__: Any) -> int:
        """Fail."""
        raise for_operation(RevokeError, DatabaseError("no route", transient=True))


async def test_a_failing_account_function_is_503(clock: ManualClock) -> None:
    """And the session is as it was."""

    @get("/leave")
    async def leave(request: AnyRequest) -> int:
        return await sign_out_everywhere(request)

    async with browser(application(Unrevokable(clock=clock), enter, leave)) as client:
        await client.get("/enter")
        response = await client.get("/leave")

        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert (await client.get("/show")).json() == {"user": "ada"}


async def test_an_application_can_handle_the_failure() -> None:
    """As the ``DatabaseError`` that it is."""

    @get("/careful")
    async def careful(request: AnyRequest) -> str:
        try:
            return str(request.session)
        except DatabaseError as error:
            return f"{isinstance(error, LoadSessionError)} {error}"

    headers = {"cookie": f"{COOKIE}={'x' * 43}"}
    async with browser(application(Unreachable(), careful)) as client:
        response = await client.get("/careful", headers=headers)

    assert response.status_code == 200
    assert response.text.startswith("True no route")


async def test_a_session_that_is_returned_as_json_is_unavailable_too() -> None:
    """It is not taken for an empty dict."""
    headers = {"cookie": f"{COOKIE}={'x' * 43}"}
    async with browser(application(Unreachable())) as client:
        response: httpx.Response = await client.get("/show", headers=headers)

    assert response.status_code == 503


def test_a_websocket_without_its_session_is_to_try_again_later() -> None:
    """With the code for that."""

    @websocket("/socket")
    async def talk(socket: WebSocket[Any, Any, Any]) -> None:
        socket.session.clear()

    app = application(Unreachable(), talk)
    with (
        TestClient(app, base_url="https://shop.example", cookies={COOKIE: "x" * 43}) as client,
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect("wss://shop.example/socket") as socket,
    ):
        socket.receive_json()

    assert caught.value.code == 1013
