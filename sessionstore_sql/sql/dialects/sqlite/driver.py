"""How a statement's text reaches SQLite: in one turn of the connection's thread."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy.engine.interfaces import AdaptedConnection
    from sqlalchemy.pool import PoolProxiedConnection

    from sessionstore_sql.sql.senders import Bound, Channel

Result = TypeVar("Result")


class OneTurnSender:
    """``Sender`` by what aiosqlite does in one turn of its thread.

    With SQLAlchemy's cursor, making it, executing, fetching and closing are a turn each, and to
    wait for another thread costs more than the statement does.
    """

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return all rows. A cancelled call leaves no unfetched rows, which would keep a lock."""
        return _run(connection, lambda driver: driver.execute_fetchall(text, bound))

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        # Its cursor is done, as there are no rows, and need not be closed.
        cursor = _run(connection, lambda driver: driver.execute(text, bound))
        return int(cursor.rowcount)


IN_ONE_TURN = OneTurnSender()


class OneTurnChannel:
    """``Channel`` of one connection of aiosqlite, likewise in one turn of its thread."""

    __slots__ = ("_execute", "_fetch")

    def __init__(self, connection: object) -> None:
        driver: Any = connection
        self._fetch = driver.execute_fetchall
        self._execute = driver.execute

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        try:
            rows: Sequence[Any] = await self._fetch(text, bound)
        except ValueError as error:
            raise _closed() from error
        return rows

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        try:
            return int((await self._execute(text, bound)).rowcount)
        except ValueError as error:
            raise _closed() from error


def channel_of(driver_connection: object) -> Channel | None:
    """Return a channel to a connection; ``None`` if it is of another driver."""
    is_known = type(driver_connection).__module__.partition(".")[0] == "aiosqlite"
    return OneTurnChannel(driver_connection) if is_known else None


def _run(connection: PoolProxiedConnection, work: Callable[[Any], Awaitable[Result]]) -> Result:
    adapted = cast("AdaptedConnection", connection.dbapi_connection)
    try:
        return adapted.run_async(work)
    except ValueError as error:
        raise _closed() from error


def _closed() -> sqlite3.OperationalError:
    """Return the error for the ``ValueError`` that aiosqlite raises if a connection is closed."""
    # In the words by which SQLAlchemy 2.0 and 2.1 know that it has to be replaced.
    return sqlite3.OperationalError("no active connection")
