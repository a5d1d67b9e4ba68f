"""What a managed pooler does with the startup of a connection, in front of a real server."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import URL

_SSL_REQUESTS = {80_877_103, 80_877_104}
"""A request for TLS, and one for GSSAPI: the server answers with one letter."""


class PickyPooler:
    """Rejects startup parameters, as PgBouncer does that is not configured to ignore them."""

    def __init__(self, server: URL, rejected: Sequence[str]) -> None:
        self._server = server
        self._rejected = rejected
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        """How many clients have asked for a connection."""
        self.rejections = 0
        """How many of them were rejected."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[URL]:
        """Give the URL that leads through here."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield self._server.set(host="127.0.0.1", port=port)
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before it has begun closes nothing.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            startup = await self._startup(reader, writer)
            self.connections += 1
            parameters = startup[8:].split(b"\0")
            names, values = parameters[::2], parameters[1::2]
            for name in self._rejected:
                if name.encode() in names or any(name.encode() in each for each in values):
                    self.rejections += 1
                    writer.write(_error(f"unsupported startup parameter: {name}"))
                    await writer.drain()
                    return
            await self._pass_on(startup, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            header = await reader.readexactly(8)
            length, code = struct.unpack("!ii", header)
            message = header + await reader.readexactly(length - 8)
            if code not in _SSL_REQUESTS:
                return message
            writer.write(b"N")
            await writer.drain()

    async def _pass_on(
        self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection(
            self._server.host, self._server.port or 5432
        )
        server_writer.write(startup)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()

        both = [
            asyncio.ensure_future(copy(reader, server_writer)),
            asyncio.ensure_future(copy(server_reader, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Before anything is awaited, as this task may be cancelled once more.
            server_writer.close()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


def _error(message: str) -> bytes:
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", "08P01"), (b"M", message))
    )
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
