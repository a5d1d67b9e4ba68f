"""Ending the sessions of one subject where a DELETE returns what it has removed: one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, bindparam, delete, func, literal_column, select, tuple_

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.clauses import (
    binary,
    digest_parameters,
    is_live,
    is_of_subject,
)
from sessionstore_sql.sql.dialects.endings import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection, Delete, Table

    from sessionstore_sql.sql.dialects.base import Dialect

LARGEST_STEP = 10_000
"""Maximum number of sessions that one statement ends: a fraction of a second."""


class ReturningEndings:
    """``Endings`` of one statement each.

    On PostgreSQL at READ COMMITTED, a DELETE that finds a row in the hands of another transaction
    waits for it, and then looks at the row's latest version, whatever its id is by then. SQLite has
    one writer at a time.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._table = table
        self._dialect = dialect
        self._statements: dict[tuple[str, int], CompiledStatement] = {}

    def require_isolation(self, connection: Connection) -> None:
        """Do nothing: every isolation level is strict enough."""

    def revoke(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        bound: bool = False,  # noqa: ARG002  # one statement needs no transaction
    ) -> Ended:
        """End the sessions, or so many of them that another step has to follow.

        The first statement removes nothing if that would take too long. Then others remove a part,
        by id, which a session that is being rotated may escape. It is for the last statement, which
        looks at subjects again.
        """
        parameters = digest_parameters(digests)
        if only is not None:
            parameters["handle"] = only
            rows = self._statement("only", len(digests)).rows(connection, parameters)
            return Ended(_handles(rows), is_last=True)
        parameters["handle"] = keep or b""
        if rows := self._statement("all", len(digests)).rows(connection, parameters):
            return Ended(_handles(rows), is_last=True)
        rows = self._statement("part", len(digests)).rows(connection, parameters)
        return Ended(_handles(rows), is_last=not rows)

    def trim(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        limit: int,
        *,
        newest: bytes,
        bound: bool = False,  # noqa: ARG002  # for a derived class
    ) -> Ended:
        """End the oldest sessions."""
        parameters: dict[str, Any] = {**digest_parameters(digests), "newer": limit - 1}
        if self._dialect.has_one_writer:
            parameters["newest"] = newest
        rows = self._statement("trim", len(digests)).rows(connection, parameters)
        return Ended(_handles(rows), is_last=True)

    def _statement(self, name: str, digests: int) -> CompiledStatement:
        statement = self._statements.get((name, digests))
        if statement is None:
            make: Callable[[ColumnElement[bool]], Delete] = getattr(self, f"_{name}")
            table, sender = self._table, self._dialect.sender
            is_theirs = is_of_subject(table, self._dialect, digests)
            statement = CompiledStatement(make(is_theirs).returning(table.c.handle), sender)
            self._statements[name, digests] = statement
        return statement

    def _only(self, is_theirs: ColumnElement[bool]) -> Delete:
        handle = binary("handle", self._dialect)
        return delete(self._table).where(is_theirs, self._table.c.handle == handle)

    def _all(self, is_theirs: ColumnElement[bool]) -> Delete:
        one: ColumnElement[int] = literal_column("1")
        some = select(one).where(*self._ended(is_theirs)).limit(LARGEST_STEP + 1)
        count = select(func.count()).select_from(some.subquery("some"))
        is_few = count.scalar_subquery() <= LARGEST_STEP
        return delete(self._table).where(*self._ended(is_theirs), is_few)

    def _part(self, is_theirs: ColumnElement[bool]) -> Delete:
        some = select(self._table.c.id).where(*self._ended(is_theirs)).limit(LARGEST_STEP)
        return delete(self._table).where(self._table.c.id.in_(some))

    def _trim(self, is_theirs: ColumnElement[bool]) -> Delete:
        table = self._table
        order: list[ColumnElement[Any]] = [table.c.created, table.c.handle]
        if self._dialect.has_one_writer:
            # SQLite's clock counts milliseconds, so a session may be as old as the one before it.
            # Two calls at once cannot disagree, as the second one sees what the first one left.
            order.insert(1, table.c.handle == binary("newest", self._dialect))
        oldest_kept = (
            select(*order)
            .where(is_theirs, is_live(table))
            .order_by(*(each.desc() for each in order))
            .limit(1)
            .offset(bindparam("newer", type_=BigInteger()))
        )
        is_older = tuple_(*order) < oldest_kept.scalar_subquery()
        return delete(table).where(is_theirs, is_live(table), is_older)

    def _ended(self, is_theirs: ColumnElement[bool]) -> list[ColumnElement[bool]]:
        # The handle to keep, or an empty one, which no session has.
        handle = binary("handle", self._dialect)
        return [is_theirs, self._table.c.handle.is_distinct_from(handle)]


def _handles(rows: Sequence[Any]) -> list[bytes]:
    return [bytes(handle or b"") for (handle,) in rows]
