"""What scenarios ask of a server, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import URL

from tests.reliability.servers.process import ServerProcess


class Server(Protocol):
    """A database server of our own, on a port of 127.0.0.1."""

    process: ServerProcess
    port: int
    lock_table: str
    """A statement that locks the sessions for all others until the connection is closed."""

    @property
    def drivers(self) -> Sequence[str]:
        """Through which stores reach it."""

    @property
    def url(self) -> URL:
        """Of the database, as its administrator."""

    async def create(self) -> None:
        """Make an empty database, and start."""

    async def start(self) -> None:
        """Start, and wait until it answers."""

    def kill(self) -> None:
        """End it at once."""

    def stop(self) -> None:
        """End it; may be repeated."""

    async def end_connections(self) -> None:
        """End every connection but the administrator's."""
