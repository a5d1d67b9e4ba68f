"""Counts sessions and measures their size, without reading the whole table.

The functions are safe on a busy database. They lock nothing, and they mark what is estimated.

- The deadlines of 2,000 sessions and the sizes of 1,000 states are read. The sessions are chosen by
  their keys, which are digests, so the sample is random. It also gives the number of sessions.
- If that number is at most 100,000, or if you ask for exact numbers, the sessions are counted in
  the index on ``expiry_bucket``, which is far smaller than the table.
- Expired sessions are always counted in this index. There are few of them if purging works.

The engine decides how long a statement may take. An engine made by the store has a limit of
10 seconds, except on SQLite. If counting reaches the limit, the number is estimated; if measuring
states reaches it, the sizes are missing.

A row contains its deadline, but not when the session was created or last used. So there is a
distribution of the time to expiry, and none of ages.
"""

from sessionstore_sql.sql.dialects.storage import Connections, Storage, Vacuum
from sessionstore_sql.sql.survey import Count
from sessionstore_sql.statistics.collecting import collect_activity, collect_statistics
from sessionstore_sql.statistics.values import (
    Activity,
    Expiry,
    Kinds,
    Size,
    StateSizes,
    Statistics,
)

__all__ = [
    "Activity",
    "Connections",
    "Count",
    "Expiry",
    "Kinds",
    "Size",
    "StateSizes",
    "Statistics",
    "Storage",
    "Vacuum",
    "collect_activity",
    "collect_statistics",
]
