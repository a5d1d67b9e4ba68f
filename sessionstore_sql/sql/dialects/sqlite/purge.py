"""The purge on SQLite: one statement, while which no other process writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.base import Removed
from sessionstore_sql.sql.dialects.clauses import is_expired, oldest_expired, purge_parameters
from sessionstore_sql.sql.dialects.sqlite.driver import IN_ONE_TURN

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from sessionstore_sql.sql.dialects.base import Purge


class SingleWriterPurger:
    """A ``Purger`` whose steps exclude each other, as SQLite has one writer at a time."""

    largest_step = 250
    """A few milliseconds, during which no other process can write."""

    def __init__(self, table: Table) -> None:
        purge = delete(table).where(table.c.id.in_(oldest_expired(table)), is_expired(table))
        self.statement = CompiledStatement(purge, IN_ONE_TURN)

    def begin(self) -> Purge:
        """Return a new purge."""
        return self

    def step(
        self,
        connection: Connection,
        limit: int,
        *,
        exclusively: bool = False,  # noqa: ARG002  # it is, either way
    ) -> Removed:
        """Remove at most ``limit`` expired rows, oldest first."""
        count = self.statement.count(connection, purge_parameters(limit))
        return Removed(count, is_last=count < limit)
