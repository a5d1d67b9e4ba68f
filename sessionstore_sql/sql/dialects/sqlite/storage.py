"""The size of the database on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.sql.dialects.storage import Storage

if TYPE_CHECKING:
    from sqlalchemy import Connection


def storage(connection: Connection) -> Storage:
    """Return the size of the file, with every table in it.

    The virtual table dbstat could tell the table from its index. But it reads every page of the
    file, and not every build of SQLite has it.
    """
    page = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return Storage(file_bytes=pages * page, reusable_bytes=free * page)
