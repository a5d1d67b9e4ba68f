"""A proxy between a driver and its server that fails when a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL

_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


class Proxy:
    """Forwards bytes. On request it loses some, slows down, or rejects connections."""

    def __init__(self, url: URL) -> None:
        self._host = url.host or "localhost"
        self._port = url.port or _PORTS[url.get_backend_name()]
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose_requests = 0
        """Number of requests to drop, each with its connection."""
        self.lose_answers = 0
        """Number of responses to drop; the server has executed the request."""
        self.delay_s: float = 0
        """Delay of bytes in each direction, in seconds."""
        self.is_silent = False
        """Whether bytes are dropped; the connections on which they were sent stay silent."""
        self.is_cut = False
        """Whether new connections are closed at once."""
        self._forgotten = 0
        """How often the connections that there were have been forgotten."""

    def cut(self) -> None:
        """Close every connection, and new ones too, until ``is_cut`` is false again."""
        self.is_cut = True
        for task in self._tasks:
            task.cancel()

    def redirect(self, url: URL) -> None:
        """Lead to another server, and close the connections to the present one."""
        self._host = url.host or "localhost"
        self._port = url.port or _PORTS[url.get_backend_name()]
        for task in self._tasks:
            task.cancel()

    async def until_cut(self) -> None:
        """Wait until every connection is closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget(self) -> None:
        """Let the bytes of all present connections vanish, as a firewall does after a while."""
        self._forgotten += 1

    @asynccontextmanager
    async def running(self, url: URL) -> AsyncIterator[URL]:
        """Yield the URL that leads through the proxy."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield url.set(host="127.0.0.1", port=port)
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before it has begun closes nothing.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        except BaseException:
            writer.close()
            raise
        both = [
            asyncio.ensure_future(self._pass(reader, server_writer, "lose_requests")),
            asyncio.ensure_future(self._pass(server_reader, writer, "lose_answers")),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Before anything is awaited, as this task may be cancelled once more.
            server_writer.close()
            writer.close()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losses: str
    ) -> None:
        is_dead, known = False, self._forgotten
        while data := await reader.read(65_536):
            is_dead |= self.is_silent or self._forgotten > known
            if is_dead:
                continue
            if self.delay_s > 0:
                await asyncio.sleep(self.delay_s)
            if (left := getattr(self, losses)) > 0:
                setattr(self, losses, left - 1)
                return
            writer.write(data)
            await writer.drain()
