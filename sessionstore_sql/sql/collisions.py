"""What an operation does if the key that its row would get is taken.

A live session keeps its key. The row of an expired session is replaced or removed, by a statement
of its own where the database has none that does both.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.sql.dialects.base import ANY_VERSION
from sessionstore_sql.sql.direct import is_autocommit
from sessionstore_sql.sql.effects import Outcome

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.operation_kinds import SessionTable, Write

_MAX_COLLISIONS = 10
"""Maximum number of times that a call finds its key taken by a row that is gone a moment later."""


def is_duplicate(error: IntegrityError, dialect: Dialect) -> bool:
    """Whether ``error`` means that a row with the key already exists."""
    return dialect.classify(error.orig or error) is Failure.DUPLICATE_KEY


def write_in_steps(
    connection: Connection, table: SessionTable, operation: Write, row: Row
) -> Outcome:
    """Write a row whose key may be taken, if necessary in several statements.

    A row that an earlier attempt of this call has written already is not written again.

    Raises:
        DatabaseError: The key was taken and free again too often.
    """
    assert operation.if_taken is not None
    for _ in range(_MAX_COLLISIONS):
        count = _count_unless_taken(connection, table, operation, row)
        if count is not None:
            return Outcome.DONE if count else operation.outcome_unchanged(connection, table, row)
        outcome = operation.if_taken(connection, table, row)
        if outcome is not None:
            return outcome
    raise DatabaseError(
        "the id is taken by a session that kept appearing and vanishing, or that this "
        "transaction cannot see; try again",
        transient=True,
    )


def replace_expired(connection: Connection, table: SessionTable, row: Row) -> Outcome | None:
    """Replace the row that has the key, if it is expired; ``None`` if it is gone meanwhile."""
    content = {"key": row.key, "ttl": row.ttl, "state": row.state, "version": row.version}
    if table.statements.replace_expired.count(connection, content):
        return Outcome.DONE
    return Outcome.DUPLICATE if is_live(connection, table, row.key) else None


def remove_expired(connection: Connection, table: SessionTable, row: Row) -> Outcome | None:
    """Remove the row that has the new key, if it is expired; ``None`` if the key is free now."""
    if table.statements.delete_if_expired.count(connection, {"key": row.new_key}):
        return None
    return Outcome.DUPLICATE if is_live(connection, table, row.new_key) else None


def remove_expired_unless_own(
    connection: Connection, table: SessionTable, row: Row
) -> Outcome | None:
    """Do the same, unless an earlier attempt of this call has given its row the new key."""
    if is_own(connection, table, row):
        return Outcome.DONE
    return remove_expired(connection, table, row)


def discard(connection: Connection, table: SessionTable, row: Row) -> Outcome:
    """Remove the row of a session that was expired when it was to be deleted.

    On PostgreSQL, an ``update_ttl`` may have begun before the deadline, and be waiting for the row.
    It would extend a session that the user has logged out of. A session that another call has given
    the key meanwhile is not removed, unless it is deleted as if it had been there before.
    """
    statements, key = table.statements, {"key": row.key}
    for _ in range(_MAX_COLLISIONS):
        found = statements.remaining.rows(connection, key)
        if not found:
            return Outcome.UNKNOWN
        remaining, created = found[0]
        if remaining <= 0:
            statements.discard_expired.count(connection, {**key, "created": created})
            return Outcome.UNKNOWN
        if statements.delete.count(connection, key):
            return Outcome.DONE
    return Outcome.UNKNOWN  # the caller's transaction reads a session that is gone


def unknown_or_conflict(connection: Connection, table: SessionTable, row: Row) -> Outcome:
    """Return why a write that may expect a version changed nothing.

    If it expects none, the id was unknown, although another call may have created it since.
    """
    if row.expected == ANY_VERSION or not is_live(connection, table, row.key):
        return Outcome.UNKNOWN
    return Outcome.CONFLICT


def own_unknown_or_conflict(connection: Connection, table: SessionTable, row: Row) -> Outcome:
    """Do the same, unless an earlier attempt of this call has given its row the new key."""
    if is_own(connection, table, row):
        return Outcome.DONE
    return unknown_or_conflict(connection, table, row)


def is_own(connection: Connection, table: SessionTable, row: Row) -> bool:
    """Whether the row that has the new key was written by an earlier attempt of this call."""
    version = {"key": row.new_key, "version": row.version}
    return bool(table.statements.lock_version.rows(connection, version))


def _count_unless_taken(
    connection: Connection, table: SessionTable, operation: Write, row: Row
) -> int | None:
    """Execute and return the count; ``None`` if the key that the row would get is taken.

    A transaction that the error would abort is kept usable by a savepoint.
    """
    statement = operation.statement(table.statements)
    aborts = table.dialect.error_aborts_transaction and not is_autocommit(connection)
    try:
        with connection.begin_nested() if aborts else nullcontext():
            return statement.count(connection, operation.parameters(row))
    except IntegrityError as error:
        if not is_duplicate(error, table.dialect):
            raise
    return None


def is_live(connection: Connection, table: SessionTable, key: bytes) -> bool:
    """Whether a live session has the key, as of now. Its row is locked."""
    return bool(table.statements.lock_live.rows(connection, {"key": key}))
