"""Upgrades of a table on PostgreSQL take turns by an advisory lock.

A pooler in transaction mode, such as PgBouncer, hands a connection of the server to the next
client as soon as a transaction ends. What outlives a transaction would stay there: a lock of the
session would never be released, and the pool's other clients would get our timeouts. So behind a
pooler, lock, settings and migration are all part of one transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sessionstore_sql.sql.dialects.upgrading import Settle, in_transaction, transactions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from sessionstore_sql.sql.dialects.upgrading import Wait

_POLL_S = 0.1

_TRY_IN_TRANSACTION = text("SELECT pg_try_advisory_xact_lock(:key)")
_TRY_IN_SESSION = text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = text("SELECT pg_advisory_unlock(:key)")
_SLEEP = text(f"SELECT pg_sleep({_POLL_S})")

# Servers before 17 have no transaction_timeout.
_TIMEOUTS = text("""
    SELECT name, setting FROM pg_settings
    WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout',
                   'idle_in_transaction_session_timeout')
""")
_SET_TIMEOUTS = text("""
    SELECT set_config(name, setting, :local)
    FROM unnest(CAST(:names AS text[]), CAST(:settings AS text[])) AS given (name, setting)
""")

_HOLDER = text("""
    SELECT l.pid, a.application_name, host(a.client_addr)
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = :key
""")


def upgrading(connection: Connection, key: bytes, wait: Wait) -> AbstractContextManager[None]:
    """Hold the lock while the context lasts."""
    number = int.from_bytes(key[:8], "big", signed=True)
    if in_transaction(connection):
        return _in_transaction_of_caller(connection, number, wait)
    if _is_pooled(connection):
        return _in_one_transaction(connection, number, wait)
    return _in_session(connection, number, wait)


def _is_pooled(connection: Connection) -> bool:
    """Return whether the client and the server disagree about which process serves it.

    The number that the client has been told is then that of a pooler, which makes one up, as it is
    needed to cancel statements whatever connection of the server they run on. A driver that does
    not show the number may be connected to a pooler.
    """
    settle = Settle(connection, begun=connection.in_transaction())
    serving = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    settle(discard=True)
    return bool(serving != _announced_pid(connection))


def _announced_pid(connection: Connection) -> int | None:
    driver_connection: Any = connection.connection.driver_connection
    if hasattr(driver_connection, "get_server_pid"):  # asyncpg
        return int(driver_connection.get_server_pid())
    # psycopg, and psycopg2
    return getattr(getattr(driver_connection, "info", None), "backend_pid", None)


@contextmanager
def _in_transaction_of_caller(connection: Connection, number: int, wait: Wait) -> Iterator[None]:
    timeouts = _lift_timeouts(connection, wait, local=True)
    while not connection.execute(_TRY_IN_TRANSACTION, {"key": number}).scalar_one():
        _wait(connection, number, wait)
    yield
    # Not in a finally: an error may have aborted the transaction, whose end puts it all back.
    _set_timeouts(connection, timeouts, local=True)


@contextmanager
def _in_one_transaction(connection: Connection, number: int, wait: Wait) -> Iterator[None]:
    with _transaction(connection) as settle:
        try:
            while True:
                _lift_timeouts(connection, wait, local=True)
                if connection.execute(_TRY_IN_TRANSACTION, {"key": number}).scalar_one():
                    break
                _wait(connection, number, wait)
                settle(discard=True)  # the pool's other clients can have the connection
            yield
        except BaseException:
            if not connection.invalidated:
                settle(discard=True)
            raise
        settle()


@contextmanager
def _transaction(connection: Connection) -> Iterator[Settle]:
    """Have the next statement begin a transaction that is ours to end."""
    if not connection.in_transaction():
        with transactions(connection) as settle:
            yield settle
        return
    # SQLAlchemy has begun a transaction, but the driver commits every statement.
    driver_connection = connection.connection.dbapi_connection
    assert driver_connection is not None
    connection.dialect.set_isolation_level(driver_connection, "READ COMMITTED")
    try:
        yield _SettleInDriver(connection, begun=False)
    finally:
        if not connection.invalidated:
            connection.dialect.set_isolation_level(driver_connection, "AUTOCOMMIT")


class _SettleInDriver(Settle):
    """Ends a transaction that only the driver knows."""

    def __call__(self, *, discard: bool = False) -> None:
        """Commit, or roll back with ``discard``."""
        dialect = self._connection.dialect
        (dialect.do_rollback if discard else dialect.do_commit)(self._connection.connection)


@contextmanager
def _in_session(connection: Connection, number: int, wait: Wait) -> Iterator[None]:
    # A session's lock: a transaction's would be lost where a revision has to commit in between,
    # as for CREATE INDEX CONCURRENTLY.
    with transactions(connection) as settle:
        timeouts = _lift_timeouts(connection, wait, local=False)
        locked = False
        try:
            settle()
            while not connection.execute(_TRY_IN_SESSION, {"key": number}).scalar_one():
                _wait(connection, number, wait)
                settle()
            locked = True
            settle()
            yield
        finally:
            if not connection.invalidated:
                settle(discard=True)
                if locked:
                    connection.execute(_UNLOCK, {"key": number})
                _set_timeouts(connection, timeouts, local=False)
                settle()


def _wait(connection: Connection, number: int, wait: Wait) -> None:
    wait.again(_holder(connection, number) if wait.is_reported else None)
    connection.execute(_SLEEP)


def _holder(connection: Connection, number: int) -> str | None:
    found = connection.execute(_HOLDER, {"key": number}).first()
    if found is None:
        return None
    pid, application, address = found
    parts = [f"process {pid}", *([application] if application else []), address or "local"]
    return (
        f"{', '.join(parts)}. If no upgrade runs there, end it: SELECT pg_terminate_backend({pid})"
    )


def _lift_timeouts(connection: Connection, wait: Wait, *, local: bool) -> dict[str, str]:
    """Set the timeouts of a migration, and return what they were.

    Its statements may take as long as they need, but wait for locks as long as for the upgrade.
    """
    timeouts = {str(name): str(setting) for name, setting in connection.execute(_TIMEOUTS)}
    lifted = {**dict.fromkeys(timeouts, "0"), "lock_timeout": f"{wait.lock_timeout_s}s"}
    _set_timeouts(connection, lifted, local=local)
    return timeouts


def _set_timeouts(connection: Connection, timeouts: dict[str, str], *, local: bool) -> None:
    given = {"names": list(timeouts), "settings": list(timeouts.values())}
    connection.execute(_SET_TIMEOUTS, {**given, "local": local})
