"""Purging on MySQL and MariaDB: choose without locks, then delete by key (hazard M7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData

from sessionstore_sql.dialects.mysql_texts import BY_KEY, markers, names, with_long_values
from sessionstore_sql.dialects.purging import oldest_expired, purge_parameters
from sessionstore_sql.dialects.sending import change_text, fetch_text
from sessionstore_sql.schema import split_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

LARGEST_PURGE = 1_000
"""Rows: as many keys are chosen at once."""

LARGEST_PART = 125
"""Rows, deleted at once: a few milliseconds, of the server and of this process. From 1,000 keys on,
MariaDB makes a join of the list, and may scan the table for it."""


class PurgeByKey:
    """``KeyedPurge``; its texts hold names and markers, as those of the batches do."""

    largest_part = LARGEST_PART

    def __init__(self, table: Table) -> None:
        self._table = table

    def choose(self, connection: Connection, limit: int) -> Sequence[bytes]:
        """Return the keys of the oldest expired rows, in one value: rows cost the drivers more."""
        schema = connection.schema_for_object(self._table)
        table = self._table.to_metadata(
            MetaData(),
            schema=schema or None,  # type: ignore[arg-type]  # None is no schema
        )
        oldest: Any = oldest_expired(table).compile(dialect=connection.dialect)
        text = with_long_values(
            connection, f"GROUP_CONCAT(id SEPARATOR '') FROM ({oldest}) AS oldest"
        )
        bounds = purge_parameters(limit)
        bound = tuple(bounds[parameter] for parameter in oldest.positiontup)
        ((value,),) = fetch_text(connection, text, bound)
        # Where even the longest value was cut off, what came is whole keys and a piece.
        return split_keys(bytes(value or b""))

    def remove(self, connection: Connection, keys: Sequence[bytes]) -> int:
        """Delete those that are expired and that nobody has locked; return how many.

        A DELETE of a join in a fixed order: MySQL refuses LIMIT and SKIP LOCKED in an IN (error
        1235), and in no fixed order the optimizer may scan the table and lock what it passes. The
        LIMIT limits nothing, but keeps MySQL 9.7 from merging the derived table into the DELETE:
        for a single key it would then read the row as a constant, and wait for its lock after all.
        """
        name, clock = names(self._table, connection)
        unlocked = (
            f"SELECT id FROM {name} {BY_KEY} WHERE id IN ({markers(keys)}) AND deadline <= {clock} "
            f"LIMIT {LARGEST_PART} FOR UPDATE SKIP LOCKED"
        )
        text = (
            f"DELETE {name} FROM ({unlocked}) AS chosen STRAIGHT_JOIN {name} {BY_KEY} "
            f"ON {name}.id = chosen.id WHERE {name}.deadline <= {clock}"
        )
        return change_text(connection, text, tuple([key.hex() for key in keys]))
