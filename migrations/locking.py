"""Upgrades that start together queue up (hazard L3).

Alembic has no lock of its own: two processes read the same revision, and the second fails on
what the first has made. So each takes the database's lock before Alembic looks.

The wait is a series of short questions and not one long one: no timeout of a client cuts it
short, a cancelled task leaves at once, and no snapshot is held meanwhile.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sessionstore_sql.dialects import Failure, dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, TextClause

_POSTGRESQL_POLL_S = 0.1
_MYSQL_POLL_S = 1
_SQLITE_POLL_MS = 1_000

_YEAR_S = 31_536_000
"""The most that MySQL's lock_wait_timeout takes; a 0 would not lift it, but not wait at all."""


def queue(connection: Connection, table: str, schema: str | None) -> AbstractContextManager[None]:
    """Hold the lock for migrations of ``table`` while the context lasts.

    Waits as long as it takes. For the duration, the server's timeouts for locks and statements
    are lifted on this connection; they are put back after, and the lock is released, on errors
    too. A connection that was lost has taken its lock and its settings along.

    Where a transaction is open already, the migration becomes part of it, and on PostgreSQL and
    SQLite the lock is held until it ends. MySQL and MariaDB commit at every statement of DDL: what
    the transaction held is committed before the migration, and the migration after.
    """
    place = f"{schema or connection.dialect.default_schema_name}.{table}"
    key = hashlib.sha256(place.encode()).digest()
    return _QUEUES[connection.dialect.name](connection, key)


def _postgresql(connection: Connection, key: bytes) -> AbstractContextManager[None]:
    number = int.from_bytes(key[:8], "big", signed=True)
    if _in_transaction(connection):
        return _postgresql_in_transaction(connection, number)
    return _postgresql_in_session(connection, number)


@contextmanager
def _postgresql_in_transaction(connection: Connection, number: int) -> Iterator[None]:
    timeouts = _lift_postgresql_timeouts(connection, local=True)
    _wait_on_postgresql(connection, text("SELECT pg_try_advisory_xact_lock(:key)"), number)
    yield
    # Not in a finally: an error may have aborted the transaction, whose end puts it all back.
    _set_postgresql_timeouts(connection, timeouts, local=True)


@contextmanager
def _postgresql_in_session(connection: Connection, number: int) -> Iterator[None]:
    # A session's lock: a transaction's would be lost where a revision has to commit in between,
    # as for CREATE INDEX CONCURRENTLY.
    with _transactions(connection) as settle:
        timeouts = _lift_postgresql_timeouts(connection, local=False)
        locked = False
        try:
            settle()
            _wait_on_postgresql(connection, text("SELECT pg_try_advisory_lock(:key)"), number)
            locked = True
            settle()
            yield
        finally:
            if not connection.invalidated:
                settle(discard=True)
                if locked:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": number})
                _set_postgresql_timeouts(connection, timeouts, local=False)
                settle()


@contextmanager
def _transactions(connection: Connection) -> Iterator[_Settle]:
    """Make an autocommitting connection transactional, so that a revision is applied or not.

    Unless a block of the caller's has begun on it: then every statement commits, and a revision
    that stops half-way is resumed by the next upgrade.
    """
    autocommit = _is_autocommit(connection)
    begun = connection.in_transaction()
    if autocommit and not begun:
        connection.execution_options(isolation_level="READ COMMITTED")
    try:
        yield _Settle(connection, begun=begun)
    finally:
        if autocommit and not begun and not connection.invalidated:
            connection.execution_options(isolation_level="AUTOCOMMIT")


class _Settle:
    """Ends the transaction that SQLAlchemy has begun by itself; never one of the caller's."""

    def __init__(self, connection: Connection, *, begun: bool) -> None:
        self._connection = connection
        self._begun = begun

    def __call__(self, *, discard: bool = False) -> None:
        if self._begun:
            return
        if discard:
            self._connection.rollback()
        else:
            self._connection.commit()


def _lift_postgresql_timeouts(connection: Connection, *, local: bool) -> tuple[str, str]:
    """Lift what a connection of the store's engine limits, and return what it was."""
    settings = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    lock, statement = connection.execute(text(settings)).one()
    _set_postgresql_timeouts(connection, ("0", "0"), local=local)
    return lock, statement


def _set_postgresql_timeouts(
    connection: Connection, timeouts: tuple[str, str], *, local: bool
) -> None:
    connection.execute(
        text(
            "SELECT set_config('lock_timeout', :lock, :local),"
            " set_config('statement_timeout', :statement, :local)"
        ),
        {"lock": timeouts[0], "statement": timeouts[1], "local": local},
    )


def _wait_on_postgresql(connection: Connection, attempt: TextClause, number: int) -> None:
    while not connection.execute(attempt, {"key": number}).scalar_one():
        connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": _POSTGRESQL_POLL_S})


@contextmanager
def _mysql(connection: Connection, key: bytes) -> Iterator[None]:
    # The name is the server's, not the database's: the key tells databases apart.
    name = {"name": f"sessionstore_{key.hex()[:32]}"}
    in_transaction = _in_transaction(connection)
    settle = _Settle(connection, begun=connection.in_transaction())
    timeouts = _lift_mysql_timeouts(connection)
    locked = False
    try:
        _wait_on_mysql(connection, name)
        locked = True
        _commit_on_mysql(connection, in_transaction=in_transaction)
        settle()
        yield
        _commit_on_mysql(connection, in_transaction=in_transaction)
    finally:
        if not connection.invalidated:
            settle(discard=True)
            if locked:
                connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
            _set_mysql_timeouts(connection, timeouts)
            settle()


def _lift_mysql_timeouts(connection: Connection) -> dict[str, Any]:
    """Lift what a connection of the store's engine limits, and return what it was."""
    mariadb = getattr(connection.dialect, "is_mariadb", False)
    lifted = {
        "lock_wait_timeout": _YEAR_S,
        "innodb_lock_wait_timeout": _YEAR_S,
        ("max_statement_time" if mariadb else "max_execution_time"): 0,
    }
    columns = ", ".join(f"@@SESSION.{name}" for name in lifted)
    before = connection.execute(text(f"SELECT {columns}")).one()
    _set_mysql_timeouts(connection, lifted)
    return dict(zip(lifted, before, strict=True))


def _set_mysql_timeouts(connection: Connection, timeouts: dict[str, Any]) -> None:
    assignments = ", ".join(f"SESSION {name} = :{name}" for name in timeouts)
    connection.execute(text(f"SET {assignments}"), timeouts)


def _wait_on_mysql(connection: Connection, name: dict[str, str]) -> None:
    attempt = text(f"SELECT GET_LOCK(:name, {_MYSQL_POLL_S})")
    while (answer := connection.execute(attempt, name).scalar_one()) != 1:
        if answer is None:  # and not 0, which is a wait in vain
            raise CommandError("the server gave no lock for the migration: GET_LOCK failed")


def _commit_on_mysql(connection: Connection, *, in_transaction: bool) -> None:
    """Commit in a transaction of the caller's without closing SQLAlchemy's idea of it.

    Before: the next statement of DDL would do so anyway, and an old snapshot would hide what the
    upgrade before this one did. After: the revision has to be seen before the lock is released.
    """
    if in_transaction:
        connection.exec_driver_sql("COMMIT")


@contextmanager
def _sqlite(connection: Connection, _key: bytes) -> Iterator[None]:
    settle = _Settle(connection, begun=connection.in_transaction())
    in_transaction = _in_transaction(connection)
    timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SQLITE_POLL_MS}")
    try:
        if in_transaction:
            _begin_on_sqlite(connection)
            yield
        else:
            with _sqlite_transaction(connection):
                yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {timeout}")
            if not in_transaction:
                settle()


@contextmanager
def _sqlite_transaction(connection: Connection) -> Iterator[None]:
    """Run the transaction by statements, as the driver's own would leave DDL out of it."""
    # sqlite3.connect(.., autocommit=False) is always in a transaction, which is not yet one for
    # writing; it expects to find one again (hazard A1).
    always_in_one = _is_begun_on_sqlite(connection)
    if always_in_one:
        connection.exec_driver_sql("ROLLBACK")
    try:
        _begin_on_sqlite(connection)
        yield
        _wait_on_sqlite(connection, "COMMIT")
    finally:
        if not connection.invalidated:
            if _is_begun_on_sqlite(connection):
                connection.exec_driver_sql("ROLLBACK")
            if always_in_one:
                connection.exec_driver_sql("BEGIN")


def _begin_on_sqlite(connection: Connection) -> None:
    if not _is_begun_on_sqlite(connection):
        _wait_on_sqlite(connection, "BEGIN IMMEDIATE")


def _wait_on_sqlite(connection: Connection, statement: str) -> None:
    classify = dialect_named(connection.dialect.name).classify
    while True:
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if error.orig is None or classify(error.orig) is not Failure.LOCKED:
                raise
        else:
            return


def _is_begun_on_sqlite(connection: Connection) -> bool:
    return bool(connection.connection.driver_connection.in_transaction)  # type: ignore[union-attr]


def _in_transaction(connection: Connection) -> bool:
    """Whether a transaction is open that someone else will commit."""
    return connection.in_transaction() and not _is_autocommit(connection)


def _is_autocommit(connection: Connection) -> bool:
    driver_connection = connection.connection.dbapi_connection
    assert driver_connection is not None
    return connection.dialect.detect_autocommit_setting(driver_connection)


_QUEUES = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "sqlite": _sqlite,
}
