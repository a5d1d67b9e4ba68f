"""WebSockets that end with their session, and sessions that are loaded again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sessionstore_sql import DatabaseError, DeserializationError, LoadError, SessionId
from sessionstore_sql.errors import for_operation
from sessionstore_sql.starlette import SessionMiddleware, reload
from sessionstore_sql.web.asgi.recheck import Recheck
from sessionstore_sql.web.sessions import Sessions
from tests.leaks import logged
from tests.starlette.applications import COOKIE, application, browser, id_in
from tests.web.stores import ScriptedStore, begin, state_of, stored

pytestmark = pytest.mark.anyio

OFTEN = 0.005
"""Seconds between two looks: often enough that a test does not wait for long."""


class Socket:
    """The client of a WebSocket, as an ASGI server presents it to an application."""

    def __init__(self, app: Any, session_id: SessionId | None) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        cookie = [] if session_id is None else [f"{COOKIE}={session_id.value}".encode()]
        scope = {
            "type": "websocket",
            "path": "/chat",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"cookie", each) for each in cookie],
        }
        self.received.put_nowait({"type": "websocket.connect"})
        self.running = asyncio.create_task(app(scope, self.received.get, self._send))

    async def _send(self, message: Any) -> None:
        self.sent.put_nowait(message)

    async def say(self, text: str) -> None:
        """Send a text to the application."""
        await self.received.put({"type": "websocket.receive", "text": text})

    async def heard(self) -> dict[str, Any]:
        """Return the next message of the application."""
        return await self.sent.get()


def chat(store: ScriptedStore, ends: list[Any], **options: Any) -> Starlette:
    """Return an application that echoes what is said, and notes how the conversation ended."""

    async def echo(websocket: WebSocket) -> None:
        if "enter" in websocket.session:
            websocket.session["entered"] = True
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect as end:
            ends.append(end.code)

    return Starlette(
        routes=[WebSocketRoute("/chat", echo)],
        middleware=[Middleware(SessionMiddleware, store=store, **options)],
    )


async def test_a_websocket_ends_with_its_session() -> None:
    """It is closed with 1008, and the application sees a disconnect."""
    store, ends = ScriptedStore(), list[Any]()
    session_id = await stored(store, {"user": "ada"})
    socket = Socket(chat(store, ends, websocket_recheck=OFTEN), session_id)
    assert (await socket.heard())["type"] == "websocket.accept"
    await socket.say("hello")
    assert (await socket.heard())["text"] == "hello"

    await store.delete(session_id)

    closed = await socket.heard()
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    await socket.running
    assert ends == [1008]


async def test_a_session_that_began_with_the_handshake_ends_it_too() -> None:
    """The session is looked up under the id that the handshake gave out."""
    store, ends = ScriptedStore(), list[Any]()
    session_id = await stored(store, {"enter": True})
    socket = Socket(chat(store, ends, websocket_recheck=OFTEN), session_id)
    await socket.heard()
    assert await state_of(store, session_id) == {"enter": True, "entered": True}

    await store.delete(session_id)

    assert (await socket.heard())["code"] == 1008
    await socket.running


@pytest.mark.parametrize(("has_session", "recheck"), [(False, OFTEN), (True, None)])
async def test_other_websockets_are_left_alone(has_session: bool, recheck: float | None) -> None:
    """Those without a session, and all of them if the option is switched off."""
    store, ends = ScriptedStore(), list[Any]()
    session_id = await stored(store, {"user": "ada"}) if has_session else None
    socket = Socket(chat(store, ends, websocket_recheck=recheck), session_id)
    await socket.heard()
    store.script.calls.clear()
    if session_id is not None:
        await store.delete(session_id)

    await socket.say("hello")
    assert (await socket.heard())["text"] == "hello"
    await socket.received.put({"type": "websocket.disconnect", "code": 1001})
    await socket.running
    assert ends == [1001]
    assert "load" not in store.script.calls


async def test_the_end_of_a_websocket_ends_the_rechecks() -> None:
    """No task is left, whichever side ended the connection."""
    store, ends = ScriptedStore(), list[Any]()
    session_id = await stored(store, {"user": "ada"})
    before = asyncio.all_tasks()
    socket = Socket(chat(store, ends, websocket_recheck=OFTEN), session_id)
    await socket.heard()

    await socket.received.put({"type": "websocket.disconnect", "code": 1001})
    await socket.running

    assert asyncio.all_tasks() == before
    assert ends == [1001]


@pytest.mark.parametrize(
    "cause", [DatabaseError("connection failed", transient=True), DeserializationError("not JSON")]
)
async def test_a_failed_recheck_keeps_the_websocket(cause: Any) -> None:
    """A database that restarts does not throw every visitor out. The next look decides."""
    store, ends = ScriptedStore(), list[Any]()
    session_id = await stored(store, {"user": "ada"})
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise for_operation(LoadError, cause)

    store.script.before["load"] = [fail]
    with logged("sessionstore_sql.lifecycle") as log:
        socket = Socket(chat(store, ends, websocket_recheck=OFTEN), session_id)
        await socket.heard()
        await failed.wait()
        await socket.say("hello")
        assert (await socket.heard())["text"] == "hello"

    assert "stays open" in log.text
    await store.delete(session_id)
    assert (await socket.heard())["code"] == 1008
    await socket.running


async def test_an_application_that_only_sends_notices_the_end() -> None:
    """Sending fails as if the client had disconnected."""
    store = ScriptedStore()
    session_id = await stored(store, {"user": "ada"})
    ends: list[Any] = []

    async def ticker(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("tick")
                await asyncio.sleep(0)
        except WebSocketDisconnect as end:
            ends.append(end.code)

    app = Starlette(
        routes=[WebSocketRoute("/chat", ticker)],
        middleware=[Middleware(SessionMiddleware, store=store, websocket_recheck=OFTEN)],
    )
    socket = Socket(app, session_id)
    await socket.heard()
    await store.delete(session_id)
    await socket.running

    assert len(ends) == 1
    messages = [socket.sent.get_nowait() for _ in range(socket.sent.qsize())]
    assert messages[-1] == {
        "type": "websocket.close",
        "code": 1008,
        "reason": "the session has ended",
    }


async def test_a_cancelled_websocket_leaves_nothing_behind() -> None:
    """As when the server shuts down."""
    store = ScriptedStore()
    session_id = await stored(store, {"user": "ada"})
    before = asyncio.all_tasks()
    socket = Socket(chat(store, [], websocket_recheck=OFTEN), session_id)
    await socket.heard()

    socket.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.running

    assert asyncio.all_tasks() == before


async def test_a_stream_loads_its_session_again() -> None:
    """It sees what other requests stored, and the end."""
    store = ScriptedStore()

    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            await store.update(session_id, await _record(store, session_id, n=2))
            yield f"{await request.session.reload()} {dict(request.session)}\n"  # type: ignore[attr-defined]
            await store.delete(session_id)
            yield f"{await reload(request)} {dict(request.session)}\n"

        assert request.session["n"] == "1"
        return StreamingResponse(parts())

    async with browser(application(store, stream)) as client:
        await client.get("/put?n=1")
        session_id = id_in(client)
        response = await client.get("/stream")

    assert response.text == "True {'n': 2}\nFalse {}\n"


async def _record(store: ScriptedStore, session_id: SessionId, **state: Any) -> Any:
    record = await store.load(session_id)
    assert record is not None
    return type(record)(state, record.ttl)


async def test_reloading_does_not_discard_changes() -> None:
    """They are stored only when the response starts."""
    store = ScriptedStore()

    async def impatient(request: Request) -> Response:
        assert await reload(request)
        request.session["a"] = 2
        with pytest.raises(RuntimeError, match="not stored yet"):
            await reload(request)
        return Response()

    async with browser(application(store, impatient)) as client:
        await client.get("/put?a=1")
        await client.get("/impatient")
        assert (await client.get("/show")).json() == {"a": 2}


@pytest.mark.parametrize("turns", range(5))
async def test_a_message_is_not_lost_when_the_application_stops_waiting(turns: int) -> None:
    """As with a timeout that is over in the moment in which the message arrives."""
    store, received, sent = ScriptedStore(), asyncio.Queue[Any](), list[Any]()
    session, _ = await begin(Sessions(store), await stored(store, {"user": "ada"}))
    recheck = Recheck(session, timedelta(days=1), _appending(sent))
    waiting = asyncio.create_task(recheck.receive(received.get))
    for _ in range(3):
        await asyncio.sleep(0)
    received.put_nowait({"type": "websocket.receive", "text": "hello"})
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()

    (first,) = await asyncio.gather(waiting, return_exceptions=True)

    if isinstance(first, BaseException):
        first = await asyncio.wait_for(recheck.receive(received.get), timeout=5)
    assert first["text"] == "hello"
    await recheck.stop()


def _appending(messages: list[Any]) -> Any:
    async def send(message: Any) -> None:
        messages.append(message)

    return send
