"""How a statement's text reaches SQLite: in one turn of the connection's thread."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy.engine.interfaces import AdaptedConnection
    from sqlalchemy.pool import PoolProxiedConnection

    from sessionstore_sql.dialects.sending import Bound

Result = TypeVar("Result")


class OneTurnSender:
    """``Sender`` by what aiosqlite does in one turn of its thread.

    With SQLAlchemy's cursor, making it, executing, fetching and closing are a turn each, and to
    wait for another thread costs more than the statement does.
    """

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows; nobody can be cancelled before all are fetched, and keep a lock."""
        return _run(connection, lambda driver: driver.execute_fetchall(text, bound))

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        # Its cursor is done, as there are no rows, and need not be closed.
        cursor = _run(connection, lambda driver: driver.execute(text, bound))
        return int(cursor.rowcount)


IN_ONE_TURN = OneTurnSender()


def _run(connection: PoolProxiedConnection, work: Callable[[Any], Awaitable[Result]]) -> Result:
    adapted = cast("AdaptedConnection", connection.dbapi_connection)
    try:
        return adapted.run_async(work)
    except ValueError as error:  # what aiosqlite says of a connection that is closed
        # In the words by which SQLAlchemy 2.0 and 2.1 know that it has to be replaced.
        raise sqlite3.OperationalError("no active connection") from error
