"""Signing in, listing and ending the sessions of a user, in an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import httpx2 as httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sessionstore_sql import SessionId
from sessionstore_sql.fastapi import add_session_responses, fresh, typed_session
from sessionstore_sql.starlette import (
    BearerToken,
    SessionMiddleware,
    current_handle,
    invalidate,
    require_fresh,
    revoke,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.starlette.applications import COOKIE, application, browser, id_in
from tests.unit.memory_backend import MemoryBackend

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemorySessionStore:
    """A store that knows users."""
    return MemorySessionStore(clock=clock)


async def enter(request: Request) -> Response:
    """Sign a user in, and remember what the application knows about the device."""
    user = request.query_params["user"]
    sign_in(request, user, about={"device": request.headers.get("user-agent", "")})
    request.session["user"] = user
    if "remember" in request.query_params:
        set_max_age(request, timedelta(days=30))
    return Response()


async def devices(request: Request) -> Response:
    """List the sessions of the user."""
    this = current_handle(request)
    return JSONResponse(
        [
            {"handle": each.handle.value, "about": each.about, "this": each.handle == this}
            for each in await sessions_of(request)
        ]
    )


async def end(request: Request) -> Response:
    """End one session of the user."""
    return JSONResponse(await revoke(request, request.query_params["handle"]))


async def leave(request: Request) -> Response:
    """End all sessions of the user."""
    keep_this = "keep" in request.query_params
    return JSONResponse(await sign_out_everywhere(request, keep_this=keep_this))


async def pay(request: Request) -> Response:
    """Do what needs a fresh sign-in."""
    require_fresh(request, within=HOUR)
    return Response()


ENDPOINTS: tuple[Callable[[Request], Awaitable[Response]], ...] = (enter, devices, end, leave, pay)


@asynccontextmanager
async def two_devices(app: Any) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Give the browsers of one user on a phone and on a laptop."""
    async with browser(app) as phone, browser(app) as laptop:
        phone.headers["user-agent"] = "phone"
        laptop.headers["user-agent"] = "laptop"
        for client in (phone, laptop):
            await client.get("/enter?user=ada")
        yield phone, laptop


async def test_signing_in_gives_a_new_id(store: MemorySessionStore) -> None:
    """The session from before the login goes on under it, and its old id is useless."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/put?cart=tea")
        old_id = id_in(client)
        await client.get("/enter?user=ada")

        assert id_in(client) != old_id
        assert (await client.get("/show")).json() == {"cart": "tea", "user": "ada"}
    assert await store.load(old_id) is None
    assert len(await store.sessions_of("ada")) == 1


async def test_a_user_sees_all_devices(store: MemorySessionStore) -> None:
    """The list marks the session of the request, and holds no id."""
    async with two_devices(application(store, *ENDPOINTS)) as (phone, laptop):
        response = await laptop.get("/devices")

        assert {each["about"]["device"]: each["this"] for each in response.json()} == {
            "phone": False,
            "laptop": True,
        }
        assert id_in(phone).value not in response.text
    assert response.headers["cache-control"] == "private, no-cache"


async def test_a_user_ends_the_session_of_a_lost_phone(store: MemorySessionStore) -> None:
    """By its handle, as a form sends it. The phone is logged out with its next request."""
    async with two_devices(application(store, *ENDPOINTS)) as (phone, laptop):
        (lost,) = [each for each in (await laptop.get("/devices")).json() if not each["this"]]

        assert (await laptop.get(f"/end?handle={lost['handle']}")).json() is True
        assert (await phone.get("/show")).json() == {}
        assert (await laptop.get("/show")).json() == {"user": "ada"}
        assert (await laptop.get(f"/end?handle={lost['handle']}")).json() is False


async def test_ending_the_session_of_the_request_logs_out(store: MemorySessionStore) -> None:
    """Its cookie is removed."""
    async with two_devices(application(store, *ENDPOINTS)) as (_phone, laptop):
        (this,) = [each for each in (await laptop.get("/devices")).json() if each["this"]]

        response = await laptop.get(f"/end?handle={this['handle']}")

        assert "Max-Age=0" in response.headers["set-cookie"]
        assert COOKIE not in laptop.cookies
    assert len(await store.sessions_of("ada")) == 1


async def test_a_broken_handle_is_a_wrong_value(store: MemorySessionStore) -> None:
    """It comes from outside, so the application has to expect it."""
    async with two_devices(application(store, *ENDPOINTS)) as (_phone, laptop):
        with pytest.raises(ValueError, match="handle"):
            await laptop.get("/end?handle=nonsense")


@pytest.mark.parametrize(("query", "ended", "left"), [("", 2, []), ("?keep", 1, ["laptop"])])
async def test_a_user_signs_out_everywhere(
    store: MemorySessionStore, query: str, ended: int, left: list[str]
) -> None:
    """With or without this device."""
    async with two_devices(application(store, *ENDPOINTS)) as (phone, laptop):
        assert (await laptop.get(f"/leave{query}")).json() == ended
        assert (await phone.get("/show")).json() == {}
        assert ((await laptop.get("/show")).json() == {}) == (not left)
    assert [each.about["device"] for each in await store.sessions_of("ada")] == left


async def test_subject_of_notices_a_login(store: MemorySessionStore) -> None:
    """An application that only writes the user gets a new id, a list and a logout for it."""

    async def forget(request: Request) -> Response:
        del request.session["user"]
        return Response()

    app = application(store, forget, *ENDPOINTS, subject_of=lambda state: state.get("user"))
    async with browser(app) as client:
        await client.get("/put?cart=tea")
        old_id = id_in(client)
        await client.get("/put?user=ada")
        assert id_in(client) != old_id
        assert len((await client.get("/devices")).json()) == 1

        await client.get("/forget")
        assert (await client.get("/show")).json() == {"cart": "tea"}
        assert (await client.get("/devices")).json() == []
    assert await store.sessions_of("ada") == []


async def test_remember_me(store: MemorySessionStore, clock: ManualClock) -> None:
    """Only the session of a user who asked for it outlives the usual time."""
    app = application(store, *ENDPOINTS, max_age=HOUR, persistent=False)
    async with browser(app) as forgotten, browser(app) as remembered:
        response = await forgotten.get("/enter?user=ada")
        assert "Max-Age" not in response.headers["set-cookie"]
        response = await remembered.get("/enter?user=ada&remember=1")
        assert "Max-Age=2592000" in response.headers["set-cookie"]
        clock.advance(timedelta(days=20))

        assert (await forgotten.get("/show")).json() == {}
        response = await remembered.get("/show")
        assert response.json() == {"user": "ada"}
        assert "Max-Age=2592000" in response.headers["set-cookie"]


@pytest.mark.parametrize("path", ["/enter?user=ada", "/devices", "/end?handle=x", "/leave", "/pay"])
async def test_a_store_without_users_says_so(path: str) -> None:
    """An application finds out with its first request."""
    path = path.replace("=x", f"={'A' * 22}")
    async with browser(application(MemoryBackend(), *ENDPOINTS)) as client:
        with pytest.raises(TypeError, match="AccountSessionBackend"):
            await client.get(path)


@pytest.mark.parametrize(
    "options",
    [{"subject_of": str}, {"lifetime": 60}, {"max_sessions": 3}, {"anonymous_max_age": 9}],
)
async def test_options_for_users_are_rejected_without(options: dict[str, Any]) -> None:
    """At set-up."""

    async def nothing(*_: Any) -> None: ...

    with pytest.raises(TypeError, match="AccountSessionBackend"):
        SessionMiddleware(nothing, MemoryBackend(), **options)


async def test_what_needs_a_fresh_sign_in_asks_for_one(
    store: MemorySessionStore, clock: ManualClock
) -> None:
    """401 without a user, 403 after too long; signing in again helps."""
    async with browser(application(store, *ENDPOINTS)) as client:
        response = await client.get("/pay")
        assert response.status_code == httpx.codes.UNAUTHORIZED
        assert response.headers["www-authenticate"] == "Cookie"

        await client.get("/enter?user=ada")
        assert (await client.get("/pay")).status_code == httpx.codes.OK
        clock.advance(2 * HOUR)
        response = await client.get("/pay")
        assert response.status_code == httpx.codes.FORBIDDEN
        assert response.text == "reauthentication_required"
        await client.get("/enter?user=ada")
        assert (await client.get("/pay")).status_code == httpx.codes.OK


# FastAPI.


class Login(BaseModel):
    """A user who is logged in."""

    user: str


def shop(store: MemorySessionStore, **options: Any) -> FastAPI:
    """Return an application with dependencies on the session."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, store=store, **options)

    @app.post("/login")
    async def login(request: Request) -> None:
        sign_in(request, "ada")
        request.session["user"] = "ada"

    @app.get("/me")
    async def me(login: Annotated[Login, Depends(typed_session(Login))]) -> Login:
        return login

    @app.delete("/account", dependencies=[Depends(fresh(within=HOUR))])
    async def delete_account() -> None: ...

    @app.get("/public")
    async def public() -> None: ...

    return app


async def test_fresh_answers_with_a_reason(store: MemorySessionStore, clock: ManualClock) -> None:
    """A client can tell that another sign-in helps."""
    async with browser(shop(store)) as client:
        assert (await client.delete("/account")).status_code == httpx.codes.UNAUTHORIZED
        await client.post("/login")
        assert (await client.delete("/account")).status_code == httpx.codes.OK
        clock.advance(2 * HOUR)

        response = await client.delete("/account")

    assert response.status_code == httpx.codes.FORBIDDEN
    assert response.json()["detail"]["reason"] == "reauthentication_required"
    assert response.json()["detail"]["within_seconds"] == 3600


def statuses(schema: dict[str, Any]) -> dict[str, set[str]]:
    """Return the responses that each path documents."""
    return {
        path: set(operation["responses"])
        for path, operations in schema["paths"].items()
        for operation in operations.values()
    }


async def test_the_responses_are_documented(store: MemorySessionStore) -> None:
    """In the OpenAPI document that is served, and in one that is generated without a request."""
    expected = {
        "/login": {"200"},
        "/me": {"200", "401"},
        "/account": {"200", "401", "403"},
        "/public": {"200"},
    }
    assert statuses(shop(store).openapi()) == expected
    async with browser(shop(store)) as client:
        schema = (await client.get("/openapi.json")).json()
    assert statuses(schema) == expected
    reason = schema["paths"]["/account"]["delete"]["responses"]["403"]
    detail = reason["content"]["application/json"]["schema"]["properties"]["detail"]
    assert detail["properties"]["reason"]["const"] == "reauthentication_required"


async def test_a_response_that_is_documented_otherwise_is_kept(store: MemorySessionStore) -> None:
    """The application knows better."""
    app = FastAPI()

    @app.get(
        "/pay", dependencies=[Depends(fresh(HOUR))], responses={403: {"description": "Pay first"}}
    )
    async def pay() -> None: ...

    responses = app.openapi()["paths"]["/pay"]["get"]["responses"]
    assert responses["403"] == {"description": "Pay first"}
    assert add_session_responses(app.openapi()) == app.openapi()


@pytest.mark.parametrize(
    ("options", "scheme"),
    [
        ({}, {"type": "apiKey", "in": "cookie", "name": "__Host-session"}),
        ({"session_cookie": "sid"}, {"type": "apiKey", "in": "cookie", "name": "sid"}),
        ({"bearer": BearerToken()}, {"type": "http", "scheme": "bearer"}),
    ],
    ids=str,
)
def test_the_security_scheme_names_what_the_application_uses(
    store: MemorySessionStore, options: dict[str, Any], scheme: dict[str, str]
) -> None:
    """The cookie as it is named, or the header."""
    schemes = shop(store, **options).openapi()["components"]["securitySchemes"]

    assert {key: schemes["Session"][key] for key in scheme} == scheme


# An id in a header.


async def test_a_bearer_token_takes_the_place_of_the_cookie(store: MemorySessionStore) -> None:
    """Responses carry a new id in a header of their own, and no cookie."""
    app = application(store, *ENDPOINTS, bearer=BearerToken())
    async with browser(app) as client:
        response = await client.get("/put?cart=tea")
        first = response.headers["session-token"]
        assert "set-cookie" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["vary"] == "Authorization"

        client.headers["authorization"] = f"bearer  {first}"
        response = await client.get("/enter?user=ada")
        second = response.headers["session-token"]
        assert second != first

        client.headers["authorization"] = f"Bearer {second}"
        response = await client.get("/show")
        assert response.json() == {"cart": "tea", "user": "ada"}
        assert "session-token" not in response.headers

        response = await client.get("/logout")
        assert response.headers["session-token"] == ""
    assert await store.load(SessionId(second)) is None


@pytest.mark.parametrize("header", ["{id}", "Basic {id}", "Bearer", "Bearer a b", "Bearer{id}"])
async def test_other_credentials_are_no_session(store: MemorySessionStore, header: str) -> None:
    """Only the scheme ``Bearer`` presents an id. A cookie does not."""
    app = application(store, bearer=BearerToken())
    async with browser(app) as client:
        token = (await client.get("/put?cart=tea")).headers["session-token"]

        headers = {"authorization": header.format(id=token), "cookie": f"{COOKIE}={token}"}
        assert (await client.get("/show", headers=headers)).json() == {}


async def test_a_401_names_the_scheme(store: MemorySessionStore) -> None:
    """Clients of an API expect ``Bearer``."""
    async with browser(shop(store, bearer=BearerToken())) as client:
        response = await client.get("/me")

    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_header_is_an_option(store: MemorySessionStore) -> None:
    """Where another header is expected."""
    app = application(store, bearer=BearerToken(name="X-Session"))
    async with browser(app) as client:
        assert "x-session" in (await client.get("/put?cart=tea")).headers
    with pytest.raises(ValueError, match="header"):
        BearerToken(name="not a header")


async def test_a_logout_after_a_sign_in_in_one_request_logs_out(store: MemorySessionStore) -> None:
    """The last wish counts."""

    async def both(request: Request) -> Response:
        sign_in(request, "ada")
        invalidate(request)
        return Response()

    async with browser(application(store, both)) as client:
        await client.get("/put?cart=tea")
        await client.get("/both")

        assert COOKIE not in client.cookies
    assert await store.sessions_of("ada") == []
