"""A walk through all sessions of a table in the order of their keys, for the command.

Every step is a short statement that reads a number of rows by the primary key. Keys are digests, so
their order says nothing about the sessions. A session whose id is rotated during the walk may move
behind it. So a walk that must miss none is repeated until ``count`` is zero, which one
statement on one snapshot decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, literal, or_, select, update

from sessionstore_sql.sql.dialects import now
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.dialects.clauses import is_live
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.operations import BINARY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection, Executable, Select, Table

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.execution import PooledExecutor

BATCH = 100
"""Number of rows that one step reads and changes."""

BEFORE_ALL = b""
"""The key to start after. No key is empty."""


class Stored(NamedTuple):
    """What a row holds that a codec has encoded."""

    key: bytes
    state: bytes | None
    """``None`` if the value is of another type, which SQLite may hold if it was written by hand."""
    about: bytes | None


class Walk:
    """Reads and changes the rows of one table, step by step. Steps are committed one by one."""

    def __init__(self, executor: PooledExecutor, table: Table, dialect: Dialect) -> None:
        self._executor = executor
        self._table = table
        self._dialect = dialect
        self._batches = dialect.batches(table)

    async def now(self) -> int:
        """Return the database's clock, in microseconds since 1970 UTC."""
        return int((await self._rows(select(now())))[0][0])

    async def count(self, created_until: int) -> int:
        """Return the number of live sessions that were created until then, or at an unknown time.

        Rows that were written by a version without revision 0002 have no time of creation.
        """
        counting = select(func.count()).select_from(self._table)
        return int((await self._rows(self._older(counting, created_until)))[0][0])

    async def keys(self, after: bytes, created_until: int) -> Sequence[bytes]:
        """Return the next keys of such sessions behind ``after``, at most ``BATCH``."""
        column = self._table.c.id
        following = self._older(select(column).where(self._is_behind(after)), created_until)
        return [bytes(key) for (key,) in await self._rows(following.order_by(column).limit(BATCH))]

    async def delete(self, keys: Sequence[bytes]) -> int:
        """Delete live sessions, and return how many. Rows that are locked are left out."""

        def work(connection: Connection) -> int:
            return len(self._batches.delete(connection, [Row(key) for key in keys]))

        return await self._executor.run(work, Effect.REPEATABLE)

    async def stored(self, after: bytes) -> Sequence[Stored]:
        """Return the next live rows behind ``after``, at most ``BATCH``."""
        columns = self._table.c
        statement = (
            select(columns.id, columns.state, columns.about)
            .where(self._is_behind(after), is_live(self._table))
            .order_by(columns.id)
            .limit(BATCH)
        )
        return [
            Stored(bytes(key), _bytes(state), _bytes(about))
            for key, state, about in await self._rows(statement)
        ]

    async def replace(self, before: Stored, after: Stored) -> bool:
        """Store other bytes in a row, unless it was changed meanwhile; return whether it was not.

        Neither the version nor a time changes, as it is the same session to the application.
        """
        columns = self._table.c
        is_unchanged = [columns.id == self._binary(before.key)]
        changes: dict[str, Any] = {}
        for name in ("state", "about"):
            old, new = getattr(before, name), getattr(after, name)
            if new != old:
                is_unchanged.append(self._dialect.equals(columns[name], old))
                changes[name] = self._binary(new)
        statement = update(self._table).where(*is_unchanged).values(changes)

        def work(connection: Connection) -> bool:
            changed = connection.execute(statement).rowcount
            if connection.in_transaction():
                connection.commit()
            return bool(changed)

        return await self._executor.run(work, Effect.REPEATABLE)

    def _older(self, statement: Select[Any], created_until: int) -> Select[Any]:
        created = self._table.c.created
        return statement.where(
            is_live(self._table), or_(created.is_(None), created <= literal(created_until))
        )

    def _is_behind(self, key: bytes) -> ColumnElement[bool]:
        return self._table.c.id > self._binary(key)

    def _binary(self, value: bytes) -> ColumnElement[bytes]:
        return literal(value, self._dialect.binary)

    async def _rows(self, statement: Executable) -> Sequence[Any]:
        work: Callable[[Connection], Sequence[Any]] = lambda connection: (  # noqa: E731
            connection.execute(statement).all()
        )
        return await self._executor.run(work, Effect.READ)


def _bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, BINARY) else None
