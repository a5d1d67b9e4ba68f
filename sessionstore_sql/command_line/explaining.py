"""From what went wrong to a message for a person, and an exit code for a scheduler."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.dialects import Failure
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.failures import classify, database_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionstore_sql.command_line.options import Place


class CommandFailedError(Exception):
    """The command can't go on, and there is more to say than that."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def require_database(place: Place) -> None:
    """Raise ``CommandFailedError`` where there is no file of SQLite's: a mistyped path, mostly.

    To look would make an empty database, and to be told that it lacks a table helps nobody.
    """
    path = place.dialect.absent_file(place.url)
    if path is not None:
        raise not_up_to_date(f"there is no file {path}, seen from {Path.cwd()}")


@contextmanager
def failures_explained(place: Place) -> Iterator[None]:
    """Raise ``CommandFailedError`` for what the database, or the way to it, or Alembic raises."""
    try:
        yield
    except CommandError as error:
        raise CommandFailedError(str(error), ExitCode.FAILED) from error
    except ModuleNotFoundError as error:
        raise click.UsageError(str(error)) from error
    except DatabaseError as error:
        raise _explained(error, place) from error
    except (SQLAlchemyError, OSError) as error:
        # Of migrate, which lets them through. What can't be told from a connection that was not
        # had is one, as it can be tried again.
        failure = classify(error, place.dialect, sent=False)
        raised = database_error(error, failure, place.dialect, place.table, outcome_unknown=False)
        raise _explained(raised, place) from error


def is_failure(error: DatabaseError, place: Place, failure: Failure) -> bool:
    """Whether that is what the database meant."""
    assert error.__cause__ is not None
    return classify(error.__cause__, place.dialect, sent=True) is failure


def _explained(error: DatabaseError, place: Place) -> CommandFailedError:
    if is_failure(error, place, Failure.SCHEMA_MISSING):
        return not_up_to_date(f"{place.table} is missing or outdated on {place.database}")
    if error.transient:
        return CommandFailedError(
            f"{place.database} is away or busy, try again later: {error}", ExitCode.TRY_AGAIN
        )
    return CommandFailedError(f"{place.database} refused: {error}", ExitCode.FAILED)


def not_up_to_date(finding: str) -> CommandFailedError:
    """Return the error for a table that an upgrade would mend."""
    return CommandFailedError(f"{finding}: run `sessionstore-sql upgrade`", ExitCode.NOT_UP_TO_DATE)
