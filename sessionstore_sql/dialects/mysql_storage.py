"""The room that the table takes on MySQL and MariaDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, text

from sessionstore_sql.dialects.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table

_BOOKS = text("""
    SELECT data_length AS table_bytes, index_length AS index_bytes, data_free AS reusable_bytes
    FROM information_schema.tables
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
""").columns(table_bytes=BigInteger, index_bytes=BigInteger, reusable_bytes=BigInteger)


def storage(connection: Connection, table: Table, _rows: int) -> Storage:
    """Return what information_schema says, which is an estimate of the server's own."""
    with _fresh_books(connection):
        names = {"schema": table.schema, "table": table.name}
        books = connection.execute(_BOOKS, names).one()
    return Storage(
        table_bytes=books.table_bytes,
        index_bytes=books.index_bytes,
        reusable_bytes=books.reusable_bytes,
    )


@contextmanager
def _fresh_books(connection: Connection) -> Iterator[None]:
    """Make MySQL 8 and 9 look: information_schema is a copy there, up to a day old."""
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
