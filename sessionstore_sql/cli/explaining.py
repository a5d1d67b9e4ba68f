"""Turns errors into a message for the operator and an exit code for the scheduler."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.migrate.connecting import connect
from sessionstore_sql.migrate.places import missing_place
from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.sql.failures import classify, database_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sessionstore_sql.cli.options import Place


class CommandFailedError(Exception):
    """The command cannot continue.

    Args:
        message: What the operator reads.
        exit_code: What the scheduler reads.
    """

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def require_database(place: Place) -> None:
    """Raise ``CommandFailedError`` if the file of a SQLite database does not exist.

    In most cases the path is mistyped. Connecting would create an empty database, and the message
    that it lacks a table would not help.
    """
    path = place.dialect.absent_file(place.url)
    if path is not None:
        raise not_up_to_date(f"the file {path} does not exist (current folder: {Path.cwd()})")


@asynccontextmanager
async def failures_explained(place: Place) -> AsyncIterator[None]:
    """Raise ``CommandFailedError`` for errors of the database, the connection and Alembic."""
    try:
        yield
    except CommandError as error:
        raise CommandFailedError(str(error), ExitCode.FAILED) from error
    except ModuleNotFoundError as error:
        raise click.UsageError(str(error)) from error
    except DatabaseError as error:
        raise await _explained(error, place) from error
    except (SQLAlchemyError, OSError) as error:
        # From sessionstore_sql.migrate, which does not convert them. An error that may be one of
        # connecting is taken for one, because the command can be repeated.
        failure = classify(error, place.dialect, sent=False)
        raised = database_error(error, failure, place.dialect, place.table, outcome_unknown=False)
        raise await _explained(raised, place) from error


def is_failure(error: DatabaseError, place: Place, failure: Failure) -> bool:
    """Whether the database's error is one of this kind."""
    return _failure_of(error, place) is failure


def _failure_of(error: DatabaseError, place: Place) -> Failure | None:
    if error.__cause__ is None:  # such as an upgrade that has waited for another one
        return None
    return classify(error.__cause__, place.dialect, sent=True)


def not_up_to_date(finding: str) -> CommandFailedError:
    """Return the error for a table that ``upgrade`` would create or update."""
    return CommandFailedError(f"{finding}: run `sessionstore-sql upgrade`", ExitCode.NOT_UP_TO_DATE)


async def _explained(error: DatabaseError, place: Place) -> CommandFailedError:
    failure = _failure_of(error, place)
    if (missing := await _missing_place(place, failure)) is not None:
        return CommandFailedError(f"{place.database}: {missing}", ExitCode.FAILED)
    if failure is Failure.DATABASE_MISSING:
        return CommandFailedError(
            f"{place.database} does not exist: create the database, or correct its name in the URL",
            ExitCode.FAILED,
        )
    if failure is Failure.SCHEMA_MISSING:
        return not_up_to_date(f"{place.table} is missing or outdated on {place.database}")
    if error.transient:
        return CommandFailedError(
            f"{place.database} is unreachable or busy, try again later: {error}",
            ExitCode.TRY_AGAIN,
        )
    return CommandFailedError(f"{place.database} rejected the request: {error}", ExitCode.FAILED)


async def _missing_place(place: Place, failure: Failure | None) -> str | None:
    """Return why there is no place for the table; ``None`` if there is one, or it is unknown.

    It looks, because the codes of servers do not tell a missing schema from a missing table
    (PostgreSQL, MariaDB and SQLite) or from a missing database (MySQL).
    """
    is_schema_named = place.names["schema"] is not None
    may_be_schema = failure is Failure.SCHEMA_MISSING or (
        failure is Failure.DATABASE_MISSING and is_schema_named
    )
    if not may_be_schema:
        return None
    try:
        async with connect(place.url) as connection:
            return await connection.run_sync(missing_place, place.names["schema"])
    except (SQLAlchemyError, OSError):  # the error that is being explained says more
        return None
