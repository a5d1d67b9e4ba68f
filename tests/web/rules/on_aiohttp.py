"""aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiohttp_session import get_session
from yarl import URL

from sessionstore_sql import SessionHandle, SessionInfo, aiohttp
from tests.web.rules.driving import GONE, Answer, Page, Send, Socket, is_stream, parts_of

_NAMES = {"session_cookie": "cookie_name", "https_only": "secure", "same_site": "samesite"}


class _Visit:
    def __init__(self, request: web.Request) -> None:
        self.query: Mapping[str, str] = request.query
        self._request = request

    async def session(self) -> MutableMapping[str, Any]:
        return await get_session(self._request)

    async def rotate(self) -> None:
        await aiohttp.rotate(self._request)

    async def invalidate(self) -> None:
        await aiohttp.invalidate(self._request)

    async def sign_in(self, subject: str, **options: Any) -> None:
        await aiohttp.sign_in(self._request, subject, **options)

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        await aiohttp.set_max_age(self._request, max_age)

    async def current_handle(self) -> SessionHandle | None:
        return await aiohttp.current_handle(self._request)

    async def sessions_of(self) -> list[SessionInfo]:
        return await aiohttp.sessions_of(self._request)

    async def revoke(self, handle: str) -> bool:
        return await aiohttp.revoke(self._request, handle)

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        return await aiohttp.sign_out_everywhere(self._request, keep_this=keep_this)

    async def require_fresh(self, within: timedelta) -> None:
        await aiohttp.require_fresh(self._request, within=within)

    async def reload(self) -> bool:
        return await aiohttp.reload(self._request)


class _Socket:
    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket

    async def ask(self) -> Any:
        await self._websocket.send_str("?")
        return await self._websocket.receive_json()

    async def closed(self) -> int:
        message = await self._websocket.receive()
        assert message.type.name == "CLOSE"
        return int(message.data)


class OnAiohttp:
    """The storage in an aiohttp application."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application on a socket."""
        async with _running(_app(store, pages, options)) as client:
            yield _sending(client)

    @asynccontextmanager
    async def serve_nested(
        self, outer: Any, inner: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application with a sub-application."""
        app = _app(outer, pages, options)
        app.add_subapp("/inner", _app(inner, pages, options))
        async with _running(app) as client:
            yield _sending(client)

    @asynccontextmanager
    async def connect(
        self, store: Any, headers: dict[str, str], **options: Any
    ) -> AsyncIterator[Socket]:
        """Open a WebSocket."""

        async def answer(request: web.Request) -> web.WebSocketResponse:
            session = await get_session(request)
            websocket = web.WebSocketResponse()
            await websocket.prepare(request)
            async for _ in websocket:
                await websocket.send_json(dict(session))
            return websocket

        app = _app(store, {}, options)
        app.router.add_get("/socket", answer)
        async with _running(app) as client, client.ws_connect("/socket", headers=headers) as ws:
            yield _Socket(ws)


class OnAiohttpInProcess(OnAiohttp):
    """The same without sockets: a request runs in the task that sends it."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application, and let it handle requests."""
        app = _app(store, pages, options)
        app.freeze()

        async def send(
            path: str, headers: dict[str, str], method: str = "GET", *, gone: bool = False
        ) -> Answer:
            assert not gone, "there is no socket"
            request = make_mocked_request(method, path, headers=headers, app=app)
            response = await app._handle(request)
            assert isinstance(response, web.Response)
            body = response.body
            assert isinstance(body, bytes)
            return Answer(response.status, list(response.headers.items()), body)

        yield send


def _app(store: Any, pages: Mapping[str, Page], options: dict[str, Any]) -> web.Application:
    app = web.Application()
    renamed = {_NAMES.get(name, name): value for name, value in options.items()}
    aiohttp.setup(app, aiohttp.SQLStorage(store, **renamed))
    for name, page in pages.items():
        app.router.add_get(f"/{name}", _handler(page))
    return app


def _handler(page: Page) -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        result: Any = await page(_Visit(request))
        if is_stream(result):
            response = web.StreamResponse()
            await response.prepare(request)
            async for chunk in result:
                await response.write(chunk.encode())
            return response
        content, own_headers = parts_of(result)
        return web.json_response(content, headers=own_headers)

    return handler


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:
        yield client


def _sending(client: TestClient[Any, Any]) -> Send:
    async def send(
        path: str, headers: dict[str, str], method: str = "GET", *, gone: bool = False
    ) -> Answer:
        if gone:  # aiohttp does not tell a handler that the client is gone.
            server: Any = client.server
            app = server.app
            await app._handle(make_mocked_request(method, path, headers=headers, app=app))
            return GONE
        url = URL(path, encoded=True)
        async with client.request(method, url, headers=headers) as response:
            body = await response.read()
            return Answer(response.status, list(response.headers.items()), body)

    return send
