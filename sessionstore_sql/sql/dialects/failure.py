"""What an error of the database means for the call that met it."""

from __future__ import annotations

import enum


class Failure(enum.Enum):
    """The meaning of an error, which decides whether the call is retried and what it reports.

    The dialects find it by the server's code. ``sql/failures.py`` adds what can be told without a
    code, and ``sql/execution.py`` retries.
    """

    DUPLICATE_KEY = enum.auto()
    """The primary key is taken. Nothing was changed."""
    ABORTED = enum.auto()
    """The server rolled back: a deadlock, or a conflict with another transaction."""
    LOCKED = enum.auto()
    """Another transaction held a lock for too long. Nothing was changed."""
    STALE_PLAN = enum.auto()
    """A prepared statement is older than a change of the schema. Nothing was executed."""
    UNREACHABLE = enum.auto()
    """There is no connection. Nothing was sent."""
    LOST = enum.auto()
    """The connection broke while a statement ran. The outcome is unknown."""
    UNANSWERED = enum.auto()
    """The server did not answer in time. The outcome is unknown."""
    READ_ONLY = enum.auto()
    """The server is a standby, or was demoted to one. Another server takes writes."""
    TIMED_OUT = enum.auto()
    """The server cancelled the statement. Nothing was changed."""
    OUT_OF_RESOURCES = enum.auto()
    """Disk or memory is full. Nothing was changed, and a later call may succeed."""
    UNSUPPORTED = enum.auto()
    """The server, or its cluster, does not have this function. Nothing was changed."""
    SCHEMA_MISSING = enum.auto()
    """The table or a column is missing: the migrations have not run."""
    DATABASE_MISSING = enum.auto()
    """The database that the URL, or the statement, names does not exist."""
    REJECTED = enum.auto()
    """A pooler rejected the client until someone changes the configuration. Nothing was changed."""
    OTHER = enum.auto()
    """Something that an operator has to change first, such as a missing privilege."""

    @property
    def unknown(self) -> bool:
        """Whether the statement may have taken effect in spite of the error."""
        return self in {Failure.LOST, Failure.UNANSWERED}

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self not in {
            Failure.DUPLICATE_KEY,
            Failure.UNSUPPORTED,
            Failure.SCHEMA_MISSING,
            Failure.DATABASE_MISSING,
            Failure.REJECTED,
            Failure.OTHER,
        }
