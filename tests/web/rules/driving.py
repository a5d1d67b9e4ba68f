"""What the table of rules asks of every adapter: pages, an application that shows them, browsers.

A page is written once, against ``Visit``. A driver makes an application of its framework that has
the pages, and a client that sends requests to it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    MutableMapping,
)
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from queue import SimpleQueue
from typing import Any, Protocol

import httpx
from werkzeug.test import create_environ

from sessionstore_sql import SessionHandle, SessionId, SessionInfo


class Visit(Protocol):
    """One request, as a page sees it. Its methods call those of the adapter."""

    query: Mapping[str, str]

    async def session(self) -> MutableMapping[str, Any]:
        """Return the session."""
        ...

    async def rotate(self) -> None:
        """Ask for a new id."""
        ...

    async def invalidate(self) -> None:
        """End the session."""
        ...

    async def sign_in(self, subject: str, **options: Any) -> None:
        """Sign a user in."""
        ...

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        """Give the session an idle time of its own."""
        ...

    async def current_handle(self) -> SessionHandle | None:
        """Return the handle of the session."""
        ...

    async def sessions_of(self) -> list[SessionInfo]:
        """Return the sessions of the user."""
        ...

    async def revoke(self, handle: str) -> bool:
        """End a session of the user."""
        ...

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        """End all sessions of the user."""
        ...

    async def require_fresh(self, within: timedelta) -> None:
        """Require a recent sign-in."""
        ...

    async def reload(self) -> bool:
        """Load the session again."""
        ...


Page = Callable[[Visit], Awaitable[object]]
"""What it returns is sent as JSON. An asynchronous generator is sent as a stream."""


@dataclass
class Reply:
    """What a page returns to send headers of its own."""

    content: object
    headers: dict[str, str]


def parts_of(result: object) -> tuple[object, dict[str, str]]:
    """Return content and headers of what a page returned."""
    return (result.content, result.headers) if isinstance(result, Reply) else (result, {})


def is_stream(result: object) -> bool:
    """Return whether a page returned a stream."""
    return inspect.isasyncgen(result)


@dataclass
class Answer:
    """What a browser receives."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the one header of a name, if there is one."""
        values = [value for each, value in self.headers if each.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def set_cookie(self) -> str | None:
        """The one ``Set-Cookie``, if there is one."""
        return self.header("Set-Cookie")


GONE = Answer(0, [], b"")
"""What a client receives that has disconnected."""


class Send(Protocol):
    """Sends requests."""

    async def __call__(
        self, path: str, headers: dict[str, str], method: str = "GET", *, gone: bool = False
    ) -> Answer:
        """Send a request to a path. If the client is gone, it disconnects before the response."""
        ...


class Socket(Protocol):
    """A WebSocket whose handler answers each text with the session."""

    async def ask(self) -> Any:
        """Send a text, and return the answer."""
        ...

    async def closed(self) -> int:
        """Wait until the server closes the WebSocket, and return the code."""
        ...


class Driver(Protocol):
    """An adapter and its framework. Options are called as those of Starlette's middleware."""

    def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AbstractAsyncContextManager[Send]:
        """Run an application that has the pages, each at its name."""
        ...

    def serve_nested(
        self, outer: Any, inner: Any, pages: Mapping[str, Page], **options: Any
    ) -> AbstractAsyncContextManager[Send]:
        """Run an application as above, on ``outer``, with another one in it on ``inner``.

        The pages are at their names, and those of the inner one below ``/inner``.
        """
        ...

    def connect(
        self, store: Any, headers: dict[str, str], **options: Any
    ) -> AbstractAsyncContextManager[Socket]:
        """Open a WebSocket to an application."""
        ...


@dataclass
class Browser:
    """Keeps the cookie, ``Secure`` or not, as the sockets of some drivers have no TLS."""

    send: Send
    cookies: dict[str, str] = field(default_factory=dict, repr=False)

    async def get(self, path: str, **headers: str) -> Answer:
        """Visit a page."""
        answer = await self.send(path, self.headers | headers)
        self.receive(answer)
        return answer

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the next request."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookies} if cookies else {}

    def receive(self, answer: Answer) -> None:
        """Do what a response says about the cookie."""
        if answer.set_cookie is None:
            return
        for name, morsel in SimpleCookie(answer.set_cookie).items():
            self.cookies.pop(name, None)
            if morsel.value:
                self.cookies[name] = morsel.value

    @property
    def session_id(self) -> SessionId:
        """The id in the one cookie."""
        (value,) = self.cookies.values()
        return SessionId(value)

    def copy(self) -> Browser:
        """Return another browser with the same cookies."""
        return Browser(self.send, dict(self.cookies))


class Calls:
    """Lets a page of a synchronous view run in the event loop of the test, as other pages do.

    The view's thread waits for the page, and calls the adapter for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def do(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a function returns in the thread of the view."""
        future: Future[Any] = Future()

        def call() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001  # the page raises it
                future.set_exception(error)

        self._queue.put(call)
        return await asyncio.wrap_future(future)

    def run(self, page: Coroutine[Any, Any, Any]) -> Any:
        """Return what a page returns, and do what it wants done meanwhile."""
        running = asyncio.run_coroutine_threadsafe(page, self._loop)
        running.add_done_callback(lambda _: self._queue.put(None))
        while (call := self._queue.get()) is not None:
            call()
        return running.result()

    def iterate(self, stream: AsyncGenerator[str, None]) -> Iterator[str]:
        """Yield what a stream yields."""
        while (chunk := self.run(_next_of(stream))) is not None:
            yield chunk


async def _next_of(stream: AsyncGenerator[str, None]) -> str | None:
    return await anext(stream, None)


async def send_to_wsgi(app: Any) -> AsyncIterator[Send]:
    """Yield what sends requests to a WSGI application, each in a thread, on a host with TLS."""
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="https://shop.example") as client:

        def request(path: str, headers: dict[str, str], method: str, gone: bool) -> Answer:
            if gone:
                environ = create_environ(path, str(client.base_url), method=method, headers=headers)
                app(environ, lambda *_: None).close()
                return GONE
            response = client.request(method, path, headers=headers)
            client.cookies.clear()
            # Servers ignore the space with which Django begins a cookie.
            received = [(name, value.strip()) for name, value in response.headers.multi_items()]
            return Answer(response.status_code, received, response.content)

        async def send(
            path: str, headers: dict[str, str], method: str = "GET", *, gone: bool = False
        ) -> Answer:
            return await asyncio.to_thread(request, path, headers, method, gone)

        yield send


async def send_to_asgi(app: Any) -> AsyncIterator[Send]:
    """Yield what sends requests to an ASGI application, on a host with TLS."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:

        async def send(
            path: str, headers: dict[str, str], method: str = "GET", *, gone: bool = False
        ) -> Answer:
            if gone:
                await _send_and_leave(app, client.build_request(method, path, headers=headers))
                return GONE
            response = await client.request(method, path, headers=headers)
            client.cookies.clear()
            return Answer(response.status_code, response.headers.multi_items(), response.content)

        yield send


async def _send_and_leave(app: Any, request: httpx.Request) -> None:
    """Send a request, and disconnect before the response starts."""
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(_message: Any) -> None:
        pass

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # as uvicorn
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "root_path": "",
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": None,
        "server": ("shop.example", 443),
        "state": {},
    }
    await app(scope, receive, send)
