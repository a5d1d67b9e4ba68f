"""The purge on PostgreSQL: one statement, which can be exclusive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import REGCLASS

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.base import Removed
from sessionstore_sql.sql.dialects.clauses import expired_window, is_expired, purge_parameters

if TYPE_CHECKING:
    from sqlalchemy import Connection, Delete, Executable, Table

    from sessionstore_sql.sql.dialects.base import Purge

_LOCK_CLASS = 1_936_029_811
"""The first half of the key of the advisory lock. The second half is the table's OID."""


class StatementPurger:
    """A ``Purger`` whose every step is one statement, so that it has nothing to remember."""

    largest_step = 100_000

    def __init__(self, table: Table) -> None:
        self.statement = CompiledStatement(_purge(table))
        self.exclusive_statement = CompiledStatement(_exclusive_purge(table))

    def begin(self) -> Purge:
        """Return a new purge."""
        return self

    def step(
        self, connection: Connection, limit: int, *, exclusively: bool = False
    ) -> Removed | None:
        """Remove at most ``limit`` expired rows, oldest first."""
        parameters = purge_parameters(limit)
        if not exclusively:
            count = self.statement.count(connection, parameters)
        else:
            ((has_lock, count),) = self.exclusive_statement.rows(connection, parameters)
            if not has_lock:
                return None
        return Removed(count, is_last=count < limit)


def _purge(table: Table) -> Delete:
    window = expired_window(table)
    oldest = select(window.c.id).order_by(window.c.deadline).subquery("oldest")
    row = table.alias("row")
    locked = (
        select(row.c.id)
        .where(row.c.id == oldest.c.id, is_expired(row))
        .with_for_update(skip_locked=True)
        .lateral("locked")
    )
    chosen = (
        select(locked.c.id)
        .select_from(oldest.join(locked, true()))
        .limit(bindparam("batch_size", type_=BigInteger()))
    )
    # After a lock wait, PostgreSQL evaluates only this condition again, and not the sub-select.
    return delete(table).where(
        table.c.id == any_(func.array(chosen.scalar_subquery())), is_expired(table)
    )


def _exclusive_purge(table: Table) -> Executable:
    """Return a purge that takes the lock first. It returns whether it had it, and a count.

    The lock belongs to the statement's own transaction. So it is never held for longer than the
    statement runs, also if the client dies, and it works through PgBouncer in transaction mode.
    """
    # The table that the search path leads to, whatever its schema.
    path = [each for each in (table.schema, table.name) if each is not None]
    name = ".".join('"{}"'.format(each.replace('"', '""')) for each in path)
    oid = cast(cast(literal(name, Text()), REGCLASS), Integer)
    lock = func.pg_try_advisory_xact_lock(literal_column(str(_LOCK_CLASS), Integer), oid)
    turn = select(lock.label("has_lock")).cte(f"{table.name}_turn")
    # Without the lock, no row is read or locked.
    has_lock = select(turn.c.has_lock).scalar_subquery()
    removed = (
        _purge(table).where(has_lock).returning(literal_column("1")).cte(f"{table.name}_removed")
    )
    return select(turn.c.has_lock, select(func.count()).select_from(removed).scalar_subquery())
