"""What the errors of SQLite mean: by their result code."""

from __future__ import annotations

import sqlite3

from sessionstore_sql.sql.dialects.failure import Failure

FAILURES = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Failure.DUPLICATE_KEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Failure.DUPLICATE_KEY,
    sqlite3.SQLITE_BUSY: Failure.LOCKED,
    sqlite3.SQLITE_LOCKED: Failure.LOCKED,
    sqlite3.SQLITE_FULL: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_IOERR: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_NOMEM: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_INTERRUPT: Failure.TIMED_OUT,
}
"""The meaning of each result code. An extended code that is not listed means what its primary one
does."""

_PRIMARY_CODE = 0xFF
"""The bits of an extended result code that are the primary one."""


def classify(error: BaseException) -> Failure:
    """Return what a driver's error means."""
    code = result_code_of(error)
    if code is None:
        return Failure.OTHER
    # One code stands for every mistake in a statement.
    is_missing = "no such" in str(error) or "has no column named" in str(error)
    if code == sqlite3.SQLITE_ERROR and is_missing:
        return Failure.SCHEMA_MISSING
    return FAILURES.get(code) or FAILURES.get(code & _PRIMARY_CODE, Failure.OTHER)


def result_code_of(error: BaseException) -> int | None:
    """Return the extended result code of an error."""
    return getattr(error, "sqlite_errorcode", None)
