"""Runs Alembic's commands on a connection, one at a time."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from alembic import command
from alembic.util import CommandError
from sqlalchemy.exc import PendingRollbackError

from sessionstore_sql.migrate.checking import differences_of, how_to_change
from sessionstore_sql.migrate.connecting import connect, first_failure
from sessionstore_sql.migrate.history import required_history
from sessionstore_sql.migrate.places import require_whole
from sessionstore_sql.migrate.revisions import (
    alembic_config,
    assertions_as_refusals,
    is_later_addition,
)
from sessionstore_sql.migrate.turns import alone_in_process, in_turn
from sessionstore_sql.schema import require_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.config import Config
    from sqlalchemy import Connection

    from sessionstore_sql.migrate.connecting import Target


async def run(  # noqa: PLR0913, PLR0917
    alembic_command: Callable[[Config, str], None],
    target: Target,
    revision: str,
    table: str,
    schema: str | None,
    wait: timedelta,
) -> None:
    """Run ``alembic_command`` when no other process migrates the table."""
    table, schema = require_names(table, schema)
    if not isinstance(revision, str):
        raise TypeError(f"a revision is a str, not {type(revision).__name__}")
    if not isinstance(wait, timedelta):
        raise TypeError(f"wait must be a timedelta, not {type(wait).__name__}")
    if wait < timedelta(0):
        raise ValueError("wait must not be negative")
    async with (
        connect(target) as connection,
        # In this order, so that waiting for the database's lock does not block Alembic for other
        # tasks of the process.
        in_turn(connection, table, schema, wait),
        alone_in_process(),
    ):
        await connection.run_sync(_run_alembic, alembic_command, revision, table, schema)


def _run_alembic(
    connection: Connection,
    alembic_command: Callable[[Config, str], None],
    revision: str,
    table: str,
    schema: str | None,
) -> None:
    if _is_done(connection, alembic_command, revision, table, schema):
        return
    config = alembic_config()
    config.attributes.update(connection=connection, in_turn=True, table=table, schema=schema)
    with assertions_as_refusals(revision), _first_failure():
        alembic_command(config, revision)


@contextmanager
def _first_failure() -> Iterator[None]:
    """Raise what has ended the migration, although an error followed.

    If the connection is lost, or the migration is cancelled, Alembic still commits on the
    connection, which then raises an error of its own.
    """
    try:
        yield
    except PendingRollbackError as error:
        failure = first_failure(error)
    else:
        return
    raise failure


def _is_done(
    connection: Connection,
    alembic_command: Callable[[Config, str], None],
    revision: str,
    table: str,
    schema: str | None,
) -> bool:
    """Whether there is nothing that our revisions could do.

    Raises:
        CommandError: There is no place for the table, or the application's own Alembic has it.
    """
    begun = connection.in_transaction()
    try:
        history = required_history(connection, table, schema)
        require_whole(connection, table, schema)
        is_head = alembic_command is command.upgrade and revision in {"head", "heads"}
        if history.is_applications:
            if is_head and not differences_of(connection, table, schema, history):
                return True
            raise CommandError(how_to_change(table, history))
        # Alembic does not know the revision of a later version that has upgraded the table.
        return is_head and is_later_addition(history.revision)
    finally:
        if not begun:  # Alembic would take what the queries have begun for the caller's transaction
            connection.rollback()
