"""Which responses store a session, and what they tell caches: no database makes a difference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from litestar import Litestar, Response, WebSocket, asgi, get, websocket
from litestar.exceptions import (
    LitestarException,
    NotAuthorizedException,
    WebSocketDisconnect,
)
from litestar.response import Stream
from litestar.security.session_auth import SessionAuth
from litestar.testing import TestClient
from litestar.types import Receive, Scope, Send
from msgspec import Struct

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.litestar import (
    SessionClosedError,
    SQLSessionBackend,
    SQLSessionConfig,
    invalidate,
    rotate,
)
from sessionstore_sql.testing.support import HOUR
from tests.litestar.applications import COOKIE, HANDLERS, AnyRequest, application, browser
from tests.unit.memory_backend import MemoryBackend

pytestmark = pytest.mark.anyio

Socket = WebSocket[Any, Any, Any]


@pytest.fixture
def memory() -> MemoryBackend:
    """A store without a database."""
    return MemoryBackend()


def causes_of(error: BaseException) -> list[type[BaseException]]:
    """Return what an error was raised from, the first cause last."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):  # Of the tasks that serve a stream.
        (cause,) = cause.exceptions
    return [] if cause is None else [type(cause), *causes_of(cause)]


def states(memory: MemoryBackend) -> list[bytes]:
    """Return what is stored."""
    return [state for state, _ in memory.rows.values()]


async def test_an_exceptions_response_stores_the_session(memory: MemoryBackend) -> None:
    """What a handler did before it raised counts, as a failed login does."""

    @get("/fail")
    async def fail(request: AnyRequest) -> None:
        request.session["failures"] = 1
        raise NotAuthorizedException("wrong password")

    async with browser(application(memory, fail)) as client:
        response = await client.get("/fail")

    assert response.status_code == 401
    assert COOKIE in response.cookies
    assert states(memory) == [b'{"failures":1}']


async def test_a_stream_stores_what_was_there_when_it_began(memory: MemoryBackend) -> None:
    """The session is committed before the client has the first byte."""
    stored: list[bytes] = []

    async def body() -> AsyncIterator[str]:
        stored.extend(states(memory))
        yield "answer"

    @get("/stream")
    async def stream(request: AnyRequest) -> Stream:
        request.session["seen"] = True
        return Stream(body())

    async with browser(application(memory, stream)) as client:
        response = await client.get("/stream")

    assert response.text == "answer"
    assert stored == [b'{"seen":true}']


@pytest.mark.parametrize("late", ["put", "put inside", "set_session", "clear_session"])
async def test_a_change_that_comes_too_late_is_told(memory: MemoryBackend, late: str) -> None:
    """A late change is an error, because it was not stored."""

    async def body(request: AnyRequest) -> AsyncIterator[str]:
        yield "answer"
        match late:
            case "put":
                request.session["late"] = True
            case "put inside":
                request.session["cart"].append("late")
            case "set_session":
                request.set_session({"late": True})
            case "clear_session":
                request.clear_session()

    @get("/stream")
    async def stream(request: AnyRequest) -> Stream:
        request.session["cart"] = []
        return Stream(body(request))

    async with browser(application(memory, stream)) as client:
        with pytest.raises(LitestarException, match="after response started") as caught:
            await client.get("/stream")

    assert causes_of(caught.value)[-1] is SessionClosedError
    assert states(memory) == [b'{"cart":[]}']


@pytest.mark.parametrize("late", [rotate, invalidate])
async def test_a_request_that_comes_too_late_is_rejected(memory: MemoryBackend, late: Any) -> None:
    """Where it is made."""
    refused = []

    async def body(request: AnyRequest) -> AsyncIterator[str]:
        yield "answer"
        with pytest.raises(SessionClosedError, match="response has started"):
            late(request)
        refused.append(late)

    @get("/stream")
    async def stream(request: AnyRequest) -> Stream:
        request.session["cart"] = []
        return Stream(body(request))

    async with browser(application(memory, stream)) as client:
        await client.get("/stream")

    assert refused == [late]
    assert states(memory) == [b'{"cart":[]}']


async def test_a_handler_that_never_answers_loses_its_change(memory: MemoryBackend) -> None:
    """Without a response there is no cookie, and without a cookie no session."""

    @asgi("/silent", copy_scope=False)
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["late"] = True  # type: ignore[index]

    async with browser(application(memory, silent)) as client:
        response = await client.get("/silent")

    assert response.status_code == 500
    assert memory.rows == {}


@pytest.mark.parametrize("demand", [rotate, invalidate])
async def test_a_route_without_sessions_has_nothing_to_rotate(
    memory: MemoryBackend, demand: Any
) -> None:
    """The application hears that its set-up is at fault."""

    @get("/static", skip_session=True)
    async def static(request: AnyRequest) -> None:
        with pytest.raises(RuntimeError, match="no session of a SQLSessionConfig"):
            demand(request)

    async with browser(application(memory, static)) as client:
        response = await client.get("/static")

    assert response.status_code == 200
    assert "vary" not in response.headers


async def test_an_excluded_path_loads_nothing(memory: MemoryBackend) -> None:
    """Pictures cost no statement."""

    @get("/static")
    async def static(request: AnyRequest) -> bool:
        return "session" in request.scope

    async with browser(application(memory, static, exclude="^/static")) as client:
        response = await client.get("/static")

    assert response.json() is False


# What caches are told


async def test_any_response_varies_by_cookie(memory: MemoryBackend) -> None:
    """A shared cache does not serve an anonymous page to a logged-in user."""
    async with browser(application(memory)) as client:
        response = await client.get("/untouched")

    assert response.headers["vary"] == "Cookie"
    assert "cache-control" not in response.headers


@pytest.mark.parametrize("path", ["/put?color=red", "/show", "/logout"])
async def test_a_response_with_a_session_is_private(memory: MemoryBackend, path: str) -> None:
    """Whether it sets the cookie, removes it, or depends on it."""
    async with browser(application(memory)) as client:
        await client.get("/put?color=red")

        response = await client.get(path)

    assert response.headers["vary"] == "Cookie"
    assert response.headers["cache-control"] == "private, no-cache"


async def test_an_applications_own_cache_control_is_kept(memory: MemoryBackend) -> None:
    """As far as it is about the client's cache."""

    @get("/own")
    async def own(request: AnyRequest) -> Response[str]:
        request.session["seen"] = True
        return Response("", headers={"Cache-Control": "public, max-age=60"})

    async with browser(application(memory, own)) as client:
        response = await client.get("/own")

    assert response.headers["cache-control"] == "private, max-age=60"


# What an application may put there


@dataclass
class Visitor:
    """A model of a session."""

    name: str


class Customer(Struct):
    """Another one."""

    name: str


@pytest.mark.parametrize("model", [Visitor("ada"), Customer("ada")], ids=["dataclass", "struct"])
async def test_a_model_is_stored_as_a_dict(memory: MemoryBackend, model: Any) -> None:
    """``set_session`` takes what Litestar takes."""

    @get("/model")
    async def model_(request: AnyRequest) -> None:
        request.set_session(model)

    async with browser(application(memory, model_)) as client:
        await client.get("/model")

        assert (await client.get("/show")).json() == {"name": "ada"}


async def test_a_value_that_makes_no_dict_is_rejected(memory: MemoryBackend) -> None:
    """A list is no session."""

    @get("/list")
    async def list_(request: AnyRequest) -> None:
        request.set_session(["ada"])  # type: ignore[arg-type]

    async with browser(application(memory, list_)) as client:
        with pytest.raises(LitestarException, match="after response started") as caught:
            await client.get("/list")

    assert causes_of(caught.value)[-1] is TypeError
    assert memory.rows == {}


async def test_no_session_at_all_is_an_empty_one(memory: MemoryBackend) -> None:
    """A session that was set to ``None`` is treated in the same way."""

    @get("/none")
    async def none(request: AnyRequest) -> None:
        request.scope["session"] = None

    async with browser(application(memory, none)) as client:
        await client.get("/put?color=red")
        await client.get("/none")

    assert memory.rows == {}


async def test_invalidating_a_model_leaves_a_dict(memory: MemoryBackend) -> None:
    """For what comes next."""

    @get("/model")
    async def model(request: AnyRequest) -> None:
        request.set_session(Visitor("ada"))
        invalidate(request)
        request.session["message"] = "bye"

    async with browser(application(memory, model)) as client:
        await client.get("/model")

    assert states(memory) == [b'{"message":"bye"}']


# WebSockets: httpx has none, so these go through Litestar's own client, in a loop of its own.


def websocket_client(memory: MemoryBackend, handler: Any) -> TestClient[Litestar]:
    """Return a client of an application with one WebSocket."""
    app = application(memory, handler)
    return TestClient(app, base_url="https://shop.example")


def test_a_websocket_has_the_session(memory: MemoryBackend) -> None:
    """It is loaded as for a request."""

    @websocket("/socket")
    async def handler(socket: Socket) -> None:
        await socket.accept()
        await socket.send_json(socket.session)
        await socket.close()

    with websocket_client(memory, handler) as client:
        client.get("/put?color=red")
        with client.websocket_connect("wss://shop.example/socket") as socket:
            shown = socket.receive_json()

    assert shown == {"color": "red"}


def test_a_websocket_stores_what_it_changed_before_it_accepts(memory: MemoryBackend) -> None:
    """The handshake's response carries the cookie."""

    @websocket("/socket")
    async def handler(socket: Socket) -> None:
        socket.session["connected"] = True
        await socket.accept()
        await socket.close()

    with (
        websocket_client(memory, handler) as client,
        client.websocket_connect("wss://shop.example/socket"),
    ):
        assert states(memory) == [b'{"connected":true}']


def test_a_websocket_is_told_that_a_later_change_is_lost(memory: MemoryBackend) -> None:
    """There is no response to carry it."""
    errors = []

    @websocket("/socket")
    async def handler(socket: Socket) -> None:
        await socket.accept()
        socket.session["late"] = True

    async def note(error: Exception, _: Scope) -> None:
        errors.append(type(error))

    config = SQLSessionConfig(store=memory)
    app = Litestar([handler], middleware=[config.middleware], after_exception=[note])
    with (
        TestClient(app, base_url="https://shop.example") as client,
        client.websocket_connect("wss://shop.example/socket") as socket,
        pytest.raises(WebSocketDisconnect),
    ):
        socket.receive_json()

    assert errors == [SessionClosedError]
    assert memory.rows == {}


# Together with the rest of Litestar


def with_authentication(memory: MemoryBackend) -> Litestar:
    """Return an application that requires a login, except for the login page."""

    async def retrieve(session: dict[str, Any], _: Any) -> str | None:
        return session.get("user")

    @get("/who")
    async def who(request: AnyRequest) -> str:
        return str(request.user)

    auth = SessionAuth[str, SQLSessionBackend](
        session_backend_config=SQLSessionConfig(store=memory),
        retrieve_user_handler=retrieve,
        exclude=["/login", "/put"],
    )
    return Litestar([who, *HANDLERS], on_app_init=[auth.on_app_init])


async def test_litestars_authentication_works_on_it(memory: MemoryBackend) -> None:
    """``SessionAuth`` takes the config as it takes Litestar's own."""
    async with browser(with_authentication(memory)) as client:
        anonymous = await client.get("/who")
        await client.get("/login?user=ada")
        known = await client.get("/who")

    assert anonymous.status_code == 401
    assert "set-cookie" not in anonymous.headers
    assert known.text == "ada"


async def test_a_rejected_request_does_not_remove_another_ones_cookie(
    memory: MemoryBackend,
) -> None:
    """Beside a login that rotates, others come with the old id: their answers leave the new one."""
    async with browser(with_authentication(memory)) as client:
        response = await client.get("/who", headers={"cookie": f"{COOKIE}={'x' * 43}"})

    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_litestars_test_client_reads_and_writes_sessions(memory: MemoryBackend) -> None:
    """Its users need no login to begin with a session."""
    config = SQLSessionConfig(store=memory)
    app = Litestar([*HANDLERS], middleware=[config.middleware])
    with TestClient(app, base_url="https://shop.example", session_config=config) as client:
        client.set_session_data({"user": "ada"})
        assert client.get("/show").json() == {"user": "ada"}

        client.get("/put?color=red")

        assert client.get_session_data() == {"user": "ada", "color": "red"}


def test_litestars_test_client_begins_without_a_session(memory: MemoryBackend) -> None:
    """An empty one, of which nothing is stored."""
    config = SQLSessionConfig(store=memory)
    app = Litestar([], middleware=[config.middleware])
    with TestClient(app, base_url="https://shop.example", session_config=config) as client:
        assert client.get_session_data() == {}

    assert memory.rows == {}


async def test_the_id_is_litestars_session_id(memory: MemoryBackend) -> None:
    """``request.get_session_id()`` tells the id of a session that exists, and no other."""

    @get("/id")
    async def id_(request: AnyRequest) -> str | None:
        return request.get_session_id()

    session_id = SessionId.generate()
    await memory.create(session_id, SessionRecord({"user": "ada"}, HOUR))
    async with browser(application(memory, id_)) as client:
        known = await client.get("/id", headers={"cookie": f"{COOKIE}={session_id.value}"})
        unknown = await client.get("/id", headers={"cookie": f"{COOKIE}={'x' * 43}"})

    assert known.text == session_id.value
    assert unknown.json() is None
