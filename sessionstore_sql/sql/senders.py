"""How a text and what it binds reach a driver: within a greenlet, or awaited directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.pool import PoolProxiedConnection

Bound: TypeAlias = "dict[str, Any] | tuple[Any, ...]"
"""What a text binds, by name or by position."""


class Sender(Protocol):
    """Sends a text and what it binds to the driver, and raises the driver's own errors.

    It runs in a greenlet that passes every wait of the driver to the event loop.
    """

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        ...

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows a statement changed that returns none."""
        ...


class Channel(Protocol):
    """Does the same on one connection of a driver, with the coroutines of the driver itself.

    The connection commits each statement by itself.
    """

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        ...

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows a statement changed that returns none."""
        ...


class CursorSender:
    """Sends with a cursor, as SQLAlchemy does."""

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        cursor = connection.cursor()
        cursor.execute(text, bound)
        rows = cursor.fetchall()
        cursor.close()
        return rows

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows a statement changed that returns none."""
        cursor = connection.cursor()
        cursor.execute(text, bound)
        count = cursor.rowcount
        cursor.close()
        return count


BY_CURSOR = CursorSender()
