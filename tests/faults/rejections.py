"""A server, or a pooler in its place, that rejects every connection to PostgreSQL."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_REQUESTS = {80877103, 80877104}
"""SSLRequest and GSSENCRequest, which come before what a client wants to say."""


class Silence:
    """What happened to a connection that was not answered."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()


@asynccontextmanager
async def rejecting(
    severity: str, code: str, message: str, *, silent: Silence | None = None
) -> AsyncIterator[int]:
    """Give the port of a server that ends each connection with this error.

    With ``silent``, it does so with the first one, and does not answer the others.
    """
    fields = b"".join(
        letter + value.encode() + b"\0"
        for letter, value in ((b"S", severity), (b"C", code), (b"M", message))
    )
    answer = b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"
    has_answered = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal has_answered
        is_silent = silent is not None and has_answered
        try:
            while True:
                size, request = struct.unpack("!II", await reader.readexactly(8))
                await reader.readexactly(size - 8)
                if request not in _REQUESTS:
                    break
                writer.write(b"N")
            if silent is not None and is_silent:
                silent.asked.set()
                await reader.read()
                return
            has_answered = True
            writer.write(answer)
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            if silent is not None and is_silent:
                silent.closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
