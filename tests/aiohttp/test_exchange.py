"""What aiohttp makes different: sessions are loaded late, and handlers prepare responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp_session
import pytest
from aiohttp import web
from aiohttp_session import get_session, new_session

from sessionstore_sql import DatabaseError, LoadSessionError
from sessionstore_sql.aiohttp import SessionClosedError, SQLStorage, setup, sign_in
from sessionstore_sql.errors import for_operation
from sessionstore_sql.testing import MemorySessionStore
from tests.aiohttp.applications import QUIET, application, browser, running

pytestmark = [pytest.mark.anyio, *QUIET]


class Loads(MemorySessionStore):
    """Counts how often a session is loaded, and may fail at it."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.loads = 0
        self.fails = fails

    async def load_session(self, session_id: Any) -> Any:
        """Count, let other tasks run, and fail or return the session."""
        self.loads += 1
        await asyncio.sleep(0)
        if self.fails:
            error = DatabaseError("connection failed", transient=True)
            raise for_operation(LoadSessionError, error)
        return await super().load_session(session_id)


@pytest.fixture
def store() -> Loads:
    """A store that knows users."""
    return Loads()


async def test_a_request_that_does_not_use_its_session_loads_nothing(store: Loads) -> None:
    """Whatever cookie it has."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        await client.get("/untouched")

        assert store.loads == 0
        await client.get("/show")
        assert store.loads == 1


async def test_tasks_of_one_request_share_its_session(store: Loads) -> None:
    """Also if they ask for it at once."""

    async def both(request: web.Request) -> web.Response:
        first, second = await asyncio.gather(get_session(request), get_session(request))
        first["a"], second["b"] = 1, 2
        return web.Response()

    async with browser(application(store, both)) as client:
        await client.get("/put?color=red")
        await client.get("/both")

        assert (await client.get("/show")).json == {"color": "red", "a": 1, "b": 2}
        assert store.loads == 2


# Responses that a handler prepares.


async def test_a_stream_stores_the_session_before_it_starts(store: Loads) -> None:
    """The application does not have to do anything for that."""
    stored = []

    async def stream(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["seen"] = True
        response = web.StreamResponse()
        await response.prepare(request)
        stored.append(len(store._table._rows))
        with pytest.raises(SessionClosedError):
            session["late"] = True
        return response

    async with browser(application(store, stream)) as client:
        answer = await client.get("/stream")

        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert (await client.get("/show")).json == {"seen": True}
    assert stored == [1]


async def test_a_websocket_stores_the_session_in_its_handshake(store: Loads) -> None:
    """The cookie comes with the response to the handshake."""

    async def socket(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["connected"] = True
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.close()
        return response

    async with running(application(store, socket)) as client, client.ws_connect("/socket") as ws:
        assert "__Host-session=" in ws._response.headers["Set-Cookie"]
    assert len(store._table._rows) == 1


async def test_a_session_that_is_loaded_in_a_stream_is_closed(store: Loads) -> None:
    """It can be read, but no cookie can follow."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        session = await get_session(request)
        with pytest.raises(SessionClosedError):
            session["late"] = True
        with pytest.raises(SessionClosedError):
            await new_session(request)
        await response.write(str(dict(session)).encode())
        return response

    async with browser(application(store, stream)) as client:
        await client.get("/put?color=red")
        async with client.client.get("/stream", headers=client.headers) as response:
            assert await response.text() == "{'color': 'red'}"


async def test_a_change_inside_of_a_value_after_the_start_is_reported(
    store: Loads, caplog: pytest.LogCaptureFixture
) -> None:
    """When the handler has finished, as it cannot be noticed before."""

    async def stream(request: web.Request) -> web.StreamResponse:
        session = await get_session(request)
        session["cart"] = []
        response = web.StreamResponse()
        await response.prepare(request)
        session["cart"].append("tea")
        return response

    async with browser(application(store, stream)) as client:
        await client.get("/stream")

    assert "SessionClosedError" in caplog.text


async def test_a_file_is_a_response_like_another(store: Loads, tmp_path: Path) -> None:
    """aiohttp-session alone would not store the session."""
    (tmp_path / "a.txt").write_text("a")

    async def download(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["downloaded"] = True
        return web.FileResponse(tmp_path / "a.txt")

    async with browser(application(store, download)) as client:
        await client.get("/download")

        assert (await client.get("/show")).json == {"downloaded": True}


async def test_a_failed_handshake_stores_the_session_with_its_response(store: Loads) -> None:
    """A client that does not speak WebSocket gets 400, as from any handler."""

    async def socket(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["tried"] = True
        response = web.WebSocketResponse()
        await response.prepare(request)
        return response

    async with browser(application(store, socket)) as client:
        assert (await client.get("/socket")).status == 400
        assert (await client.get("/show")).json == {"tried": True}


# Rule 9: an exception closes the session.


@pytest.mark.parametrize("loads_before", [True, False])
@pytest.mark.parametrize("ask", [get_session, new_session])
async def test_a_middleware_outside_cannot_change_the_session_of_a_failure(
    store: Loads, loads_before: bool, ask: Callable[[web.Request], Awaitable[Any]]
) -> None:
    """Its change would be lost; it can read."""
    rejected = []

    @web.middleware
    async def handle_errors(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except LookupError:
            assert dict(await get_session(request)) == {"color": "red"}
            with pytest.raises(SessionClosedError):
                (await ask(request))["flash"] = "Something went wrong."
            rejected.append(ask)
            return web.Response(status=500)
        return response

    async def fail(request: web.Request) -> web.Response:
        if loads_before:
            await get_session(request)
        raise LookupError

    app = application(store, fail)
    app.middlewares.insert(0, handle_errors)
    async with browser(app) as client:
        await client.get("/put?color=red")
        await client.get("/fail")

        assert (await client.get("/show")).json == {"color": "red"}
    assert rejected == [ask]


async def test_two_storages_of_different_names_are_two_sessions(store: Loads) -> None:
    """Of an application and a sub-application. Each has a cookie of its own."""

    async def inner(request: web.Request) -> web.Response:
        session = await get_session(request)
        session["inner"] = True
        return web.json_response(dict(session))

    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        (await get_session(request))["outer"] = True
        response: web.StreamResponse = await handler(request)
        assert dict(await get_session(request)) == {"outer": True}
        return response

    app = application(store)
    app.middlewares.append(count)
    sub = web.Application()
    setup(sub, SQLStorage(store, cookie_name="inner"))
    sub.router.add_get("/", inner)
    app.add_subapp("/inner", sub)
    async with running(app) as client, client.get("/inner/") as response:
        cookies = response.headers.getall("Set-Cookie")

        assert await response.json() == {"inner": True}
        assert sorted(each.partition("=")[0] for each in cookies) == ["__Host-session", "inner"]


# ``aiohttp_session.setup``


async def sign_in_anew(request: web.Request) -> web.Response:
    """Sign in to a session that keeps nothing of the one before."""
    session = await new_session(request)
    await sign_in(request, "ada")
    session["user"] = "ada"
    return web.Response()


@pytest.mark.parametrize("install", [setup, aiohttp_session.setup])
async def test_a_sign_in_to_a_new_session_ends_the_old_one(store: Loads, install: Any) -> None:
    """With both kinds of set-up."""
    async with browser(application(store, sign_in_anew, install=install)) as client:
        await client.get("/put?color=red")
        old_id = client.session_id
        await client.get("/sign_in_anew")

        assert (await client.get("/show")).json == {"user": "ada"}
    assert await store.load(old_id) is None
    assert len(await store.sessions_of("ada")) == 1


@pytest.mark.parametrize("page", ["/show", "/put?color=red", "/login_anew?user=ada", "/login"])
async def test_an_unreachable_database_is_503_with_aiohttp_sessions_setup(page: str) -> None:
    """As with the set-up of this package."""
    app = application(Loads(fails=True), install=aiohttp_session.setup)
    async with browser(app) as client:
        client.id = "x" * 43
        answer = await client.get(page)

        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await client.get("/untouched")).status == 200


def test_only_this_storage_can_be_set_up() -> None:
    """aiohttp-session has a function for others."""
    with pytest.raises(TypeError, match="SQLStorage"):
        setup(web.Application(), aiohttp_session.SimpleCookieStorage())  # type: ignore[arg-type]


async def test_a_cookie_of_the_same_name_does_not_replace_the_id(store: Loads) -> None:
    """As a logout that also deletes the cookie by hand, and leaves a message in a new session."""

    async def goodbye(request: web.Request) -> web.Response:
        (await new_session(request))["flash"] = "Goodbye."
        response = web.Response()
        response.del_cookie("__Host-session")
        return response

    async with browser(application(store, goodbye)) as client:
        await client.get("/put?color=red")
        await client.get("/goodbye")

        assert (await client.get("/show")).json == {"flash": "Goodbye."}
