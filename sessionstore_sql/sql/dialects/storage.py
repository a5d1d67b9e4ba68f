"""What a database reports about the space of a table, and about its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuum:
    """How far vacuum keeps up with the table on PostgreSQL.

    Attributes:
        dead_rows: The number of row versions that vacuum can remove, as the server counts them.
        since_last: The time since the last vacuum or autovacuum. ``None``: never, or the server's
            counters were reset since.
        hot_updates: The share of updates, 0 to 1, that left the indexes unchanged. ``None``: there
            were no updates.
    """

    dead_rows: int
    since_last: timedelta | None
    hot_updates: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The space that a table uses. An attribute is ``None`` if the database does not report it.

    Attributes:
        table_bytes: The rows, including states that are stored outside of them.
        index_bytes: The indexes. On MySQL and MariaDB without the primary key, which contains the
            rows.
        file_bytes: The whole database file on SQLite, including other tables.
        reusable_bytes: The part of these that is free for new rows. It is not returned to the file
            system.
        vacuum: How far vacuum keeps up. PostgreSQL only.
    """

    table_bytes: int | None = None
    index_bytes: int | None = None
    file_bytes: int | None = None
    reusable_bytes: int | None = None
    vacuum: Vacuum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """The connections of all clients to a database server.

    Attributes:
        open: The number of connections.
        limit: The maximum number that the server accepts.
        active: The number that are executing a statement. On PostgreSQL, a user who is not a member
            of ``pg_read_all_stats`` only sees connections of the same user as active.
        waiting: The number that wait for a lock. The same restriction applies.
    """

    open: int
    limit: int
    active: int
    waiting: int
