"""Flask and Quart."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import flask as flask_framework
import quart as quart_framework

from sessionstore_sql import SessionHandle, SessionInfo, SQLSessionStore, flask, quart
from sessionstore_sql.web.cookie import default_name
from tests.web.rules.asgi_socket import connected
from tests.web.rules.driving import (
    Calls,
    Page,
    Send,
    Socket,
    is_stream,
    parts_of,
    send_to_asgi,
    send_to_wsgi,
)

PERMANENT = "_permanent"
"""The key of the framework for sessions whose cookie outlives the browser."""

CONFIGURATION = {
    "session_cookie": "SESSION_COOKIE_NAME",
    "max_age": "PERMANENT_SESSION_LIFETIME",
    "path": "SESSION_COOKIE_PATH",
    "domain": "SESSION_COOKIE_DOMAIN",
    "https_only": "SESSION_COOKIE_SECURE",
}
"""What is the framework's configuration here, and an option of other adapters."""

DEFAULTS: dict[str, Any] = {
    "max_age": timedelta(days=14),
    "path": "/",
    "domain": None,
    "https_only": True,
}
"""Those of other adapters."""


class _Visit:
    """Calls the functions of an adapter: those of Flask in the thread of the view."""

    def __init__(self, framework: Any, adapter: Any, calls: Calls | None = None) -> None:
        self.query: Mapping[str, str] = framework.request.args
        self._session = framework.session._get_current_object()
        self._adapter = adapter
        self._calls = calls
        self._persistent = framework.current_app.config["PERSISTENT"]

    async def session(self) -> MutableMapping[str, Any]:
        session: MutableMapping[str, Any] = self._session
        return session

    async def rotate(self) -> None:
        await self._call(self._adapter.rotate)

    async def invalidate(self) -> None:
        await self._call(self._adapter.invalidate)

    async def sign_in(self, subject: str, **options: Any) -> None:
        await self._call(self._adapter.sign_in, subject, **options)

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        await self._call(self._adapter.set_max_age, max_age)

    async def current_handle(self) -> SessionHandle | None:
        handle: SessionHandle | None = await self._call(self._adapter.current_handle)
        return handle

    async def sessions_of(self) -> list[SessionInfo]:
        sessions: list[SessionInfo] = await self._call(self._adapter.sessions_of)
        return sessions

    async def revoke(self, handle: str) -> bool:
        return bool(await self._call(self._adapter.revoke, handle))

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        return int(await self._call(self._adapter.sign_out_everywhere, keep_this=keep_this))

    async def require_fresh(self, within: timedelta) -> None:
        await self._call(self._adapter.require_fresh, within=within)

    async def reload(self) -> bool:
        is_live = bool(await self._call(self._adapter.reload))
        dict.pop(self._session, PERMANENT, None)
        return is_live

    async def run(self, page: Page) -> Any:
        """Return what a page returns, which sees no key of the framework."""
        dict.pop(self._session, PERMANENT, None)
        result = await page(self)
        if self._persistent and dict.__len__(self._session):
            dict.__setitem__(self._session, PERMANENT, True)
        return result

    async def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._calls is not None:
            return await self._calls.do(function, *args, **kwargs)
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


def _app(framework: Any, adapter: Any, store: Any, options: dict[str, Any]) -> Any:
    app = (framework.Flask if framework is flask_framework else framework.Quart)(__name__)
    given = DEFAULTS | options
    name = default_name(path=given["path"], secure=given["https_only"], domain=given["domain"])
    app.config.update(SESSION_COOKIE_NAME=name, PROPAGATE_EXCEPTIONS=False)
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    for name in CONFIGURATION.keys() & given.keys():
        value = given.pop(name)
        if name == "max_age" and not isinstance(value, timedelta):
            value = timedelta(seconds=value)
        app.config[CONFIGURATION[name]] = value
    app.config["PERSISTENT"] = given.pop("persistent", True)
    if framework is flask_framework:
        given.pop("websocket_recheck", None)
        if isinstance(store, SQLSessionStore):
            store = store.engine.url
    adapter.SQLSessionInterface(store, **given).init_app(app)
    return app


class OnQuart:
    """The session interface of Quart."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application."""
        app = _app(quart_framework, quart, store, options)

        def add(name: str, page: Page) -> None:
            async def view() -> Any:
                result = await _Visit(quart_framework, quart).run(page)
                if is_stream(result):
                    return quart_framework.Response(result)
                content, headers = parts_of(result)
                return quart_framework.jsonify(content), headers

            app.add_url_rule(f"/{name}", name, view)

        for name, page in pages.items():
            add(name, page)
        async for send in send_to_asgi(app):
            yield send

    @asynccontextmanager
    async def connect(
        self, store: Any, headers: dict[str, str], **options: Any
    ) -> AsyncIterator[Socket]:
        """Open a WebSocket."""
        app = _app(quart_framework, quart, store, options)

        @app.websocket("/socket")  # type: ignore[untyped-decorator]
        async def answer() -> None:
            while True:
                await quart_framework.websocket.receive()
                content = dict(quart_framework.session)
                content.pop(PERMANENT, None)
                await quart_framework.websocket.send_json(content)

        async with connected(app, headers) as socket:
            yield socket


class OnFlask:
    """The session interface of Flask, whose views run in threads."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run an application."""
        app = _app(flask_framework, flask, store, options)
        loop = asyncio.get_running_loop()

        def add(name: str, page: Page) -> None:
            def view() -> Any:
                calls = Calls(loop)
                visit = _Visit(flask_framework, flask, calls)
                result = calls.run(visit.run(page))
                if is_stream(result):
                    return flask_framework.Response(calls.iterate(result))
                content, headers = parts_of(result)
                return flask_framework.jsonify(content), headers

            app.add_url_rule(f"/{name}", name, view)

        for name, page in pages.items():
            add(name, page)
        async for send in send_to_wsgi(app):
            yield send
        await asyncio.to_thread(app.session_interface.close)
