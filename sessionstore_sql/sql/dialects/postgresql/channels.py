"""How a statement's text reaches asyncpg and psycopg, with their own coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.senders import Bound, Channel


class AsyncpgChannel:
    """``Channel`` of one connection of asyncpg.

    asyncpg prepares each text once, and prepares it again if the table has changed.
    """

    __slots__ = ("_execute", "_fetch")

    def __init__(self, connection: object) -> None:
        driver: Any = connection
        self._fetch = driver.fetch
        self._execute = driver.execute

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        rows: Sequence[Any] = await self._fetch(text, *bound)
        return rows

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows were changed, which the status ends with: ``INSERT 0 1``."""
        status: str = await self._execute(text, *bound)
        return int(status.rpartition(" ")[2])


class PsycopgChannel:
    """``Channel`` of one connection of psycopg, which prepares a text after some executions."""

    __slots__ = ("_execute",)

    def __init__(self, connection: object) -> None:
        driver: Any = connection
        self._execute = driver.execute

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        rows: Sequence[Any] = await (await self._execute(text, bound)).fetchall()
        return rows

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        return int((await self._execute(text, bound)).rowcount)


def channel_of(driver_connection: object) -> Channel | None:
    """Return a channel to a connection; ``None`` if it is of another driver."""
    match type(driver_connection).__module__.partition(".")[0]:
        case "asyncpg":
            return AsyncpgChannel(driver_connection)
        case "psycopg":
            return PsycopgChannel(driver_connection)
        case _:
            return None
