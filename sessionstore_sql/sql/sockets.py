"""Sockets of connections that are not in use: whether they are still open, and kept open."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Callable

CLOSED = -1
"""In place of a file descriptor: the driver has closed its socket."""

_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_PROBES = 60, 10, 3
"""A connection is probed after a minute without a byte, which firewalls and load balancers count as
use: they drop connections after some minutes. Three probes without an answer end it."""

_UNACKNOWLEDGED_MS = 20_000
"""Milliseconds after which the system gives up on bytes that are not acknowledged."""

_OPTIONS = (
    ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
    ("TCP_KEEPALIVE", _KEEPALIVE_IDLE_S),  # the name on macOS
    ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_S),
    ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MS),
)


_HAS_POLL = hasattr(select, "poll")
"""Windows has none."""

_NOT_WAITING: int = getattr(socket, "MSG_DONTWAIT", 0)
"""The drivers' sockets do not block, also where the system, Windows, has no such flag."""


def descriptor_of(transport: BaseTransport | None) -> int | None:
    """Return the file descriptor of an asyncio transport; ``CLOSED`` if that is closed."""
    if transport is None or transport.is_closing():
        return CLOSED
    opened = transport.get_extra_info("socket")
    return None if opened is None else int(opened.fileno())


def has_hung_up(descriptor: int, harmless: bytes) -> bool:
    """Return whether the other side has closed a connection that is not in use.

    It takes one call of the system, and no round trip. A connection that a firewall has dropped
    silently looks open.

    Args:
        descriptor: The file descriptor of the socket, or ``CLOSED``.
        harmless: The first bytes of messages that a server sends to idle clients. Any other
            message is its reason for closing the connection. Nothing can be told of encrypted
            messages: they count as such a reason, too.
    """
    if descriptor == CLOSED:
        return True
    if _HAS_POLL:  # a fifth of the cost, and nearly always enough
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(0):
            return False
    # Neither family nor type matters. If they were left out, the system would be asked for them.
    peeked = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        received = peeked.recv(1, socket.MSG_PEEK | _NOT_WAITING)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peeked.detach()
    return not received or received not in harmless


class Watch:
    """Looks again and again at the socket of one connection, at a third of the cost."""

    __slots__ = ("_connection", "_descriptor", "_harmless", "_poll", "_socket_of")

    def __init__(
        self, socket_of: Callable[[object], int | None], connection: object, harmless: bytes
    ) -> None:
        """Look at the socket that ``socket_of`` returns for a driver's connection."""
        self._socket_of = socket_of
        self._connection = connection
        self._harmless = harmless
        self._descriptor = socket_of(connection)
        self._poll = None
        if _HAS_POLL and self._descriptor is not None and self._descriptor != CLOSED:
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLIN)

    def has_hung_up(self) -> bool:
        """Return whether the other side has closed the connection."""
        descriptor = self._socket_of(self._connection)
        if descriptor is None:
            return False
        is_same = descriptor == self._descriptor
        if is_same and self._poll is not None and not self._poll.poll(0):
            return False
        return has_hung_up(descriptor, self._harmless)


def keep_alive(descriptor: int) -> None:
    """Have the system probe a connection that is idle, and give up on one that is dead."""
    if descriptor == CLOSED:
        return
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        with suppress(OSError):  # a Unix socket has none of these
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _OPTIONS:
                if (option := getattr(socket, name, None)) is not None:
                    opened.setsockopt(socket.IPPROTO_TCP, option, value)
    finally:
        opened.detach()
