"""Running work on the caller's connection, as part of the caller's transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sessionstore_sql.sql.direct import is_autocommit
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.execution import always
from sessionstore_sql.sql.failures import classify, database_error
from sessionstore_sql.sql.retrying import RAISED_BY_DRIVERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.operation_kinds import OnLine, Result, Runner, Work
    from sessionstore_sql.telemetry import Observer


class BoundExecutor:
    """Runs work on the caller's connection, as part of the caller's transaction.

    Nothing is retried: a failure that aborts the transaction undoes the caller's statements too.
    """

    is_bound = True

    def __init__(
        self,
        connection: AsyncConnection,
        dialect: Dialect,
        table: str,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer
        self._connection = connection
        self._dialect = dialect
        self._table = table

    async def run(
        self,
        work: Work[Result],
        effect: Effect,
        *arguments: object,
        is_conclusive: Callable[[Result], bool] = always,  # noqa: ARG002  # nothing is run twice
        on_line: OnLine[Result] | None = None,  # noqa: ARG002  # nothing is leased
    ) -> Result:
        """Return what ``work`` returns. The caller commits."""
        try:
            return await self._connection.run_sync(_in_transaction, work, arguments)
        except RAISED_BY_DRIVERS as raised:
            error = raised
        failure = classify(error, self._dialect, sent=True)
        unknown = failure.unknown and effect is not Effect.READ
        raise database_error(error, failure, self._dialect, self._table, outcome_unknown=unknown)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Runner]:
        """Return a context for a call that runs several pieces of work, one after another."""
        yield self.run


def _in_transaction(
    connection: Connection, work: Work[Result], arguments: tuple[object, ...]
) -> Result:
    if is_autocommit(connection):
        raise ValueError(
            "the connection commits each statement by itself, so the operation cannot be part of "
            "its transaction: bind a connection of an engine without AUTOCOMMIT"
        )
    return work(connection, *arguments)
