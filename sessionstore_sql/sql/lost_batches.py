"""Batches whose connection was lost before they were answered.

A write that sets the version of its row can be recognised: a row that has the version was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.dialects.clauses import SessionColumns
from sessionstore_sql.sql.effects import Effect, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.operation_kinds import Runner, SessionTable


class LostBatchError(Exception):
    """The connection of a batch was lost, but some of its rows are known to be written.

    Attributes:
        error: The error of the other calls.
        answers: The answers that are known, by key.
    """

    def __init__(self, error: DatabaseError, answers: Mapping[bytes, Any]) -> None:
        self.error = error
        self.answers = answers


async def recognise(
    run: Runner,
    table: SessionTable,
    rows: Sequence[Row],
    note: Callable[[Row, SessionColumns], None],
) -> Mapping[bytes, Outcome]:
    """Return which of the rows a lost batch has written, as far as that can be found out.

    Args:
        run: Runs the query.
        table: Where the rows are.
        rows: The rows of the batch.
        note: Called with each row that was written, and what is stored in it.
    """
    batch = table.batches.load_session
    by_key = {row.new_key or row.key: row for row in rows}
    try:
        found = await run(batch, Effect.READ, list(by_key), on_line=getattr(batch, "on_line", None))
    except DatabaseError:
        return {}
    outcomes = {}
    for key, *columns in found:
        row, session = by_key[bytes(key)], SessionColumns._make(columns)
        if session.version == row.version:
            note(row, session)
            outcomes[row.key] = Outcome.DONE
    return outcomes
