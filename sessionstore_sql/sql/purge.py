"""The purge of one table: batch after batch of expired rows, each in a transaction of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.clauses import expired_count
from sessionstore_sql.sql.effects import Effect

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.execution import Executor

_UNLIMITED_STEP = 1_000
"""Maximum number of rows that one step removes where the caller set no limit."""


class TablePurger:
    """Counts and removes the expired rows of one table."""

    def __init__(self, dialect: Dialect, table: Table) -> None:
        self._purger = dialect.purger(table)
        self._count = CompiledStatement(expired_count(table), dialect.sender)

    def count_expired(self, connection: Connection) -> int:
        """Return how many rows are expired."""
        return int(self._count.rows(connection, {})[0][0])

    async def delete_expired(
        self, executor: Executor, batch_size: int | None, *, exclusively: bool = False
    ) -> int | None:
        """Remove expired rows, oldest first, in steps that are committed and retried one by one.

        Args:
            executor: Runs each step.
            batch_size: The number of rows after which to stop. ``None``: remove all.
            exclusively: Stop where another exclusive purge of the table runs.

        Returns:
            How many rows were removed. ``None``: none, as another exclusive purge runs.
        """
        purge, removed = self._purger.begin(), 0
        async with executor.call() as run:
            while batch_size is None or removed < batch_size:
                wanted = _UNLIMITED_STEP if batch_size is None else batch_size - removed
                limit = min(wanted, self._purger.largest_step)
                step = partial(purge.step, limit=limit, exclusively=exclusively)
                done = await run(step, Effect.REPEATABLE)
                if done is None:
                    return removed or None
                removed += done.rows
                if executor.observer is not None:
                    executor.observer.purged(done.rows)
                if done.is_last:
                    break
        return removed
