"""What a database's own books say about the room that a table takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuum:
    """How PostgreSQL's vacuum gets along with the table.

    Attributes:
        dead_rows: Versions of rows that nobody can see any more, as the server counts them along.
        since_last: How long ago the table was last vacuumed, by hand or not; ``None``: never, or
            the server's counters were reset since.
        hot_updates: The share of updates, 0 to 1, that left the indexes alone; ``None``: there
            was no update.
        bloat_bytes: What the table takes beyond what its rows need, indexes apart: an estimate
            from the sizes of 1,000 states, and rather too low than too high.
    """

    dead_rows: int
    since_last: timedelta | None
    hot_updates: float | None
    bloat_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The room that a table takes; ``None`` where the database doesn't say.

    Attributes:
        table_bytes: The rows, and the states that are too large for a row.
        index_bytes: The indexes. On MySQL and MariaDB without the primary key, which is the table.
        file_bytes: On SQLite, the file with everything in it: other tables, too.
        reusable_bytes: How much of it is free for new rows, though not given back to the file
            system.
        vacuum: On PostgreSQL only.
    """

    table_bytes: int | None = None
    index_bytes: int | None = None
    file_bytes: int | None = None
    reusable_bytes: int | None = None
    vacuum: Vacuum | None = None
