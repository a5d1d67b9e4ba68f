"""WebSocket sessions are loaded, stored on accept, and closed to changes afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.starlette import (
    SessionClosedError,
    SessionMiddleware,
    invalidate,
    rotate,
)
from tests.starlette.applications import COOKIE, DUE, TTL
from tests.visited_stores import count, let_pass

pytestmark = pytest.mark.anyio

KNOWN = SessionId("known")

Endpoint = Callable[[WebSocket], Awaitable[None]]


@pytest.fixture
async def store(sqlite_store: SQLSessionStore) -> SQLSessionStore:
    """One session: Ada's."""
    await sqlite_store.create(KNOWN, SessionRecord({"name": "ada", "cart": ["tea"]}, TTL))
    return sqlite_store


async def connect(
    store: SQLSessionStore, endpoint: Endpoint, session_id: SessionId | None = KNOWN
) -> list[Message]:
    """Open a WebSocket, and return what the application sent."""
    app = Starlette(
        routes=[WebSocketRoute("/", endpoint)],
        middleware=[Middleware(SessionMiddleware, store=store, max_age=TTL)],
    )
    cookie = [] if session_id is None else [(b"cookie", f"{COOKIE}={session_id.value}".encode())]
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/",
        "root_path": "",
        "query_string": b"",
        "headers": cookie,
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return sent


def id_set_by(message: Message) -> SessionId | None:
    """Return the id that a message sets, if it sets one."""
    jar = SimpleCookie()
    for name, value in message.get("headers", []):
        if name == b"set-cookie":
            jar.load(value.decode())
    return SessionId(jar[COOKIE].value) if COOKIE in jar else None


async def test_a_websocket_reads_the_session(store: SQLSessionStore) -> None:
    """It is the one of the requests of the same browser, and reading it writes nothing."""

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.session["name"])

    accept, message = await connect(store, greet)

    assert message["text"] == "ada"
    assert id_set_by(accept) is None


async def test_what_is_changed_before_accepting_is_stored(store: SQLSessionStore) -> None:
    """The answer to the handshake has headers, and comes after the session was stored."""

    async def enter(websocket: WebSocket) -> None:
        websocket.session["name"] = "grace"
        await websocket.accept()

    (accept,) = await connect(store, enter)

    assert id_set_by(accept) is None
    record = await store.load(KNOWN)
    assert record is not None
    assert record.state["name"] == "grace"


async def test_a_session_can_begin_with_a_websocket(store: SQLSessionStore) -> None:
    """The handshake gives out the id of a new session."""

    async def enter(websocket: WebSocket) -> None:
        websocket.session["name"] = "grace"
        await websocket.accept()

    (accept,) = await connect(store, enter, session_id=None)

    session_id = id_set_by(accept)
    assert session_id is not None
    record = await store.load(session_id)
    assert record is not None
    assert record.state == {"name": "grace"}


async def test_a_session_can_be_rotated_before_accepting(store: SQLSessionStore) -> None:
    """The handshake carries the new id."""

    async def enter(websocket: WebSocket) -> None:
        rotate(websocket)
        await websocket.accept()

    (accept,) = await connect(store, enter)

    assert id_set_by(accept) not in {None, KNOWN}
    assert await store.load(KNOWN) is None


async def test_a_handshake_extends_the_session(store: SQLSessionStore) -> None:
    """A WebSocket is a visit like another."""

    async def enter(websocket: WebSocket) -> None:
        await websocket.accept()

    await let_pass(store, DUE)
    (accept,) = await connect(store, enter)

    assert id_set_by(accept) == KNOWN
    record = await store.load(KNOWN)
    assert record is not None
    assert record.ttl > TTL - DUE


@pytest.mark.parametrize(
    "change", [lambda websocket: websocket.session.clear(), rotate, invalidate]
)
async def test_a_change_after_accepting_is_rejected(store: SQLSessionStore, change: Any) -> None:
    """A change after the accept cannot reach the cookie, so it raises at once."""

    async def enter(websocket: WebSocket) -> None:
        await websocket.accept()
        change(websocket)

    with pytest.raises(SessionClosedError):
        await connect(store, enter)

    record = await store.load(KNOWN)
    assert record is not None
    assert record.state == {"name": "ada", "cart": ["tea"]}


async def test_a_nested_change_after_accepting_is_reported(store: SQLSessionStore) -> None:
    """A change inside a value raises when the WebSocket ends."""

    async def enter(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.session["cart"].append("late")

    with pytest.raises(SessionClosedError):
        await connect(store, enter)


@pytest.mark.parametrize(
    "change",
    [lambda websocket: websocket.session.update(name="grace"), rotate, invalidate],
)
async def test_a_change_without_accepting_is_reported(store: SQLSessionStore, change: Any) -> None:
    """A WebSocket that is closed at once has no headers: nothing can be stored with it."""

    async def fail(websocket: WebSocket) -> None:
        change(websocket)
        await websocket.close()

    with pytest.raises(SessionClosedError):
        await connect(store, fail)

    record = await store.load(KNOWN)
    assert record is not None
    assert record.state["name"] == "ada"


async def test_a_websocket_can_be_rejected(store: SQLSessionStore) -> None:
    """Where nothing was changed, nothing is missed."""

    async def fail(websocket: WebSocket) -> None:
        if "admin" not in websocket.session:
            await websocket.close()

    (close,) = await connect(store, fail)

    assert close["type"] == "websocket.close"
    assert await count(store) == 1


async def test_a_response_in_place_of_a_websocket_carries_the_session(
    store: SQLSessionStore,
) -> None:
    """A handshake that is answered with a response stores the session like any other."""

    async def deny(websocket: WebSocket) -> None:
        websocket.session["attempts"] = 1
        await websocket.send_denial_response(PlainTextResponse("no", status_code=403))

    start, _ = await connect(store, deny)

    assert id_set_by(start) is None
    record = await store.load(KNOWN)
    assert record is not None
    assert record.state["attempts"] == 1


async def test_starlettes_test_client_shares_the_session(store: SQLSessionStore) -> None:
    """A browser's WebSocket has the session of its requests."""

    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(dict(websocket.session))

    app = Starlette(
        routes=[WebSocketRoute("/", greet)],
        middleware=[Middleware(SessionMiddleware, store=store)],
    )
    await store.aclose()  # the client runs the application in a loop of its own
    cookies = {COOKIE: KNOWN.value}

    with (
        TestClient(app, base_url="https://shop.example", cookies=cookies) as client,
        client.websocket_connect("/") as websocket,
    ):
        greeting = websocket.receive_json()
        client.portal.call(store.aclose)  # type: ignore[union-attr]

    assert greeting == {"name": "ada", "cart": ["tea"]}
