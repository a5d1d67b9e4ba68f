"""From what SQLAlchemy and the drivers raise to ``DatabaseError``, without its secrets."""

from __future__ import annotations

from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.dialects import Failure

if TYPE_CHECKING:
    from sqlalchemy import URL

    from sessionstore_sql.sql.dialects import Dialect

HOW_TO_UPGRADE = (
    "run `sessionstore-sql upgrade`, or `alembic upgrade head`, or await "
    "sessionstore_sql.migrate.upgrade(..)"
)

_TELLING = 4
"""Characters: fewer occur in any text."""

_OF_THE_CONNECTION = {Failure.UNREACHABLE, Failure.LOST, Failure.UNANSWERED, Failure.READ_ONLY}

_SECRETS_SHOWN_IN = ("detail", "hint", "context", "internal_query", "_info", "_pgconn")
"""Attributes of drivers' errors: asyncpg's fields and psycopg's result, which can quote a row, and
psycopg's connection, which has the password."""


def classify(error: BaseException, dialect: Dialect, *, sent: bool) -> Failure:
    """Return what ``error`` means.

    Args:
        error: From SQLAlchemy, or what a driver let through as it was: ``OSError``,
            ``TimeoutError`` (hazard A3).
        dialect: Of the database.
        sent: Whether a connection had been made and a statement may have gone out.
    """
    driver_error = driver_error_of(error)
    if _is_rejected_certificate(driver_error):
        return Failure.OTHER  # an OSError, too, and yet no trouble that may pass
    failure = dialect.classify(driver_error)
    if failure is not Failure.OTHER:
        return failure if sent or not failure.unknown else Failure.UNREACHABLE
    trouble = _is_connection_trouble(error, driver_error)
    if not sent:
        refused = trouble or dialect.is_unreachable(driver_error)
        return Failure.UNREACHABLE if refused else failure
    if not trouble:
        return failure
    return Failure.UNANSWERED if isinstance(driver_error, TimeoutError) else Failure.LOST


def database_error(
    error: BaseException,
    failure: Failure,
    dialect: Dialect,
    table: str,
    *,
    outcome_unknown: bool,
) -> DatabaseError:
    """Return the error to raise for ``error``, which is redacted in place and made its cause."""
    redact(error, dialect)
    message = _first_line(error)
    advice = dialect.advice(driver_error_of(error))
    if advice is not None:
        message = f"{message} ({advice})"
    if failure is Failure.DATABASE_MISSING:
        message = f"{message} (create the database, or correct its name)"
    if failure is Failure.SCHEMA_MISSING:
        message = (
            f"the table {table!r} is missing or outdated: {HOW_TO_UPGRADE}, for a table of this "
            f"name ({message})"
        )
    result = DatabaseError(
        message,
        transient=failure.transient or isinstance(error, PoolTimeoutError),
        outcome_unknown=outcome_unknown,
        connection_failed=failure in _OF_THE_CONNECTION or isinstance(error, PoolTimeoutError),
    )
    result.__cause__ = error
    return result


def connect_error_without_secrets(error: Exception, *urls: URL) -> ArgumentError:
    """Return an error for an exception of another kind that a driver raised while connecting.

    Drivers raise such exceptions for a wrong URL or a missing package. The text is that of
    ``error`` without the secrets of the URLs. If all secrets are so short that replacing them would
    reveal them, there is no text. ``error`` must not be chained.
    """
    name = type(error).__name__
    secrets = {str(url.password or "") for url in urls}
    secrets.update(
        value for url in urls for each in url.normalized_query.values() for value in each
    )
    hidden = sorted(secrets - {""}, key=len, reverse=True)
    if hidden and len(hidden[-1]) < _TELLING:
        return ArgumentError(name)
    text = str(error)
    for each in hidden:
        text = text.replace(each, "***")
    return ArgumentError(f"{name}: {text}")


def redact(error: BaseException, dialect: Dialect) -> None:
    """Remove bound values from ``error`` and from every error that it leads to (hazard X2)."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, StatementError):
            current.hide_parameters = True
            current.params = None
            pending.append(current.orig)
        else:
            for name in _SECRETS_SHOWN_IN:
                if getattr(current, name, None) is not None:
                    setattr(current, name, None)
        current.args = tuple(
            dialect.redact(value) if isinstance(value, str) else value for value in current.args
        )
        pending += [current.__cause__, current.__context__]


def driver_error_of(error: BaseException) -> BaseException:
    """Return the driver's own error, where SQLAlchemy has wrapped it."""
    return error.orig or error if isinstance(error, DBAPIError) else error


def _is_connection_trouble(error: BaseException, driver_error: BaseException) -> bool:
    """Whether SQLAlchemy gave the connection up, or the operating system was at fault."""
    return (
        (isinstance(error, DBAPIError) and error.connection_invalidated)
        or isinstance(driver_error, OSError)  # the builtin TimeoutError is one
        or isinstance(driver_error.__cause__, OSError)
    )


def _is_rejected_certificate(driver_error: BaseException) -> bool:
    """Whether the server's certificate is not trusted, or is for another host."""
    errors = (driver_error, driver_error.__cause__)
    return any(isinstance(each, SSLCertVerificationError) for each in errors)


def _first_line(error: BaseException) -> str:
    source = driver_error_of(error)
    lines = str(source).splitlines()
    return f"{type(source).__name__}: {lines[0]}" if lines else type(source).__name__
