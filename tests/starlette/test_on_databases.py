"""Users, devices and concurrent requests of one browser, with the store on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.starlette import (
    current_handle,
    require_fresh,
    revoke,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.testing import signed_in_client
from tests.starlette.applications import TTL, application, browser, id_in

pytestmark = [pytest.mark.anyio, pytest.mark.default_drivers]

MONTH = timedelta(days=30)


_meeting: ContextVar[asyncio.Barrier | None] = ContextVar("_meeting", default=None)


@contextmanager
def meeting(number: int) -> Iterator[asyncio.Barrier]:
    """Let requests wait for each other, once they have loaded the session."""
    barrier = asyncio.Barrier(number)
    token = _meeting.set(barrier)
    try:
        yield barrier
    finally:
        _meeting.reset(token)


async def met() -> None:
    """Wait for the other requests of the meeting, if there is one."""
    if barrier := _meeting.get():
        await barrier.wait()


async def enter(request: Request) -> Response:
    """Sign a user in."""
    request.session.get("cart")
    await met()
    sign_in(request, request.query_params["user"], about={"device": request.headers["user-agent"]})
    request.session["user"] = request.query_params["user"]
    if "keep" in request.query_params:
        set_max_age(request, MONTH)
    return Response()


async def slow(request: Request) -> Response:
    """Store one value, some time after the session was loaded."""
    request.session.get("cart")
    await met()
    await asyncio.sleep(0.1)
    request.session[request.query_params["key"]] = "stored"
    return Response()


async def devices(request: Request) -> Response:
    """Answer with the user's devices."""
    this = current_handle(request)
    found = await sessions_of(request)
    return JSONResponse({str(each.about["device"]): each.handle == this for each in found})


async def end_others(request: Request) -> Response:
    """Sign the user out everywhere else, one device after the other or all at once."""
    if "all" in request.query_params:
        return JSONResponse(await sign_out_everywhere(request))
    this = current_handle(request)
    others = [each.handle for each in await sessions_of(request) if each.handle != this]
    return JSONResponse(sum([await revoke(request, each) for each in others]))


async def pay(request: Request) -> Response:
    """Do what needs a login of the last minute."""
    require_fresh(request, within=timedelta(minutes=1))
    return Response()


ENDPOINTS = (enter, slow, devices, end_others, pay)


async def test_many_clicks_on_log_in(store: SQLSessionStore) -> None:
    """Every login gets a session with the cart, so it does not matter which response is last."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/put?cart=tea")
        cookie = {"cookie": f"__Host-session={id_in(client).value}"}

        with meeting(4):
            responses = await asyncio.gather(
                *(client.get("/enter?user=ada", headers=cookie) for _ in range(4))
            )

        for response in responses:
            assert response.status_code == 200
            client.cookies.clear()
            client.cookies.extract_cookies(response)
            assert (await client.get("/show")).json() == {"cart": "tea", "user": "ada"}


async def test_a_login_beside_other_requests(store: SQLSessionStore) -> None:
    """Requests that were sent before the login are answered after it, and undo nothing."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/put?cart=tea")
        with meeting(4):
            await asyncio.gather(
                client.get("/enter?user=ada"), *(client.get(f"/slow?key=k{n}") for n in range(3))
            )

        state = (await client.get("/show")).json()

    assert (state["user"], state["cart"]) == ("ada", "tea")


async def test_concurrent_changes_are_merged(store: SQLSessionStore) -> None:
    """What each request stored under a key of its own is there in the end."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/enter?user=ada")

        with meeting(3):
            await asyncio.gather(*(client.get(f"/slow?key=k{n}") for n in range(3)))

        state = (await client.get("/show")).json()
    assert state == {"user": "ada", "k0": "stored", "k1": "stored", "k2": "stored"}


async def test_a_logout_beside_a_slow_request(store: SQLSessionStore) -> None:
    """The slow request does not bring the user back."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/enter?user=ada")
        with meeting(2) as loaded:
            late = asyncio.create_task(client.get("/slow?key=late"))
            await loaded.wait()
            await client.get("/logout")
            await late

        assert (await client.get("/show")).json() == {}
    assert await store.sessions_of("ada") == []


@pytest.mark.parametrize("how", ["", "?all"])
async def test_two_devices(store: SQLSessionStore, how: str) -> None:
    """Each browser sees both, and ends the other one."""
    app = application(store, *ENDPOINTS)
    async with browser(app) as phone, browser(app) as laptop:
        phone.headers["user-agent"], laptop.headers["user-agent"] = "phone", "laptop"
        await phone.get("/enter?user=ada")
        await laptop.get("/enter?user=ada")
        assert (await laptop.get("/devices")).json() == {"phone": False, "laptop": True}

        assert (await laptop.get(f"/end_others{how}")).json() == 1

        assert (await phone.get("/show")).json() == {}
        assert (await laptop.get("/devices")).json() == {"laptop": True}


async def test_a_limit_of_sessions(store: SQLSessionStore) -> None:
    """The oldest session ends."""
    app = application(store, *ENDPOINTS, max_sessions=1)
    async with browser(app) as phone, browser(app) as laptop:
        await phone.get("/enter?user=ada")
        await laptop.get("/enter?user=ada")

        assert (await phone.get("/show")).json() == {}
        assert (await laptop.get("/show")).json() == {"user": "ada"}


async def test_a_login_that_is_kept(store: SQLSessionStore) -> None:
    """The idle time of its own goes on through other requests and another id."""
    async with browser(application(store, *ENDPOINTS)) as client:
        await client.get("/enter?user=ada&keep")
        await client.get("/put?cart=tea")
        await client.get("/renew")

        loaded = await store.load_session(id_in(client))

    assert loaded is not None
    assert loaded.idle_ttl == MONTH
    assert loaded.record.ttl > TTL


async def test_a_client_that_is_signed_in(store: SQLSessionStore) -> None:
    """The test client's session is like one of the application's own login."""
    app = application(store, *ENDPOINTS, subject_of=lambda state: state.get("user"))
    async with browser(app) as client:
        await signed_in_client(client, "ada", state={"user": "ada"}, about={"device": "a test"})

        assert (await client.get("/devices")).json() == {"a test": True}
        assert (await client.get("/pay")).status_code == 200
