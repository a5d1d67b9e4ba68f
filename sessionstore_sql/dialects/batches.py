"""Many sessions, one statement: where UPDATE and DELETE can return the keys they touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, any_, delete, func, select, update

from sessionstore_sql.dialects.base import Row
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.upserts import replacing_expired

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import ColumnElement, Connection, FromClause, Table

    from sessionstore_sql.dialects.upserts import UpsertableInsert


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """How rows reach a statement whose text is the same for any number of them."""

    given: FromClause
    """A table of ``id``, ``ttl`` and ``state``."""
    is_given: ColumnElement[bool]
    """The condition that a row's key is among them."""
    held: FromClause | None
    """The keys of those that are live, locked in their order and without waiting; ``None`` where
    a statement has the whole database to itself."""
    parameters: Callable[[Sequence[Row]], dict[str, Any]]
    """What ``given`` and ``is_given`` bind."""


class ReturningBatches:
    """``Batches`` where a statement can return the keys it touched."""

    def __init__(self, table: Table, source: RowSource, insert: UpsertableInsert) -> None:
        """Build the statements for a table, from a source of rows and the dialect's insert."""
        self._parameters = source.parameters
        given, key, is_live = source.given, table.c.id, table.c.deadline > now()
        deadline = now() + given.c.ttl
        mine, mine_and_given = source.is_given, key == given.c.id
        if (held := source.held) is not None:
            mine = key == any_(func.array(select(held.c.id).scalar_subquery()))
            mine_and_given = and_(key == held.c.id, held.c.id == given.c.id)
        self._load = select(key, table.c.state, table.c.deadline - now()).where(
            source.is_given, is_live
        )
        self._live = select(key).where(source.is_given, is_live)
        rows = (
            select(given.c.id, deadline, given.c.state)
            # Without a WHERE, SQLite takes ON CONFLICT for a join's condition.
            .where(given.c.id.is_not(None))
            .order_by(given.c.id)
        )
        created = insert.from_select(["id", "deadline", "state"], rows)
        self._create = replacing_expired(created, table).returning(key)
        touch = update(table).where(mine_and_given, is_live)
        self._update = touch.values(deadline=deadline, state=given.c.state).returning(key)
        self._update_ttl = touch.values(deadline=deadline).returning(key)
        self._delete = delete(table).where(mine, is_live).returning(key)

    def load(self, connection: Connection, keys: Sequence[bytes]) -> Sequence[Any]:
        """Return key, state and remaining microseconds of those that are live."""
        return connection.execute(self._load, self._parameters([Row(key) for key in keys])).all()

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        return set(connection.scalars(self._live, self._parameters([Row(key) for key in keys])))

    def create(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Insert, or replace expired rows."""
        return set(connection.scalars(self._create, self._parameters(rows)))

    def update(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace state and deadline."""
        return set(connection.scalars(self._update, self._parameters(rows)))

    def update_ttl(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace the deadline."""
        return set(connection.scalars(self._update_ttl, self._parameters(rows)))

    def delete(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Remove."""
        return set(connection.scalars(self._delete, self._parameters(rows)))
