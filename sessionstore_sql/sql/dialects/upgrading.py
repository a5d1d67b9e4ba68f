"""The lock that lets one process at a time migrate a table (hazard L3): what databases share.

Alembic has no lock of its own: two processes read the same revision, and the second fails on what
the first has made. So each takes the database's lock before Alembic looks.

The wait is a series of short questions instead of a long one: no timeout of a client cuts it
short, a cancelled task leaves at once, and no snapshot is held meanwhile.
"""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_log = logging.getLogger("sessionstore_sql.migrate")

WAIT_S = 600
"""Seconds that an upgrade waits for another one, and for each lock of its own statements."""

_SILENT_S = 1
"""Seconds of waiting before it is logged: upgrades that start together meet for a moment."""
_REPORT_EVERY_S = 15


class Wait:
    """The wait of one upgrade for another one: it is bounded, and logged."""

    def __init__(self, place: str, limit_s: float) -> None:
        """Wait for the lock of the table ``place``, for ``limit_s`` seconds at most."""
        self._place = place
        self.limit_s = limit_s
        self._began = monotonic()
        self._next_report_s: float = _SILENT_S

    @property
    def lock_timeout_s(self) -> int:
        """Return the limit as servers take it for locks: whole seconds, at least one."""
        return max(1, math.ceil(self.limit_s))

    @property
    def is_reported(self) -> bool:
        """Whether ``again`` will report, and needs to know who holds the lock."""
        waited = monotonic() - self._began
        return waited >= min(self._next_report_s, self.limit_s)

    def again(self, holder: str | None = None) -> None:
        """Go on after an attempt in vain.

        Args:
            holder: The connection that holds the lock, and how to end it; ``None``: unknown.

        Raises:
            DatabaseError: The limit has passed. It is ``transient``.
        """
        waited = monotonic() - self._began
        held = "" if holder is None else f": it is held by {holder}"
        if waited >= self._next_report_s:
            _log.warning(
                "waiting for the lock of another upgrade of %s since %.0f s, and for at most "
                "%.0f s more%s",
                self._place,
                waited,
                max(self.limit_s - waited, 0),
                held,
            )
            self._next_report_s = waited + _REPORT_EVERY_S
        if waited >= self.limit_s:
            raise DatabaseError(
                f"gave up after waiting {waited:.0f} s for the lock of another upgrade of "
                f"{self._place}{held}",
                transient=True,
            )


class Settle:
    """Ends the transaction that SQLAlchemy has begun by itself; never one of the caller's."""

    def __init__(self, connection: Connection, *, begun: bool) -> None:
        self._connection = connection
        self._begun = begun

    def __call__(self, *, discard: bool = False) -> None:
        """Commit, or roll back with ``discard``."""
        if self._begun:
            return
        if discard:
            self._connection.rollback()
        else:
            self._connection.commit()


@contextmanager
def transactions(connection: Connection) -> Iterator[Settle]:
    """Make an autocommitting connection transactional, so that a revision is applied or not.

    Unless a block of the caller's has begun on it: then every statement commits, and a revision
    that stops half-way is resumed by the next upgrade.
    """
    autocommit = is_autocommit(connection)
    begun = connection.in_transaction()
    if autocommit and not begun:
        connection.execution_options(isolation_level="READ COMMITTED")
    try:
        yield Settle(connection, begun=begun)
    finally:
        if autocommit and not begun and not connection.invalidated:
            connection.execution_options(isolation_level="AUTOCOMMIT")


def in_transaction(connection: Connection) -> bool:
    """Return whether a transaction is open that someone else will commit."""
    return connection.in_transaction() and not is_autocommit(connection)
