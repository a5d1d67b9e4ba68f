"""Requests of one visitor in any order, on Quart, and functions for users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from quart import Response, session, websocket
from quart.typing import TestClientProtocol as Client

from sessionstore_sql import DatabaseError, LoadSessionError
from sessionstore_sql.errors import for_operation
from sessionstore_sql.quart import (
    SQLSessionInterface,
    current_handle,
    fresh_required,
    invalidate,
    reload,
    revoke,
    rotate,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from sessionstore_sql.web.errors import SessionClosedError
from tests.quart.conftest import Site, setting
from tests.web.rules.asgi_socket import connected

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def browser(site: Site) -> Client:
    """A browser with a cart."""
    client = site.browser()
    await site.ask(client, setting(cart=["tea"]))
    return client


async def logged_in(site: Site) -> Client:
    """Return a browser whose visitor has logged in."""
    client = site.browser()
    await site.ask(client, setting(user="ada"))
    return client


def cookie_in(response: Any) -> str | None:
    """Return the ``Set-Cookie`` of a response; ``None`` if there is none."""
    header: str | None = response.headers.get("Set-Cookie")
    return header


async def test_a_login_changes_the_id(site: Site, browser: Client) -> None:
    """Without any call: the user in the session is noticed."""
    before = site.key(browser)

    await site.ask(browser, setting(user="ada"))

    assert site.key(browser) != before
    assert await site.content(browser) == {"cart": ["tea"], "user": "ada"}


async def test_both_clicks_of_a_double_click_log_in(site: Site, browser: Client) -> None:
    """Whichever response the browser reads."""
    second = site.in_browser_of(browser)

    async def first_click() -> None:
        assert session["cart"] == ["tea"]
        await site.ask(second, setting(user="ada"))
        session["user"] = "ada"

    await site.ask(browser, first_click)

    for each in (browser, second):
        assert await site.content(each) == {"cart": ["tea"], "user": "ada"}


async def test_a_request_with_a_rotated_id_starts_nothing(site: Site, browser: Client) -> None:
    """Its cookie would replace the new one."""
    late = site.in_browser_of(browser)

    async def view() -> None:
        rotate()

    await site.ask(browser, view)

    assert cookie_in(await site.ask(late, setting(late=True))) is None
    assert await site.content(browser) == {"cart": ["tea"]}


async def test_changes_of_different_keys_are_merged(site: Site, browser: Client) -> None:
    """Two tabs keep what they stored, and no cookie is sent again."""
    other = site.in_browser_of(browser)

    async def slow() -> None:
        session["one"] = 1
        await site.ask(other, setting(two=2))

    assert cookie_in(await site.ask(browser, slow)) is None
    assert await site.content(browser) == {"cart": ["tea"], "one": 1, "two": 2}


async def test_a_logout_stays(site: Site) -> None:
    """Whatever a slower request stores."""
    client = await logged_in(site)
    other = site.in_browser_of(client)

    async def log_out() -> None:
        invalidate()

    async def slow() -> None:
        session["seen"] = 1
        await site.ask(other, log_out)

    await site.ask(client, slow)

    assert await site.content(client) == {}


async def test_a_failing_view_stores_nothing(site: Site) -> None:
    """Nor does the page that reports the error; it is told so."""
    faults: list[Exception] = []

    @site.app.errorhandler(500)
    async def report(_error: Exception) -> tuple[str, int]:
        try:
            session["reported"] = True
        except SessionClosedError as error:
            faults.append(error)
        return "", 500

    client = site.browser()
    await site.ask(client, setting(cart=["tea"]))

    async def fail() -> None:
        session["cart"] = []
        raise ZeroDivisionError

    response = await site.ask(client, fail)

    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert len(faults) == 1
    assert await site.content(client) == {"cart": ["tea"]}


async def test_a_visitor_who_only_looks_has_no_session(site: Site) -> None:
    """And the response is for this visitor only."""

    async def view() -> Any:
        return {"cart": session.get("cart")}

    response = await site.ask(site.browser(), view)

    assert cookie_in(response) is None
    assert response.headers["Vary"] == "Cookie"
    assert response.headers["Cache-Control"] == "private, no-cache"


async def test_values_of_flasks_types_come_back(site: Site) -> None:
    """As with Quart's own sessions."""
    client = site.browser()
    await site.ask(client, setting(value=(1, b"2")))
    seen: list[Any] = []

    async def view() -> None:
        seen.append(session["value"])

    await site.ask(client, view)

    assert seen == [(1, b"2")]


async def test_the_test_client_can_change_a_session(site: Site) -> None:
    """``session_transaction`` works as with Quart's own sessions."""
    site.app.config["SESSION_COOKIE_SECURE"] = False
    client = site.browser()
    async with client.session_transaction() as stored:
        stored["cart"] = 1

    assert await site.content(client) == {"cart": 1}


async def test_a_session_can_be_remembered(site: Site, browser: Client) -> None:
    """An idle time of its own stays with it."""

    async def view() -> None:
        set_max_age(timedelta(days=90))

    header = cookie_in(await site.ask(browser, view)) or ""

    assert f"Max-Age={90 * 24 * 60 * 60}" in header


async def test_sessions_are_listed_and_ended(site: Site) -> None:
    """By the functions for users."""
    phone, laptop, tablet = [await logged_in(site) for _ in range(3)]
    seen: list[Any] = []

    async def note() -> None:
        seen.append(current_handle())

    await site.ask(phone, note)

    async def view() -> Any:
        assert seen[0] in [each.handle for each in await sessions_of()]
        ended = await revoke(seen[0].value)
        return {"ended": ended, "others": await sign_out_everywhere()}

    assert await (await site.ask(laptop, view)).get_json() == {"ended": True, "others": 1}
    assert [await site.content(each) for each in (phone, laptop, tablet)] == [
        {},
        {"user": "ada"},
        {},
    ]


async def test_a_session_can_end_itself(site: Site) -> None:
    """The response removes the cookie."""
    for handle_is_given in (True, False):
        client = await logged_in(site)

        async def view(handle_is_given: bool = handle_is_given) -> None:
            if handle_is_given:
                await revoke(current_handle() or "")
            else:
                await sign_out_everywhere(keep_this=False)

        await site.ask(client, view)

        assert site.key(client) == ""


@fresh_required(HOUR)
async def delete_account() -> None:
    """Do what only the user may do."""


@pytest.mark.parametrize("known_url", ["memory"], indirect=True)
async def test_a_fresh_login_is_required(site: Site) -> None:
    """The response says whether another login helps."""
    assert (await site.ask(site.browser(), delete_account)).status_code == HTTPStatus.UNAUTHORIZED
    client = await logged_in(site)
    assert (await site.ask(client, delete_account)).status_code == HTTPStatus.OK
    site.clock.advance(2 * HOUR)

    response = await site.ask(client, delete_account)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert (await response.get_json())["reason"] == "reauthentication_required"

    async def again() -> None:
        sign_in("ada", about={"device": "phone"})

    await site.ask(client, again)
    assert (await site.ask(client, delete_account)).status_code == HTTPStatus.OK


class Unreachable(MemorySessionStore):
    """A store whose database cannot be reached."""

    async def load_session(self, session_id: Any) -> Any:
        """Fail."""
        raise for_operation(LoadSessionError, DatabaseError("gone", transient=True))

    async def create(self, session_id: Any, record: Any) -> None:
        """Fail."""
        raise for_operation(LoadSessionError, DatabaseError("gone", transient=True))


async def test_only_requests_that_use_their_session_fail() -> None:
    """With 503. The cookie stays."""
    site = Site(Unreachable(), ManualClock())
    client = site.browser()
    client.set_cookie("localhost", "session", "x" * 43, secure=True)

    async def untouched() -> None:
        return None

    async def loading() -> None:
        session.get("cart")

    responses = [await site.ask(client, untouched), await site.ask(client, loading)]
    responses.append(await site.ask(site.browser(), setting(cart=1)))

    assert [each.status_code for each in responses] == [200, 503, 503]
    assert [each.headers.get("Retry-After") for each in responses] == [None, "5", "5"]
    assert not any(cookie_in(each) for each in responses)


async def test_a_websocket_ends_with_its_session(site: Site) -> None:
    """It is closed with 1008, and can only read its session."""
    faults: list[Exception] = []

    @site.app.websocket("/socket")
    async def chat() -> None:
        await websocket.send_json(session["user"])
        try:
            session["seen"] = True
        except SessionClosedError as error:
            faults.append(error)
        assert await reload()
        await websocket.receive()
        await websocket.receive()

    client = await logged_in(site)
    other = site.in_browser_of(client)

    async def log_out() -> None:
        invalidate()

    # Not Quart's test client: since Quart 0.23, it does not report that the server has closed.
    async with connected(site.app, {"Cookie": f"session={site.key(client)}"}) as connection:
        assert await connection.ask() == "ada"
        await site.ask(other, log_out)
        async with asyncio.timeout(10):
            assert await connection.closed() == 1008

    assert len(faults) == 1


def test_wrong_options_are_errors_at_once() -> None:
    """Not with the first request."""
    with pytest.raises(TypeError, match="session store"):
        SQLSessionInterface(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="renewal_threshold"):
        SQLSessionInterface(MemorySessionStore(), renewal_threshold=2)


@pytest.mark.parametrize("is_late", [True, False])
async def test_a_change_inside_of_a_value_in_a_stream_is_logged(
    site: Site, browser: Client, caplog: pytest.LogCaptureFixture, is_late: bool
) -> None:
    """It is not stored, and no method of the session could raise."""

    async def view() -> Response:
        cart = session["cart"]
        if not is_late:
            cart.append("coffee")

        async def chunks() -> AsyncIterator[str]:
            yield "first"
            if is_late:
                cart.append("coffee")

        return Response(chunks())

    response = await site.ask(browser, view)
    assert await response.get_data() == b"first"
    content = ["tea"] if is_late else ["tea", "coffee"]
    assert (await site.content(browser))["cart"] == content
    assert ("the change is lost" in caplog.text) is is_late
