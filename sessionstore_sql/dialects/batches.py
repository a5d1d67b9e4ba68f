"""Many sessions, one statement: where UPDATE and DELETE can return the keys they touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import select

from sessionstore_sql.dialects.base import Row
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.upserts import replacing_expired

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table
    from sqlalchemy.sql.dml import ReturningInsert

    from sessionstore_sql.dialects.compiled import CompiledStatement
    from sessionstore_sql.dialects.upserts import UpsertableInsert

Selection: TypeAlias = "Select[*tuple[Any, ...]]"
"""Of any columns."""

Parameters: TypeAlias = Callable[[Sequence[Row]], dict[str, Any]]
"""Returns what the statements bind for some rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturningBatches:
    """``Batches`` of statements whose text is the same for any number of rows."""

    parameters: Parameters
    loaded: Callable[[Sequence[Any]], Iterable[Any]]
    """Makes key, state and remaining microseconds of what ``select_load`` returned."""
    keys: Callable[[Sequence[Any]], Collection[bytes]]
    """Makes keys of what the other statements returned."""
    select_load: CompiledStatement
    """Those that are live."""
    select_live: CompiledStatement
    """The keys of those that are live."""
    insert: CompiledStatement
    """As ``create``; like those below, it returns the keys of the rows it changed."""
    replace: CompiledStatement
    extend: CompiledStatement
    remove: CompiledStatement

    def load(self, connection: Connection, keys: Sequence[bytes]) -> Iterable[Any]:
        """Return key, state and remaining microseconds of those that are live."""
        parameters = self.parameters([Row(key) for key in keys])
        return self.loaded(self.select_load.rows(connection, parameters))

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        return self._keys(connection, self.select_live, [Row(key) for key in keys])

    def create(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Insert, or replace expired rows."""
        return self._keys(connection, self.insert, rows)

    def update(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace state and deadline."""
        return self._keys(connection, self.replace, rows)

    def update_ttl(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace the deadline."""
        return self._keys(connection, self.extend, rows)

    def delete(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Remove."""
        return self._keys(connection, self.remove, rows)

    def _keys(
        self, connection: Connection, statement: CompiledStatement, rows: Sequence[Row]
    ) -> Collection[bytes]:
        return self.keys(statement.rows(connection, self.parameters(rows)))


def select_load(table: Table, is_given: ColumnElement[bool]) -> Selection:
    """Return what loads those of the rows ``is_given`` that are live."""
    return select(table.c.id, table.c.state, table.c.deadline - now()).where(
        is_given, table.c.deadline > now()
    )


def select_live(table: Table, is_given: ColumnElement[bool]) -> Selection:
    """Return what tells which of the rows ``is_given`` are live."""
    return select(table.c.id).where(is_given, table.c.deadline > now())


def insert_given(
    table: Table, insert: UpsertableInsert, given: FromClause, ttl: ColumnElement[int]
) -> ReturningInsert[Any]:
    """Return what creates the rows of ``given``, in the order of their keys."""
    rows = (
        select(given.c.id, now() + ttl, given.c.state)
        # Without a WHERE, SQLite takes ON CONFLICT for a join's condition.
        .where(given.c.id.is_not(None))
        .order_by(given.c.id)
    )
    created = insert.from_select(["id", "deadline", "state"], rows)
    return replacing_expired(created, table).returning(table.c.id)
