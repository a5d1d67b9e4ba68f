"""What a socket tells of its other side, without a round trip."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator

import pytest

from sessionstore_sql.sql import sockets
from sessionstore_sql.sql.sockets import (
    CLOSED,
    Watch,
    descriptor_of,
    has_hung_up,
    keep_alive,
)

HARMLESS = b"NSA"


@pytest.fixture(params=[True, False], ids=["with poll", "without poll"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our side, which does not block, and the other one."""
    monkeypatch.setattr(sockets, "_HAS_POLL", request.param)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_an_idle_connection_is_open(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nothing has arrived."""
    assert not has_hung_up(pair[0].fileno(), HARMLESS)


def test_a_closed_connection_has_ended(pair: tuple[socket.socket, socket.socket]) -> None:
    """The other side has closed it, and it can be asked again."""
    ours, theirs = pair
    theirs.close()

    assert has_hung_up(ours.fileno(), HARMLESS)
    assert has_hung_up(ours.fileno(), HARMLESS)


def test_a_last_message_ends_a_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    """An error, or something encrypted, comes before the other side closes it."""
    ours, theirs = pair
    theirs.sendall(b"E...")

    assert has_hung_up(ours.fileno(), HARMLESS)
    assert ours.recv(9) == b"E..."


def test_a_notice_does_not(pair: tuple[socket.socket, socket.socket]) -> None:
    """Servers report changed settings to idle clients."""
    ours, theirs = pair
    theirs.sendall(b"S...")

    assert not has_hung_up(ours.fileno(), HARMLESS)
    assert has_hung_up(ours.fileno(), b"")


def test_a_reset_connection_has_ended() -> None:
    """The other side has gone without reading what was sent to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        ours.sendall(b"unread")
        select.select([theirs], [], [], 5)
        theirs.close()
        select.select([ours], [], [], 5)
        ours.setblocking(False)
        with ours:
            assert has_hung_up(ours.fileno(), HARMLESS)


def test_a_socket_that_the_driver_closed_has_ended() -> None:
    """There is no descriptor to ask."""
    assert has_hung_up(CLOSED, HARMLESS)
    keep_alive(CLOSED)


def test_keepalive_is_turned_on() -> None:
    """For TCP; a Unix socket stays as it is."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as ours:
        keep_alive(ours.fileno())

        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    ours, theirs = socket.socketpair()
    with ours, theirs:
        keep_alive(ours.fileno())
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


@pytest.mark.anyio
async def test_a_transport_has_a_descriptor_until_it_is_closed() -> None:
    """One that closes counts as closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        assert descriptor_of(writer.transport) == ours.fileno()
        writer.close()
        assert descriptor_of(writer.transport) == CLOSED
        await writer.wait_closed()
    assert descriptor_of(None) == CLOSED


def test_a_transport_without_a_socket_tells_nothing() -> None:
    """As that of a pipe, or of a driver that has its own."""

    class Transport(asyncio.Transport):
        def is_closing(self) -> bool:
            return False

    assert descriptor_of(Transport()) is None


def test_a_watch_notices_the_end_of_a_connection(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """However often it looked before, and whatever harmless messages have come."""
    ours, theirs = pair
    watch = Watch(lambda _connection: ours.fileno(), object(), HARMLESS)
    assert not watch.has_hung_up()
    theirs.sendall(b"N...")
    assert not watch.has_hung_up()
    assert ours.recv(9) == b"N..."
    assert not watch.has_hung_up()
    theirs.close()

    assert watch.has_hung_up()


def test_a_watch_does_not_look_at_a_socket_that_took_the_place_of_another(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The driver has closed its own, and the number of its file was used again."""
    ours, _ = pair
    descriptors = [ours.fileno(), CLOSED]
    watch = Watch(lambda _connection: descriptors.pop(0), object(), HARMLESS)

    assert watch.has_hung_up()


def test_nothing_is_known_of_a_socket_that_a_driver_does_not_show() -> None:
    """Its connection counts as open."""
    assert not Watch(lambda _connection: None, object(), HARMLESS).has_hung_up()
