"""The size of the table on MySQL and MariaDB, and the server's connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, text

from sessionstore_sql.sql.dialects.storage import Connections, Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table

_STORAGE = text("""
    SELECT data_length AS table_bytes, index_length AS index_bytes, data_free AS reusable_bytes
    FROM information_schema.tables
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
""").columns(table_bytes=BigInteger, index_bytes=BigInteger, reusable_bytes=BigInteger)

_CONNECTIONS = text("""
    SHOW GLOBAL STATUS WHERE variable_name IN
    ('Threads_connected', 'Threads_running', 'Innodb_row_lock_current_waits')
""")
_LIMIT = text("SELECT @@GLOBAL.max_connections")


def storage(connection: Connection, table: Table) -> Storage:
    """Return sizes from information_schema, which are estimates of the server."""
    with _fresh_values(connection):
        names = {"schema": table.schema, "table": table.name}
        found = connection.execute(_STORAGE, names).one()
    return Storage(
        table_bytes=found.table_bytes,
        index_bytes=found.index_bytes,
        reusable_bytes=found.reusable_bytes,
    )


def connections(connection: Connection) -> Connections:
    """Return the number of connections of all clients. Any user may read these counters."""
    rows: Any = connection.execute(_CONNECTIONS).all()
    counters = dict(rows)
    connected = int(counters["Threads_connected"])
    return Connections(
        open=connected,
        limit=int(connection.execute(_LIMIT).scalar_one()),
        # MySQL 9.7 also counts threads of its own that run, such as the event scheduler.
        active=min(int(counters["Threads_running"]), connected),
        waiting=int(counters["Innodb_row_lock_current_waits"]),
    )


@contextmanager
def _fresh_values(connection: Connection) -> Iterator[None]:
    """Have MySQL 8 and 9 determine the values now: otherwise they can be a day old."""
    if getattr(connection.dialect, "is_mariadb", False):
        yield
        return
    before = connection.execute(text("SELECT @@information_schema_stats_expiry")).scalar_one()
    setting = text("SET SESSION information_schema_stats_expiry = :seconds")
    connection.execute(setting, {"seconds": 0})
    try:
        yield
    finally:
        connection.execute(setting, {"seconds": before})
