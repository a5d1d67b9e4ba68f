"""What ``SQLStorage`` makes of responses and options: no database makes a difference."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp_session
import pytest
from aiohttp import WSMsgType, web
from aiohttp_session import Session, SimpleCookieStorage, get_session

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.aiohttp import SessionClosedError, SQLStorage, invalidate, rotate
from sessionstore_sql.testing.support import HOUR
from tests.aiohttp.applications import COOKIE, QUIET, application, browser, running
from tests.unit.memory_backend import MemoryBackend

pytestmark = [pytest.mark.anyio, *QUIET]


@pytest.fixture
def memory() -> MemoryBackend:
    """A store without a database."""
    return MemoryBackend()


def states(memory: MemoryBackend) -> list[bytes]:
    """Return what is stored, without when it began."""
    return [state.partition(b',"aiohttp_session.created"')[0] for state, _ in memory.rows.values()]


async def test_an_http_exception_stores_the_session(memory: MemoryBackend) -> None:
    """What a handler did before it raised counts, as a failed login does."""

    async def fail(request: web.Request) -> web.Response:
        (await get_session(request))["failures"] = 1
        raise web.HTTPUnauthorized

    async with browser(application(memory, fail)) as client:
        answer = await client.get("/fail")

    assert answer.status == 401
    assert answer.set_cookie is not None
    assert states(memory) == [b'{"failures":1']


async def test_another_exception_stores_nothing(memory: MemoryBackend) -> None:
    """A failed request gets no response and no cookie."""

    async def fail(request: web.Request) -> web.Response:
        (await get_session(request))["failures"] = 1
        raise LookupError

    async with browser(application(memory, fail)) as client:
        answer = await client.get("/fail")

    assert answer.status == 500
    assert memory.rows == {}


async def test_a_stream_can_be_given_its_session(memory: MemoryBackend) -> None:
    """Saved by the application before the response is prepared, it is committed by then."""
    storage = SQLStorage(memory)
    stored = []

    async def stream(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["seen"] = True
        response = web.StreamResponse()
        await storage.save_session(request, response, session)
        await response.prepare(request)
        stored.extend(states(memory))
        return response

    async with browser(application(memory, stream)) as client:
        await client.get("/stream")
        shown = await client.get("/show")

    assert stored == [b'{"seen":true']
    assert shown.json == {"seen": True}


async def test_a_websocket_can_be_given_its_session(memory: MemoryBackend) -> None:
    """It reads the session, and what it changed before the handshake is stored."""
    storage = SQLStorage(memory)

    async def socket(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["connected"] = True
        response = web.WebSocketResponse()
        await storage.save_session(request, response, session)
        await response.prepare(request)
        await response.send_json(dict(session))
        await response.close()
        return response

    async with running(application(memory, socket)) as client, client.ws_connect("/socket") as ws:
        message = await ws.receive()

    assert message.type is WSMsgType.TEXT
    assert message.json() == {"connected": True}
    assert states(memory) == [b'{"connected":true']


async def put_late(request: web.Request) -> None:
    """Add to the session."""
    (await get_session(request))["late"] = True


async def remove_late(request: web.Request) -> None:
    """Take from the session."""
    del (await get_session(request))["color"]


@pytest.mark.parametrize("late", [put_late, remove_late, rotate, invalidate])
async def test_a_change_that_comes_too_late_is_rejected(memory: MemoryBackend, late: Any) -> None:
    """A late change raises where it is made, because it is not stored."""
    storage = SQLStorage(memory)
    refused = []

    async def stream(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["color"] = "red"
        response = web.StreamResponse()
        await storage.save_session(request, response, session)
        with pytest.raises(SessionClosedError):
            await late(request)
        refused.append(late)
        return response

    async with browser(application(memory, stream)) as client:
        await client.get("/stream")

    assert refused == [late]
    assert states(memory) == [b'{"color":"red"']


@pytest.mark.parametrize(("changes", "status"), [(False, 200), (True, 500)])
async def test_what_was_saved_is_not_saved_again(
    memory: MemoryBackend, changes: bool, status: int
) -> None:
    """By aiohttp-session, after the application did; but what was changed since is told."""
    storage = SQLStorage(memory)

    async def twice(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["cart"] = []
        response = web.Response()
        await storage.save_session(request, response, session)
        if changes:
            session["cart"].append("late")
        return response

    async with browser(application(memory, twice)) as client:
        answer = await client.get("/twice")

    assert answer.status == status
    assert states(memory) == [b'{"cart":[]']


async def test_a_new_session_may_be_ended_and_rotated(memory: MemoryBackend) -> None:
    """It has no id yet, so there is nothing to do."""

    async def anew(request: web.Request) -> web.Response:
        session = await aiohttp_session.new_session(request)
        session["color"] = "red"
        await invalidate(request)
        await rotate(request)
        session["color"] = "blue"
        return web.Response()

    async with browser(application(memory, anew)) as client:
        await client.get("/anew")

    assert states(memory) == [b'{"color":"blue"']


# What caches are told


@pytest.mark.parametrize("path", ["/put?color=red", "/show", "/logout"])
async def test_a_response_with_a_session_is_private(memory: MemoryBackend, path: str) -> None:
    """Whether it sets the cookie, removes it, or depends on it."""
    async with browser(application(memory)) as client:
        answer = await client.get(path)

    assert answer.headers["Vary"] == "Cookie"
    assert answer.headers["Cache-Control"] == "private, no-cache"


async def test_a_response_without_a_session_says_nothing(memory: MemoryBackend) -> None:
    """Caches may share it."""
    async with browser(application(memory)) as client:
        await client.get("/put?color=red")
        answer = await client.get("/untouched")

    assert "Vary" not in answer.headers
    assert "Cache-Control" not in answer.headers


# What a session tells of itself


async def loaded_session(memory: MemoryBackend) -> tuple[SessionId, Session]:
    """Return an id and its session, as a handler has it."""
    from aiohttp.test_utils import make_mocked_request

    session_id = SessionId.generate()
    await memory.create(session_id, SessionRecord({"secret": "of ada"}, HOUR))
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{COOKIE}={session_id.value}"})
    return session_id, await SQLStorage(memory).load_session(request)


async def test_a_session_hides_what_it_holds(memory: MemoryBackend) -> None:
    """In its ``repr``, which logs may show."""
    session_id, session = await loaded_session(memory)

    assert repr(session).startswith("<SQLSession [new:False, created:")
    assert "secret" not in repr(session)
    assert session_id.value not in repr(session)


async def test_the_identity_is_the_id(memory: MemoryBackend) -> None:
    """Of a session that exists; a new one has none until it is stored."""
    session_id, session = await loaded_session(memory)

    assert session.identity == session_id.value
    assert not session.new
    new = await SQLStorage(memory).new_session()
    assert new.identity is None
    assert new.new


async def test_an_id_cannot_be_chosen(memory: MemoryBackend) -> None:
    """Not even the application."""
    session = await SQLStorage(memory).new_session()

    with pytest.raises(RuntimeError, match="drawn at random"):
        session.set_new_identity("chosen")


async def test_a_session_of_another_storage_is_rejected(memory: MemoryBackend) -> None:
    """It does not know what it would have to."""
    session = Session(None, data=None, new=True)

    with pytest.raises(TypeError, match="its own sessions"):
        await SQLStorage(memory).save_session(None, web.Response(), session)  # type: ignore[arg-type]


@pytest.mark.parametrize("demand", [rotate, invalidate])
async def test_another_storage_has_nothing_to_rotate(demand: Any) -> None:
    """The application hears that its set-up is at fault."""
    asked = []

    async def ask(request: web.Request) -> web.Response:
        with pytest.raises(RuntimeError, match="not those of a SQLStorage"):
            await demand(request)
        asked.append(demand)
        return web.Response()

    app = web.Application()
    aiohttp_session.setup(app, SimpleCookieStorage())
    app.router.add_get("/", ask)
    async with running(app) as client:
        await client.get("/")

    assert asked == [demand]


# The options


async def cookie_with(**options: Any) -> str:
    """Return the ``Set-Cookie`` of a new session."""
    async with running(application(MemoryBackend(), **options)) as client:
        response = await client.get("/put?color=red")
    return response.headers["Set-Cookie"]


async def test_the_cookie_is_secure_by_default() -> None:
    """Every attribute that protects it is there."""
    name_and_id, *attributes = (await cookie_with()).split("; ")

    assert name_and_id.startswith("__Host-session=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=36000", "Path=/", "SameSite=Lax", "Secure"]


async def test_the_cookie_has_the_attributes_that_were_asked_for() -> None:
    """And a name that browsers accept with them."""
    cookie = await cookie_with(path="/shop", domain="shop.example", samesite="strict", max_age=60)
    name_and_id, *attributes = cookie.split("; ")

    assert name_and_id.startswith("__Secure-session=")
    assert sorted(attributes) == [
        *("Domain=shop.example", "HttpOnly", "Max-Age=60"),
        *("Path=/shop", "SameSite=Strict", "Secure"),
    ]


async def test_a_site_without_tls_has_to_ask_for_it() -> None:
    """On a laptop, for example."""
    cookie = await cookie_with(secure=False)

    assert cookie.startswith("sessionstore_id=")
    assert "Secure" not in cookie


async def test_a_name_can_be_chosen() -> None:
    """Any that a cookie can have."""
    assert (await cookie_with(cookie_name="sid")).startswith("sid=")


async def test_the_threshold_can_be_chosen(memory: MemoryBackend) -> None:
    """With 1, each request that asks for the session extends it."""
    async with browser(application(memory, renewal_threshold=1)) as client:
        await client.get("/put?color=red")

        assert (await client.get("/show")).set_cookie is not None


async def test_a_sessions_own_life_is_checked(memory: MemoryBackend) -> None:
    """As the storage's is."""

    async def forever(request: web.Request) -> web.Response:
        (await get_session(request)).max_age = 10**12
        return web.Response()

    async with browser(application(memory, forever)) as client:
        answer = await client.get("/forever")

    assert answer.status == 500


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"store": None}, TypeError),
        ({"store": "sqlite://"}, TypeError),
        ({"max_age": None}, TypeError),
        ({"max_age": "1h"}, TypeError),
        ({"max_age": timedelta(0)}, ValueError),
        ({"partitioned": True, "secure": False}, ValueError),
        ({"subject_of": "user"}, TypeError),
        ({"exclude": 1}, TypeError),
        ({"max_age": True}, TypeError),
        ({"max_age": 0}, ValueError),
        ({"max_age": 10**12}, ValueError),
        ({"renewal_threshold": 1.1}, ValueError),
        ({"cookie_name": "a b"}, ValueError),
        ({"samesite": "none", "secure": False}, ValueError),
        ({"cookie_name": "__Host-session", "domain": "shop.example"}, ValueError),
        ({"path": "shop"}, ValueError),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_rejected(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """When the storage is made, and not when the first browser drops the cookie."""
    with pytest.raises(error):
        SQLStorage(**{"store": MemoryBackend()} | options)
