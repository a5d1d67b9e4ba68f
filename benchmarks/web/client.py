"""A fast client: keep-alive connections that repeat a request when they get the response."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.web.counting import START, STOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_END_OF_HEADERS = b"\r\n\r\n"


class ResponseError(Exception):
    """The server sent an unexpected response."""


class Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport  # uvloop has its own class

    def data_received(self, data: bytes) -> None:
        """Pass on the response when it is complete."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEADERS)
        if not end:
            return
        length = int(_header(head, b"content-length") or 0)
        if len(body) < length:
            return
        self._received = b""
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result((head, body))

    def connection_lost(self, error: Exception | None) -> None:
        """Report that the connection was closed."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ResponseError(f"the connection was closed: {error}"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Return the headers and the body of the response.

        Raises:
            ResponseError: There is no response, or its status is not 200.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        head, body = await self._answer
        if not head.startswith(b"HTTP/1.1 200"):
            raise ResponseError(head.partition(b"\r\n")[0].decode())
        return head, body


def request(method: str, path: str, cookie: bytes = b"") -> bytes:
    """Return a request."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n".encode()
    return head + (b"cookie: " + cookie + b"\r\n" if cookie else b"") + b"\r\n"


class Client:
    """Connections to one server, and the cookies of its sessions."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connections: list[Connection] = []
        self.cookies: list[bytes] = []

    async def connect(self, number: int) -> Sequence[Connection]:
        """Return this many open connections."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < number:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
            self._connections.append(connection)
        return self._connections[:number]

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()

    async def start_sessions(self, number: int) -> None:
        """Start sessions and keep their cookies; without sessions, keep one empty cookie."""
        wanted = iter(range(number))

        async def start(connection: Connection) -> None:
            for _ in wanted:
                head, _body = await connection.ask(request("POST", "/start"))
                self.cookies.append(cookies_of(head))

        await asyncio.gather(*map(start, await self.connect(16)))

    async def repeat(
        self, method: str, path: str, connections: int, seconds: float, expected: bytes
    ) -> list[float]:
        """Repeat a request on each connection, with random sessions; return the latencies.

        Raises:
            ResponseError: A response has another body than ``expected``.
        """
        requests = [request(method, path, cookie) for cookie in self.cookies]
        latencies: list[float] = []
        clock = time.perf_counter
        end = clock() + seconds

        async def repeat(connection: Connection, random: Callable[[], float]) -> None:
            now = clock()
            while now < end:
                _, body = await connection.ask(requests[int(random() * len(requests))])
                if body != expected:
                    raise ResponseError(f"{path} returned {body[:80]!r}")
                then, now = now, clock()
                latencies.append(now - then)

        connected = await self.connect(connections)
        await asyncio.gather(
            *(repeat(each, Random(number).random) for number, each in enumerate(connected))
        )
        return latencies

    async def count(self, *, start: bool) -> int:
        """Start counting database statements in the server, or return the count."""
        (connection,) = await self.connect(1)
        _, body = await connection.ask(request("GET", START if start else STOP))
        return int(body)


def cookies_of(head: bytes) -> bytes:
    """Return the cookies that a response sets, as a request sends them."""
    return b"; ".join(value.partition(b";")[0] for value in _headers(head, b"set-cookie"))


@contextmanager
def connected_to(port: int) -> Iterator[Client]:
    """Yield a client, and close it at the end."""
    client = Client(port)
    try:
        yield client
    finally:
        client.close()


def _headers(head: bytes, name: bytes) -> Iterator[bytes]:
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.lower() == name:
            yield value.strip()


def _header(head: bytes, name: bytes) -> bytes | None:
    return next(_headers(head, name), None)
