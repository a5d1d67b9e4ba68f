"""What the errors of PostgreSQL mean: by their SQLSTATE."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sessionstore_sql.sql.dialects.failure import Failure
from sessionstore_sql.sql.dialects.postgresql import poolers

if TYPE_CHECKING:
    from collections.abc import Iterable

REJECTED_PARAMETER = "unsupported startup parameter"
"""What PgBouncer says of a setting that it does not pass on."""

REJECTIONS = (REJECTED_PARAMETER, "support command-line options")
"""The second is what RDS Proxy says."""

FAILURES = {
    "23505": Failure.DUPLICATE_KEY,  # unique_violation
    "40001": Failure.ABORTED,  # serialization_failure
    "40P01": Failure.ABORTED,  # deadlock_detected
    "55P03": Failure.LOCKED,  # lock_not_available
    "26000": Failure.STALE_PLAN,  # invalid_sql_statement_name
    "25006": Failure.READ_ONLY,  # read_only_sql_transaction
    "25P03": Failure.TIMED_OUT,  # idle_in_transaction_session_timeout
    "25P04": Failure.TIMED_OUT,  # transaction_timeout
    "57014": Failure.TIMED_OUT,  # query_canceled
    "57P03": Failure.UNREACHABLE,  # cannot_connect_now
    "57P05": Failure.UNREACHABLE,  # idle_session_timeout: closed before the statement arrived
    "08001": Failure.UNREACHABLE,  # sqlclient_unable_to_establish_sqlconnection
    "08004": Failure.UNREACHABLE,  # sqlserver_rejected_establishment_of_sqlconnection
    "53300": Failure.UNREACHABLE,  # too_many_connections
    "58030": Failure.OUT_OF_RESOURCES,  # io_error
    "3F000": Failure.SCHEMA_MISSING,  # invalid_schema_name
    "42P01": Failure.SCHEMA_MISSING,  # undefined_table
    "42703": Failure.SCHEMA_MISSING,  # undefined_column
    "3D000": Failure.DATABASE_MISSING,  # invalid_catalog_name
}
"""The meaning of each SQLSTATE. The comments have PostgreSQL's names for them."""

_FAILURE_CLASSES = {
    "08": Failure.LOST,  # connection exception; 08P01 is also PgBouncer's code for all it reports
    "53": Failure.OUT_OF_RESOURCES,  # insufficient resources
    "57P": Failure.LOST,  # operator intervention: shutdown, crash, dropped database
    "58": Failure.LOST,  # system error; pgcat's code for a server that it lost, or cannot reach
}
"""The meaning of a class of SQLSTATEs: of every code that begins so and is not listed above."""

_INTERNAL_ERROR = "XX000"
"""The code of a bug in the server, and Supavisor's for all it reports, such as too many clients."""

_NO_SUCH_CONSTRAINT = "42P10"
"""The code of an INSERT that needs a primary key which the table does not have."""

_PERMANENT_TEXTS = (
    *poolers.PERMANENT_TEXTS,  # "authentication failed" is a text of servers, too
    poolers.MISSING_DATABASE,
    "no password supplied",
    "no pg_hba.conf entry for",
    "pg_hba.conf rejects connection",
    "is not permitted to log in",
    "permission denied for database",
    "is not currently accepting connections",
    "unrecognized configuration parameter",
    "invalid value for parameter",
    # libpq, of TLS that fails until someone changes its configuration.
    "certificate verify failed",
    "does not match host name",
    "server does not support SSL",
    "private key file",
    "definition of service",
    "received invalid response to ",  # something else than PostgreSQL listens there
    "expected authentication request from server",
    "authentication method requirement",
    "channel binding required",
)
_MISSING_DATABASE = re.compile(
    rf'FATAL: +(database ".*" does not exist|{poolers.MISSING_DATABASE})'
)
_PERMANENT_PATTERN = re.compile(r'(database|role) ".*" does not exist')
"""What remains until someone changes something, among errors of psycopg while it connects that have
no code: those of libpq itself, and those of servers where the code was not looked up or not found.
The rest may pass: a server, or a pooler, that is full, starting or failing over."""

_TEMPORARY_TEXTS = (
    "the database system is ",
    "too many clients",
    "too many connections",
    "connection slots are reserved",
    "max clients reached",
    "max_client_conn",
    "terminating connection",
)
"""Texts of servers and poolers that are full, starting or stopping. They are not asked again for
the code: one more connection is what they cannot take."""

_ANSWER = re.compile(r": [^:\n]+:  ")
"""The severity that begins a server's answer, in any language, as libpq shows it. Errors of libpq
itself have none."""


def classify(error: BaseException) -> Failure:
    """Return what a driver's error means."""
    # SQLAlchemy's class for a stale plan has no code.
    if type(error).__name__ == "InvalidCachedStatementError":
        return Failure.STALE_PLAN
    if type(error).__name__ == "InternalClientError":
        # asyncpg has received what it does not expect, such as the reason why the server is about
        # to close an idle connection. This is its text if it noticed before it sent anything.
        is_unsent = "cannot switch to state" in str(error)
        return Failure.UNREACHABLE if is_unsent else Failure.LOST
    code = sqlstate_of(error) or ""
    if code == "0A000" and _is_stale_plan(error):
        return Failure.STALE_PLAN
    if REJECTED_PARAMETER in str(error):
        return Failure.OTHER
    # asyncpg and psycopg say so before they send anything.
    if not code and "connection is closed" in str(error):
        return Failure.UNREACHABLE
    if not code and all(map(_MISSING_DATABASE.search, _answers(error) or [""])):
        return Failure.DATABASE_MISSING
    if code.startswith("08") and poolers.MISSING_DATABASE in str(error):
        return Failure.DATABASE_MISSING
    if poolers.is_rejection(code, str(error)):
        return Failure.REJECTED
    if code == _INTERNAL_ERROR and _ended_session(error):
        return Failure.LOST
    return _meaning(code)


def _meaning(code: str) -> Failure:
    found = (FAILURES.get(code), *map(_FAILURE_CLASSES.get, (code[:3], code[:2])))
    return next((failure for failure in found if failure is not None), Failure.OTHER)


def deciding_code(codes: Iterable[str]) -> str | None:
    """Return the SQLSTATE that decides among those of several rejections; ``None`` without one.

    One that may pass is enough, and a database is missing only if every server says so.
    """
    return min(codes, key=_rank, default=None)


def _rank(code: str) -> int:
    meaning = _meaning(code)
    if code == _INTERNAL_ERROR or meaning.transient:
        return 0
    return 2 if meaning is Failure.DATABASE_MISSING else 1


def _is_stale_plan(error: BaseException) -> bool:
    """Return whether the server rejects a plan that no longer fits the table.

    The code has more meanings. asyncpg has a class for this one, by the name of the server's
    function, which is not translated, as the text is.
    """
    routine = getattr(error, "server_source_function", None) or getattr(
        getattr(error, "diag", None), "source_function", None
    )
    return routine == "RevalidateCachedQuery" or "cached plan" in str(error)


def _ended_session(error: BaseException) -> bool:
    """Return whether the server, or a pooler in its place, closed the connection."""
    origin = error if error.__cause__ is None else error.__cause__
    severities = (
        getattr(origin, "severity_en", None),
        getattr(getattr(error, "diag", None), "severity_nonlocalized", None),
        # Poolers send the severity that servers translate, and not the one that they do not.
        getattr(origin, "severity", None),
        getattr(getattr(error, "diag", None), "severity", None),
    )
    return next((each for each in severities if each), None) in {"FATAL", "PANIC"}


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE."""
    return getattr(error, "sqlstate", None)


def redact(message: str) -> str:
    """Return the first line of an error's text.

    It names constraints and tables. The lines after it (DETAIL, HINT, CONTEXT) quote values of
    the row and of parameters.
    """
    return message.partition("\n")[0]


def advice(error: BaseException) -> str | None:
    """Return the settings of PgBouncer, or the command, that an error asks for."""
    # The prepared statement is that of another client, or ours is missing.
    if sqlstate_of(error) in {"26000", "42P05"} or REJECTED_PARAMETER in str(error):
        return (
            "behind PgBouncer in transaction mode: it has to be 1.21 or newer, with "
            "max_prepared_statements above 0, and lock_timeout, statement_timeout and options "
            "among ignore_startup_parameters"
        )
    if sqlstate_of(error) == _NO_SUCH_CONSTRAINT:
        return "the primary key of the table is not its id: run `sessionstore-sql check`"
    return poolers.advice(str(error))


def is_unreachable(error: BaseException) -> bool:
    """Return whether an error while connecting may pass."""
    # asyncpg, by itself or wrapped by SQLAlchemy: none of several hosts takes writes, as yet.
    names = {type(error).__name__, type(error.__cause__).__name__}
    if "TargetServerAttributeNotMatched" in names:
        return True
    if any(each in str(error) for each in REJECTIONS):
        return False
    if (code := sqlstate_of(error)) is not None:
        return code == _INTERNAL_ERROR
    if not type(error).__module__.startswith("psycopg") or not _is_operational(error):
        return False
    answers = _answers(error)
    return not answers or not all(map(_is_permanent_text, answers))


def is_unlisted_rejection(error: BaseException) -> bool:
    """Return whether a server rejected psycopg's login, and the text does not say if that may pass.

    If the servers of several hosts answered, one text that may pass is enough to know.
    """
    if sqlstate_of(error) is not None:
        return False
    answers = _answers(error)
    passes = (*_TEMPORARY_TEXTS, *REJECTIONS)
    if any(text in each for text in passes for each in answers):
        return False
    return not all(map(_is_permanent_text, answers))


def _answers(error: BaseException) -> list[str]:
    """Return what servers said as psycopg connected.

    One line for each attempt: with TLS and without, and one for each host. The servers that
    answered decide: another host that is unreachable would not have answered differently.
    """
    if not type(error).__module__.startswith("psycopg") or not _is_operational(error):
        return []
    message = str(error)
    attempts = [line for line in message.splitlines() if "failed: " in line] or [message]
    return [each for each in attempts if _ANSWER.search(each) or _is_permanent_text(each)]


def _is_operational(error: BaseException) -> bool:
    return "OperationalError" in {each.__name__ for each in type(error).__mro__}


def _is_permanent_text(line: str) -> bool:
    return (
        any(each in line for each in _PERMANENT_TEXTS)
        or _PERMANENT_PATTERN.search(line) is not None
    )
