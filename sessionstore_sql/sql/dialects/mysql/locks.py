"""Locks by name on MySQL and MariaDB. They belong to a connection, whatever it commits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, literal, select, text
from sqlalchemy.exc import DBAPIError

from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Executable, Table

_SILENCE_S = 60
"""Seconds of silence after which the server closes a connection that holds the lock."""


class PurgeLock(NamedTuple):
    """The statements of the lock that exclusive purges of one table take."""

    take: Executable
    """Returns 1, or 0 at once while another connection has the lock."""
    guard: Executable
    """Executed next: has the server release the lock soon if the client vanishes."""
    release: Executable
    unguard: Executable
    """Executed last: restores the connection's settings."""


def purge_lock(table: Table) -> PurgeLock:
    """Return the lock for purges of ``table``."""
    # The name is one of the whole server, and has 64 characters at most. The digest tells
    # databases and tables apart.
    database = func.database() if table.schema is None else literal(table.schema)
    place = func.concat(database, ".", table.name)
    name = func.concat("sessionstore_purge_", func.left(func.sha2(place, 256), 32))
    return PurgeLock(
        take=select(func.get_lock(name, 0)),
        # A machine that loses power does not close its connections. The server would keep the lock
        # of such a connection for its wait_timeout, which is 8 hours.
        guard=text(
            "SET @sessionstore_wait_timeout = @@SESSION.wait_timeout,"
            f" SESSION wait_timeout = {_SILENCE_S}"
        ),
        release=select(func.release_lock(name)),
        unguard=text("SET SESSION wait_timeout = @sessionstore_wait_timeout"),
    )


@contextmanager
def holding(
    lock: PurgeLock, connection: Connection, is_unsupported: Callable[[BaseException], bool]
) -> Iterator[bool]:
    """Hold ``lock`` while the context lasts, and give whether it was free.

    Where the server has no such lock, as some Galera clusters, nothing is held, and it counts as
    free.

    Args:
        lock: The lock.
        connection: The connection that purges.
        is_unsupported: Whether a driver's error means that the server has no such lock.
    """
    is_free = _take(lock, connection, is_unsupported)
    if not is_free:
        yield is_free is None
        return
    try:
        connection.execute(lock.guard)
        yield True
        if not is_autocommit(connection):
            # Otherwise the next purge would find these rows locked, and take others.
            connection.commit()
    finally:
        _release(lock, connection)


def _take(
    lock: PurgeLock, connection: Connection, is_unsupported: Callable[[BaseException], bool]
) -> bool | None:
    """Return whether the lock was free. ``None``: the server has no such lock."""
    try:
        return bool(connection.execute(lock.take).scalar_one())
    except DBAPIError as error:
        if not is_unsupported(error.orig or error):
            raise
        return None


def _release(lock: PurgeLock, connection: Connection) -> None:
    if connection.invalidated:  # it is closed, which released the lock
        return
    try:
        connection.execute(lock.release)
        connection.execute(lock.unguard)
    except Exception:
        # In the pool, an idle connection would keep the lock.
        connection.invalidate()
        raise
