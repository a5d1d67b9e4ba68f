"""The purge on MySQL and MariaDB: choose keys without a lock, then delete by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData

from sessionstore_sql.schema import split_keys
from sessionstore_sql.sql.compiled import change_text, fetch_text
from sessionstore_sql.sql.dialects.base import Removed
from sessionstore_sql.sql.dialects.clauses import oldest_expired, purge_parameters
from sessionstore_sql.sql.dialects.mysql.errors import is_unsupported
from sessionstore_sql.sql.dialects.mysql.locks import holding, purge_lock
from sessionstore_sql.sql.dialects.mysql.texts import (
    BY_KEY,
    markers,
    names,
    of_safe_updates,
    with_long_values,
)
from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

    from sessionstore_sql.sql.dialects.base import Purge

LARGEST_PART = 125
"""Maximum number of rows that one statement deletes: a few milliseconds of the server and of this
process. From 1,000 keys on, MariaDB makes a join of the list, and may scan the table for it."""


class PurgerByKey:
    """A ``Purger`` whose steps are two statements.

    Choosing reads without locks. Deleting by key locks only the rows that are deleted, in the order
    in which updates lock them, and skips rows that are locked. One statement for both would lock
    rows by the index on the bucket first, and so deadlock with updates.
    """

    largest_step = 1_000
    """As many keys are chosen at once."""

    largest_part = LARGEST_PART

    def __init__(self, table: Table) -> None:
        self._table = table
        self.lock = purge_lock(table)

    def begin(self) -> Purge:
        """Return a new purge."""
        return PurgeByKey(self)

    def choose(self, connection: Connection, limit: int) -> Sequence[bytes]:
        """Return the keys of the oldest expired rows. It locks none of them.

        They come in one value, as each row costs the drivers more.
        """
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
        # If even the longest value was cut off, it is whole keys and a piece.
        return split_keys(bytes(value or b""))

    def remove(self, connection: Connection, keys: Sequence[bytes]) -> int:
        """Delete those rows that are expired and not locked; return how many.

        It is a DELETE of a join in a fixed order. MySQL does not allow LIMIT or SKIP LOCKED inside
        IN (error 1235), and without a fixed order the optimizer may scan the table and lock what it
        reads. The LIMIT limits nothing, but keeps MySQL 9.7 from merging the derived table into the
        DELETE: for a single key it would then read the row as a constant, and wait for its lock.
        """
        name, clock = names(self._table, connection)
        # Not the name of the table, which is named beside it.
        chosen = connection.dialect.identifier_preparer.quote(f"{self._table.name}_chosen")
        unlocked = (
            f"SELECT id FROM {name} {BY_KEY} WHERE id IN ({markers(keys)}) AND deadline <= {clock} "
            f"LIMIT {LARGEST_PART} FOR UPDATE SKIP LOCKED"
        )
        text = of_safe_updates(
            connection,
            f"DELETE {name} FROM ({unlocked}) AS {chosen} STRAIGHT_JOIN {name} {BY_KEY} "
            f"ON {name}.id = {chosen}.id WHERE {name}.deadline <= {clock}",
        )
        return change_text(connection, text, tuple([key.hex() for key in keys]))


class PurgeByKey:
    """A ``Purge`` that remembers which keys it has chosen."""

    def __init__(self, purger: PurgerByKey) -> None:
        self._purger = purger
        self._chosen: list[bytes] = []
        """Keys still to be removed."""
        self._is_all = False
        """Whether there was nothing else to choose."""
        self._removed = 0
        """Rows that the present step has removed."""
        self._tried: set[bytes] = set()
        """Keys of parts that could not be removed completely, as rows were locked."""

    def step(
        self, connection: Connection, limit: int, *, exclusively: bool = False
    ) -> Removed | None:
        """Remove at most ``limit`` expired rows, oldest first, in parts."""
        if not exclusively:
            return self._remove(connection, limit)
        with holding(self._purger.lock, connection, is_unsupported) as has_lock:
            return self._remove_parts(connection, limit) if has_lock else None

    def _remove_parts(self, connection: Connection, limit: int) -> Removed:
        """Remove all that is wanted, part by part, each committed by itself.

        Taking the lock and giving it back are four statements, as many as a part of the purge costs
        on an idle server. So they are sent once for all parts.
        """
        while True:
            done = self._remove(connection, limit - self._removed)
            if not is_autocommit(connection):
                connection.commit()
            # Kept if the next part fails, and this is called again.
            self._removed += done.rows
            if done.is_last or not self._chosen or self._removed >= limit:
                rows, self._removed = self._removed, 0
                return Removed(rows, is_last=done.is_last)

    def _remove(self, connection: Connection, limit: int) -> Removed:
        if not self._chosen:
            self._choose(connection, limit)
        part = self._chosen[: self._purger.largest_part]
        count = self._purger.remove(connection, part) if part else 0
        if count < len(part):
            self._tried.update(part)
        # After the statement: if it fails, the next step tries these keys again.
        del self._chosen[: len(part)]
        return Removed(count, is_last=not part or (self._is_all and not self._chosen))

    def _choose(self, connection: Connection, limit: int) -> None:
        wanted = limit + len(self._tried)
        found = self._purger.choose(connection, wanted)
        untried = [key for key in found if key not in self._tried]
        self._chosen = sorted(untried[:limit])
        self._is_all = len(found) < wanted and len(untried) <= limit
