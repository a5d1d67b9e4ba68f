"""What poolers of cloud providers do, simulated in front of a PostgreSQL server of our own.

Each client has a connection of the server for itself, as Supavisor in session mode and a pinned
session of RDS Proxy do. What differs from a server is what the poolers' documentation and their
users' reports say: startup parameters are rejected, idle clients are closed, a pool that is full
answers XX000, and a server that was lost is reported as 58000 or XX000 before the client is closed.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import URL

_TLS_REQUESTS = {80_877_103, 80_877_104}
_CANCEL_REQUEST = 80_877_102
_ALLOWED = {"user", "database", "application_name", "client_encoding", "extra_float_digits"}
"""Startup parameters that are passed on. All others are rejected."""

_KEY_DATA, _READY = b"K", b"Z"


@dataclass(frozen=True, slots=True)
class Words:
    """How one pooler words what it reports."""

    rejected: tuple[str, str]
    """The code, and the text before the name of the startup parameter."""
    full: tuple[str, str]
    lost: tuple[str, str]


PGCAT = Words(
    rejected=("08P01", "unsupported startup parameter: "),
    full=("53300", "sorry, too many clients already"),
    lost=("58000", "error receiving data from server: SocketError"),
)
SUPAVISOR = Words(
    rejected=("08P01", "unsupported startup parameter: "),
    full=("XX000", "MaxClientsInSessionMode: max clients reached"),
    lost=("XX000", "server connection closed"),
)
RDS_PROXY = Words(
    rejected=("0A000", "RDS Proxy currently doesn't support command-line options: "),
    full=("53300", "Timed-out waiting to acquire database connection"),
    lost=("08006", "the connection to the database was lost"),
)


class _Client:
    """A client, and its connection of the server."""

    def __init__(self, writer: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.server = server
        self.is_idle = False
        """Whether the server waits for a statement, outside of a transaction."""


class ManagedPooler:
    """Between clients and a server, until it is told to fail."""

    def __init__(self, server: URL, words: Words) -> None:
        """Pass on to ``server``."""
        self._server = server
        self._words = words
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_full = False
        """Whether new clients are rejected."""
        self.rejections = 0
        """How many clients were rejected for a startup parameter."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[URL]:
        """Give the URL that leads through here."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        try:
            yield self._server.set(host="127.0.0.1", port=port)
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def close_idle_clients(self) -> int:
        """Close every client that waits for nothing, and return how many there were."""
        idle = [client for client in self._clients if client.is_idle]
        for client in idle:
            client.writer.close()
            client.server.close()
        return len(idle)

    def lose_server(self) -> None:
        """Report to every client that the server was lost, and close it."""
        for client in list(self._clients):
            client.writer.write(_error(*self._words.lost))
            client.writer.close()
            client.server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            startup = await _startup(reader, writer)
            if startup is not None and self._is_accepted(startup, writer):
                await self._pass_on(startup, reader, writer)
            await writer.drain()
        writer.close()

    def _is_accepted(self, startup: bytes, writer: asyncio.StreamWriter) -> bool:
        for name in _parameters(startup):
            if name not in _ALLOWED:
                self.rejections += 1
                code, text = self._words.rejected
                writer.write(_error(code, text + name))
                return False
        if self.is_full:
            writer.write(_error(*self._words.full))
            return False
        return True

    async def _pass_on(
        self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, port = self._server.host or "localhost", self._server.port or 5432
        server_reader, server_writer = await asyncio.open_connection(host, port)
        server_writer.write(startup)
        client = _Client(writer, server_writer)
        self._clients.add(client)
        both = [
            asyncio.ensure_future(_requests(client, reader)),
            asyncio.ensure_future(_answers(client, server_reader)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.discard(client)
            # Before anything is awaited, as this task may be cancelled once more.
            server_writer.close()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    """Return the message that begins a session; ``None``: the client wants to cancel one."""
    while True:
        header = await reader.readexactly(8)
        length, code = struct.unpack("!ii", header)
        message = header + await reader.readexactly(length - 8)
        if code == _CANCEL_REQUEST:
            return None
        if code not in _TLS_REQUESTS:
            return message
        writer.write(b"N")
        await writer.drain()


def _parameters(startup: bytes) -> Iterator[str]:
    yield from (name.decode() for name in startup[8:].split(b"\0")[::2] if name)


async def _requests(client: _Client, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(65_536):
        client.is_idle = False
        client.server.write(data)
        await client.server.drain()


async def _answers(client: _Client, reader: asyncio.StreamReader) -> None:
    """Pass the server's messages on, with a process number that is made up."""
    while True:
        header = await reader.readexactly(5)
        kind, (length,) = header[:1], struct.unpack("!i", header[1:])
        body = await reader.readexactly(length - 4)
        if kind == _KEY_DATA:
            body = struct.pack("!i", secrets.randbits(31)) + body[4:]
        client.writer.write(header + body)
        await client.writer.drain()
        if kind == _READY:
            client.is_idle = body == b"I"


def _error(code: str, message: str) -> bytes:
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", message))
    )
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
