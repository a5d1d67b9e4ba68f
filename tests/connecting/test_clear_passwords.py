"""A server of MySQL that asks for the password in clear text, as RDS does for tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore
from sessionstore_sql.sql.dialects.mysql import creators

pytestmark = pytest.mark.anyio

_PASSWORD = "an-expiring-token"
_PLUGIN = b"mysql_clear_password"

_CAPABILITIES = 0x000F_F7DF  # all but TLS, which is 0x800
_GREETING = (
    b"\x0a8.0.36\0"
    + (7).to_bytes(4, "little")
    + b"12345678\0"
    + (_CAPABILITIES & 0xFFFF).to_bytes(2, "little")
    + b"\x2d\x02\x00"
    + (_CAPABILITIES >> 16).to_bytes(2, "little")
    + b"\x15"
    + bytes(10)
    + b"123456789012\0"
    + b"mysql_native_password\0"
)
_SWITCH = b"\xfe" + _PLUGIN + b"\0\0"


@asynccontextmanager
async def greedy_server(received: bytearray) -> AsyncIterator[int]:
    """Greet without TLS, ask for the password, and note all that is sent."""
    clients: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(len(_GREETING).to_bytes(3, "little") + b"\0" + _GREETING)
            received.extend(await reader.read(4_096))
            writer.write(len(_SWITCH).to_bytes(3, "little") + b"\x02" + _SWITCH)
            received.extend(await reader.read(4_096))
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*clients)


@pytest.mark.parametrize("drivername", ["mysql+aiomysql", "mysql+asyncmy"])
@pytest.mark.parametrize("query", ["", "?sslmode=prefer", "?auth_plugin=mysql_clear_password"])
async def test_no_password_is_sent_over_a_network_in_clear_text(
    drivername: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says so, and is not one that may pass."""
    if "auth_plugin" in query and drivername.endswith("asyncmy"):
        pytest.skip("it has no such option")
    monkeypatch.setattr(creators, "_is_local", lambda _host: False)
    received = bytearray()
    async with (
        greedy_server(received) as port,
        SQLSessionStore(f"{drivername}://app:{_PASSWORD}@127.0.0.1:{port}/shop{query}") as store,
    ):
        with pytest.raises(DatabaseError, match="clear text") as caught:
            await store.load(SessionId.generate())

    assert not caught.value.transient
    assert _PASSWORD.encode() not in received


@pytest.mark.parametrize("drivername", ["mysql+aiomysql", "mysql+asyncmy"])
async def test_a_password_is_sent_on_this_machine(drivername: str) -> None:
    """A proxy there may be what encrypts."""
    received = bytearray()
    async with (
        greedy_server(received) as port,
        SQLSessionStore(f"{drivername}://app:{_PASSWORD}@127.0.0.1:{port}/shop") as store,
    ):
        with pytest.raises(DatabaseError):
            await store.load(SessionId.generate())

    assert _PASSWORD.encode() in received
