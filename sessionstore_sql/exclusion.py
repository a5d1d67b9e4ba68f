"""One purge of a table at a time, from whatever machine, where the database can see to it.

It spares the database and is nothing that correctness needs: purges at once neither block each
other nor count a session twice. So a lock is never waited for, never held between two batches,
and done without where a cluster has none to give.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from sessionstore_sql.dialects import Failure
from sessionstore_sql.dialects.purging import purge_parameters
from sessionstore_sql.dialects.sending import is_autocommit
from sessionstore_sql.operations import Backlog, Operations, Purge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sessionstore_sql.dialects import Dialect
    from sessionstore_sql.dialects.base import PurgeLock


def purge_exclusively(
    operations: Operations, connection: Connection, limit: int, backlog: Backlog
) -> Purge | None:
    """Purge as ``Operations.purge`` does, unless someone else does so already: then ``None``."""
    statements = operations.statements
    if statements.purge_exclusively is not None:
        bounds = purge_parameters(limit)
        ((is_ours, removed),) = statements.purge_exclusively.rows(connection, bounds)
        return Purge(removed, is_last=removed < limit) if is_ours else None
    with _turn(connection, statements.purge_lock, operations.dialect) as is_ours:
        return operations.purge(connection, limit, backlog) if is_ours else None


@contextmanager
def _turn(connection: Connection, lock: PurgeLock | None, dialect: Dialect) -> Iterator[bool]:
    """Keep others away meanwhile; false where another one is in there."""
    taken = None if lock is None else _take(connection, lock, dialect)
    if lock is None or taken is None:
        yield True
    elif not taken:
        yield False
    else:
        try:
            connection.execute(lock.guard)
            yield True
            if not is_autocommit(connection):
                # Before the next one looks, who would find these rows locked and take others.
                connection.commit()
        finally:
            _release(connection, lock)


def _take(connection: Connection, lock: PurgeLock, dialect: Dialect) -> bool | None:
    """Return whether the lock was free; ``None`` where there is no such thing."""
    try:
        return bool(connection.execute(lock.take).scalar_one())
    except DBAPIError as error:
        if dialect.classify(error.orig or error) is not Failure.UNSUPPORTED:
            raise
        return None


def _release(connection: Connection, lock: PurgeLock) -> None:
    if connection.invalidated:  # it is closed, which released the lock
        return
    try:
        connection.execute(lock.release)
        connection.execute(lock.unguard)
    except Exception:
        # It must not go back to the pool, where the lock would be held for as long as it idles.
        connection.invalidate()
        raise
