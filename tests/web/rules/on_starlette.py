"""Starlette and FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from sessionstore_sql import SessionHandle, SessionInfo, fastapi, starlette
from tests.web.rules.asgi_socket import connected
from tests.web.rules.driving import Page, Send, Socket, is_stream, parts_of, send_to_asgi


class _Visit:
    def __init__(self, request: HTTPConnection, adapter: Any) -> None:
        self.query: Mapping[str, str] = request.query_params
        self._request = request
        self._adapter = adapter

    async def session(self) -> MutableMapping[str, Any]:
        return self._request.session

    async def rotate(self) -> None:
        self._adapter.rotate(self._request)

    async def invalidate(self) -> None:
        self._adapter.invalidate(self._request)

    async def sign_in(self, subject: str, **options: Any) -> None:
        self._adapter.sign_in(self._request, subject, **options)

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        self._adapter.set_max_age(self._request, max_age)

    async def current_handle(self) -> SessionHandle | None:
        handle: SessionHandle | None = self._adapter.current_handle(self._request)
        return handle

    async def sessions_of(self) -> list[SessionInfo]:
        sessions: list[SessionInfo] = await self._adapter.sessions_of(self._request)
        return sessions

    async def revoke(self, handle: str) -> bool:
        return bool(await self._adapter.revoke(self._request, handle))

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        return int(await self._adapter.sign_out_everywhere(self._request, keep_this=keep_this))

    async def require_fresh(self, within: timedelta) -> None:
        self._adapter.require_fresh(self._request, within=within)

    async def reload(self) -> bool:
        return bool(await self._adapter.reload(self._request))


class OnStarlette:
    """The middleware in a Starlette application."""

    application: Any = Starlette
    adapter: Any = starlette

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application."""
        async for send in send_to_asgi(self._app(store, self._routes(pages), options)):
            yield send

    @asynccontextmanager
    async def serve_nested(
        self, outer: Any, inner: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application with a mounted one."""
        mount = Mount("/inner", self._app(inner, self._routes(pages), options))
        async for send in send_to_asgi(self._app(outer, [*self._routes(pages), mount], options)):
            yield send

    @asynccontextmanager
    async def connect(
        self, store: Any, headers: dict[str, str], **options: Any
    ) -> AsyncIterator[Socket]:
        """Open a WebSocket."""

        async def answer(websocket: WebSocket) -> None:
            await websocket.accept()
            async for _ in websocket.iter_text():
                await websocket.send_json(dict(websocket.session))

        async with connected(
            self._app(store, [WebSocketRoute("/socket", answer)], options), headers
        ) as socket:
            yield socket

    def _routes(self, pages: Mapping[str, Page]) -> list[Route]:
        return [Route(f"/{name}", self._endpoint(page)) for name, page in pages.items()]

    def _endpoint(self, page: Page) -> Any:
        async def endpoint(request: Request) -> Response:
            result: Any = await page(_Visit(request, self.adapter))
            if is_stream(result):
                return StreamingResponse(result)
            content, headers = parts_of(result)
            return JSONResponse(content, headers=headers)

        return endpoint

    def _app(self, store: Any, routes: list[Any], options: dict[str, Any]) -> Any:
        middleware = Middleware(self.adapter.SessionMiddleware, store=store, **options)
        app = self.application(routes=routes, middleware=[middleware])
        app.build_middleware_stack()  # Options are checked here, and not at the first request.
        return app


class OnFastAPI(OnStarlette):
    """The same in a FastAPI application."""

    application = FastAPI
    adapter = fastapi
