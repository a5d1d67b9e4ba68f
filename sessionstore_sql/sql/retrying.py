"""Attempts that failed: what that means, what becomes of the connection, and what is retried."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.sql.direct import invalidate_idle, invalidate_pool
from sessionstore_sql.sql.engines import url_of
from sessionstore_sql.sql.failures import classify, connect_error_without_secrets
from sessionstore_sql.sql.sockets import has_hung_up

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.sql.dialects import Dialect

MAX_ATTEMPTS = {
    Failure.ABORTED: 10,
    Failure.LOCKED: 3,
    Failure.STALE_PLAN: 3,
    Failure.UNREACHABLE: 3,
    Failure.READ_ONLY: 2,
    Failure.LOST: 2,
}
"""Maximum number of attempts that end in these failures (hazard D2). Others are not retried."""

RETRYING_S = 10
"""Seconds after the first attempt in which a further one may begin."""

INVALIDATES_CONNECTION = {
    Failure.LOST,
    Failure.UNANSWERED,
    Failure.READ_ONLY,
    Failure.UNREACHABLE,  # also reported by a Galera node that left the cluster
}
"""Failures after which the connection leaves the pool, whether SQLAlchemy invalidates it or not."""

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.01, 0.25
"""Range of the pauses before further attempts. They double, and are shortened by a random factor so
that concurrent calls do not meet again."""

RAISED_BY_DRIVERS = (SQLAlchemyError, OSError)
"""SQLAlchemy passes on OSError and TimeoutError of asyncpg as they are (hazard A3)."""


class Failed(NamedTuple):
    """How an attempt failed."""

    error: Exception
    failure: Failure
    before_sending: bool


class Diagnosis:
    """Knows what the errors of one engine mean."""

    def __init__(self, engine: AsyncEngine, dialect: Dialect, *, owns_engine: bool) -> None:
        """Judge the errors of ``engine``.

        If the store made it, every exception that is raised while connecting is a failure of the
        database.
        """
        self._engine = engine
        self._dialect = dialect
        self._owns_engine = owns_engine

    def of(self, error: Exception, *, sent: bool) -> Failed:
        """Return what ``error`` means. Raise it if it is the work's and not the database's.

        Args:
            error: The error that an attempt ended with.
            sent: Whether the attempt had a connection, and may have sent a statement.
        """
        if not isinstance(error, RAISED_BY_DRIVERS):
            if sent:
                raise error
            # SQLAlchemy 2.0 passes on asyncpg's errors of connecting as they are, with their codes.
            # SQLAlchemy 2.1 does so if asyncpg has no code for them.
            known = hasattr(error, "sqlstate") or self._dialect.is_unreachable(error)
            if not known and not self._owns_engine:
                raise error  # from an event listener or a plugin of the application's engine
            if not known:
                urls = self._engine.url, url_of(self._engine)
                error = connect_error_without_secrets(error, *urls)
        failure = classify(error, self._dialect, sent=sent)
        return Failed(error, failure, before_sending=not sent)

    def mark(self, connection: Connection, error: BaseException) -> None:
        """Have connections replaced that ``error``, raised by a statement, says are useless."""
        if not isinstance(error, RAISED_BY_DRIVERS):
            return
        failure = self.of(error, sent=True).failure
        if failure is Failure.STALE_PLAN:
            invalidate_pool(connection, error)
        elif failure in INVALIDATES_CONNECTION:
            connection.invalidate(error)


def replace_if_closed(connection: Connection, dialect: Dialect) -> None:
    """Connect anew if the server has closed the connection while it was in the pool.

    A statement that is sent on such a connection is lost, and nothing tells whether it was
    executed. So this looks at the socket first, which takes no round trip.
    """
    if dialect.socket_of is None:
        return
    descriptor = dialect.socket_of(connection.connection.driver_connection)
    if descriptor is None or not has_hung_up(descriptor, dialect.unsolicited):
        return
    invalidate_closed(connection)
    _ = connection.connection  # a new one


def invalidate_closed(connection: Connection) -> None:
    """Have a connection replaced that the server has closed, and those that are idle."""
    connection.invalidate()
    # As SQLAlchemy does when a connection is lost: the others are likely to be closed, too.
    invalidate_idle(connection.engine.pool)


def pause_s(attempts: int) -> float:
    """Return the seconds to wait after so many attempts."""
    longest = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2**attempts)
    return random.uniform(0, longest)  # noqa: S311  # spreads concurrent calls; not a secret
