"""Upgrades of a table on MySQL and MariaDB take turns by a lock with a name.

The lock belongs to the connection, whatever it commits, as DDL commits by itself. ProxySQL keeps a
connection of the server for a client that holds such a lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.dialects.upgrading import Settle, in_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from sessionstore_sql.sql.dialects.upgrading import Wait

_POLL_S = 1

_RELEASE = text("SELECT RELEASE_LOCK(:name)")
_HOLDER = text("SELECT IS_USED_LOCK(:name)")


@contextmanager
def upgrading(connection: Connection, key: bytes, wait: Wait) -> Iterator[None]:
    """Hold the lock while the context lasts."""
    # The name is the server's, not the database's: the key tells databases apart.
    name = {"name": f"sessionstore_{key.hex()[:32]}"}
    in_callers = in_transaction(connection)
    settle = Settle(connection, begun=connection.in_transaction())
    timeouts = _lift_timeouts(connection, wait)
    locked = False
    try:
        _take(connection, name, wait)
        locked = True
        _commit(connection, in_callers=in_callers)
        settle()
        yield
        _commit(connection, in_callers=in_callers)
    finally:
        if not connection.invalidated:
            settle(discard=True)
            if locked:
                connection.execute(_RELEASE, name)
            _set_timeouts(connection, timeouts)
            settle()


def _lift_timeouts(connection: Connection, wait: Wait) -> dict[str, Any]:
    """Set the timeouts of a migration, and return what they were.

    Its statements may take as long as they need, but wait for locks as long as for the upgrade.
    """
    mariadb = getattr(connection.dialect, "is_mariadb", False)
    lifted = {
        "lock_wait_timeout": wait.lock_timeout_s,
        "innodb_lock_wait_timeout": wait.lock_timeout_s,
        ("max_statement_time" if mariadb else "max_execution_time"): 0,
    }
    columns = ", ".join(f"@@SESSION.{name}" for name in lifted)
    before = connection.execute(text(f"SELECT {columns}")).one()
    _set_timeouts(connection, lifted)
    return dict(zip(lifted, before, strict=True))


def _set_timeouts(connection: Connection, timeouts: dict[str, Any]) -> None:
    assignments = ", ".join(f"SESSION {name} = :{name}" for name in timeouts)
    connection.execute(text(f"SET {assignments}"), timeouts)


def _take(connection: Connection, name: dict[str, str], wait: Wait) -> None:
    attempt = text(f"SELECT GET_LOCK(:name, {_POLL_S})")
    while (answer := connection.execute(attempt, name).scalar_one()) != 1:
        if answer is None:  # and not 0, which is a wait in vain
            raise DatabaseError("the server gave no lock for the migration: GET_LOCK failed")
        wait.again(_holder(connection, name) if wait.is_reported else None)


def _holder(connection: Connection, name: dict[str, str]) -> str | None:
    number = connection.execute(_HOLDER, name).scalar_one()
    if number is None:
        return None
    return f"connection {number}. If no upgrade runs there, end it: KILL {number}"


def _commit(connection: Connection, *, in_callers: bool) -> None:
    """Commit in a transaction of the caller's without closing SQLAlchemy's idea of it.

    Before: the next statement of DDL would do so anyway, and an old snapshot would hide what the
    upgrade before this one did. After: the revision has to be seen before the lock is released.
    """
    if in_callers:
        connection.exec_driver_sql("COMMIT")
