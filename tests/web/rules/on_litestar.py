"""Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from litestar import Litestar, Request, Response, Router, WebSocket, route, websocket
from litestar.response import Stream

from sessionstore_sql import SessionHandle, SessionInfo, litestar
from tests.web.rules.asgi_socket import connected
from tests.web.rules.driving import Page, Send, Socket, is_stream, parts_of, send_to_asgi

_NAMES = {"session_cookie": "key", "https_only": "secure", "same_site": "samesite"}


class _Visit:
    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self.query: Mapping[str, str] = request.query_params
        self._request = request

    async def session(self) -> MutableMapping[str, Any]:
        return self._request.session

    async def rotate(self) -> None:
        litestar.rotate(self._request)

    async def invalidate(self) -> None:
        litestar.invalidate(self._request)

    async def sign_in(self, subject: str, **options: Any) -> None:
        litestar.sign_in(self._request, subject, **options)

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        litestar.set_max_age(self._request, max_age)

    async def current_handle(self) -> SessionHandle | None:
        return litestar.current_handle(self._request)

    async def sessions_of(self) -> list[SessionInfo]:
        return await litestar.sessions_of(self._request)

    async def revoke(self, handle: str) -> bool:
        return await litestar.revoke(self._request, handle)

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        return await litestar.sign_out_everywhere(self._request, keep_this=keep_this)

    async def require_fresh(self, within: timedelta) -> None:
        litestar.require_fresh(self._request, within=within)

    async def reload(self) -> bool:
        return await litestar.reload(self._request)


class OnLitestar:
    """The middleware in a Litestar application."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application."""
        async for send in send_to_asgi(_app(store, _handlers(pages), options)):
            yield send

    @asynccontextmanager
    async def serve_nested(
        self, outer: Any, inner: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application with a router that has a middleware of its own."""
        config = _config(inner, options)
        router = Router("/inner", route_handlers=_handlers(pages), middleware=[config.middleware])
        async for send in send_to_asgi(_app(outer, [*_handlers(pages), router], options)):
            yield send

    @asynccontextmanager
    async def connect(
        self, store: Any, headers: dict[str, str], **options: Any
    ) -> AsyncIterator[Socket]:
        """Open a WebSocket."""

        @websocket("/socket")
        async def answer(socket: WebSocket[Any, Any, Any]) -> None:
            await socket.accept()
            async for _ in socket.iter_data("text"):
                await socket.send_json(dict(socket.session))

        async with connected(_app(store, [answer], options), headers) as socket:
            yield socket


def _handlers(pages: Mapping[str, Page]) -> list[Any]:
    return [_handler(name, page) for name, page in pages.items()]


def _handler(name: str, page: Page) -> Any:
    @route(
        f"/{name}",
        name=name,
        http_method=["GET", "HEAD"],
        status_code=200,
        media_type="application/json",
    )
    async def handler(request: Request[Any, Any, Any]) -> Any:
        result: Any = await page(_Visit(request))
        if is_stream(result):
            return Stream(result)
        content, headers = parts_of(result)
        return Response(content, headers=headers)

    return handler


def _config(store: Any, options: dict[str, Any]) -> litestar.SQLSessionConfig:
    renamed = {_NAMES.get(name, name): value for name, value in options.items()}
    return litestar.SQLSessionConfig(store=store, **renamed)


def _app(store: Any, handlers: list[Any], options: dict[str, Any]) -> Litestar:
    return Litestar(
        handlers,
        middleware=[_config(store, options).middleware],
        openapi_config=None,
        logging_config=None,  # Litestar's takes the log away from pytest
    )
