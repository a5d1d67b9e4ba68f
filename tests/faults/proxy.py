"""A network that fails at a chosen moment, between a driver and its server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL

_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


class Proxy:
    """Passes bytes on, until it is told to lose some, to be slow, or to let nobody through."""

    def __init__(self, url: URL) -> None:
        self._host = url.host or "localhost"
        self._port = url.port or _PORTS[url.get_backend_name()]
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose_requests = 0
        """How many of the next requests to drop, each with its connection."""
        self.lose_answers = 0
        """How many of the next answers to drop: the server has done what it was asked."""
        self.delay_s: float = 0
        """How long bytes are under way, in each direction."""
        self.is_silent = False
        """Whether bytes vanish, and with them, for good, the connections they were sent on."""
        self.is_cut = False
        """Whether new connections are closed at once."""

    def cut(self) -> None:
        """Close every connection, and new ones too, until ``is_cut`` is false again."""
        self.is_cut = True
        for task in self._tasks:
            task.cancel()

    @asynccontextmanager
    async def running(self, url: URL) -> AsyncIterator[URL]:
        """Give the URL that leads through here."""
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
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            server_writer.close()
            writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losses: str
    ) -> None:
        is_dead = False
        while data := await reader.read(65_536):
            is_dead |= self.is_silent
            if is_dead:
                continue
            if self.delay_s > 0:
                await asyncio.sleep(self.delay_s)
            if (left := getattr(self, losses)) > 0:
                setattr(self, losses, left - 1)
                return
            writer.write(data)
            await writer.drain()
