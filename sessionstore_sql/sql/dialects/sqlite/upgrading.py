"""Upgrades of a table on SQLite take turns by the database's one lock for writing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from sessionstore_sql.sql.dialects.failure import Failure
from sessionstore_sql.sql.dialects.sqlite.errors import classify
from sessionstore_sql.sql.dialects.upgrading import Settle, in_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sessionstore_sql.sql.dialects.upgrading import Wait

_POLL_MS = 1_000


@contextmanager
def upgrading(connection: Connection, _key: bytes, wait: Wait) -> Iterator[None]:
    """Hold the lock while the context lasts."""
    settle = Settle(connection, begun=connection.in_transaction())
    in_callers = in_transaction(connection)
    timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_POLL_MS}")
    try:
        if in_callers:
            _begin(connection, wait)
            yield
        else:
            with _transaction(connection, wait):
                yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {timeout}")
            if not in_callers:
                settle()


@contextmanager
def _transaction(connection: Connection, wait: Wait) -> Iterator[None]:
    """Run the transaction by statements, as the driver's own would leave DDL out of it."""
    # sqlite3.connect(.., autocommit=False) is always in a transaction, which is not yet one for
    # writing; it expects to find one again (hazard A1).
    always_in_one = _is_begun(connection)
    if always_in_one:
        connection.exec_driver_sql("ROLLBACK")
    try:
        _begin(connection, wait)
        yield
        _execute(connection, "COMMIT", wait)
    finally:
        if not connection.invalidated:
            if _is_begun(connection):
                connection.exec_driver_sql("ROLLBACK")
            if always_in_one:
                connection.exec_driver_sql("BEGIN")


def _begin(connection: Connection, wait: Wait) -> None:
    if not _is_begun(connection):
        _execute(connection, "BEGIN IMMEDIATE", wait)


def _execute(connection: Connection, statement: str, wait: Wait) -> None:
    while True:
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if error.orig is None or classify(error.orig) is not Failure.LOCKED:
                raise
        else:
            return
        wait.again("another connection that writes, or reads while this one commits")


def _is_begun(connection: Connection) -> bool:
    return bool(connection.connection.driver_connection.in_transaction)  # type: ignore[union-attr]
