"""How a statement's text reaches aiomysql and asyncmy, with their own coroutines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.senders import Bound, Channel


class CursorChannel:
    """``Channel`` of one connection, by a cursor for each statement."""

    __slots__ = ("_connection", "_cursor_class")

    def __init__(self, connection: object, cursor_class: type[Any]) -> None:
        self._connection = connection
        self._cursor_class = cursor_class

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows, all of which the cursor has read when the statement ends."""
        cursor = self._cursor_class(self._connection)
        await cursor.execute(text, bound)
        rows: Sequence[Any] = await cursor.fetchall()
        return rows

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        cursor = self._cursor_class(self._connection)
        await cursor.execute(text, bound)
        return int(cursor.rowcount)


def channel_of(driver_connection: object) -> Channel | None:
    """Return a channel to a connection; ``None`` if it is of another driver."""
    for each in type(driver_connection).__mro__:
        match each.__module__.partition(".")[0]:
            case "aiomysql":
                return CursorChannel(driver_connection, _quiet_cursor())
            case "asyncmy":
                from asyncmy.cursors import Cursor  # noqa: PLC0415  # an extra

                return CursorChannel(driver_connection, Cursor)
            case _:
                pass
    return None


@cache
def _quiet_cursor() -> type[Any]:
    """Return aiomysql's cursor without the round trip in which it asks for warnings.

    SQLAlchemy does the same.
    """
    from aiomysql import Cursor  # noqa: PLC0415  # an extra

    class QuietCursor(Cursor):  # type: ignore[misc,unused-ignore]
        async def _show_warnings(self, conn: object) -> None: ...

    return QuietCursor
