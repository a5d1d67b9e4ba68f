"""PostgreSQL: one statement for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    BigInteger,
    Integer,
    LargeBinary,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import REGCLASS, insert
from sqlalchemy.ext.compiler import compiles

from sessionstore_sql.dialects.base import Dialect, Failure
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.postgresql_batches import batches
from sessionstore_sql.dialects.postgresql_storage import storage
from sessionstore_sql.dialects.purging import expired_window, is_expired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Delete, Executable, Table
    from sqlalchemy.sql.compiler import SQLCompiler

_LOCK_TIMEOUT_MS = 3_000
_STATEMENT_TIMEOUT_MS = 10_000
_ANSWER_TIMEOUT_S = _STATEMENT_TIMEOUT_MS / 1000 + 2
_CONNECT_TIMEOUT_S = 10

_PORT = 5432

_PURGES = 1_936_029_811
"""The first half of the keys of our advisory locks; the other is the table's OID."""

_FAILURES = {
    "23505": Failure.DUPLICATE_KEY,
    "40001": Failure.ABORTED,
    "40P01": Failure.ABORTED,
    "55P03": Failure.LOCKED,
    "26000": Failure.STALE_PLAN,
    "25006": Failure.READ_ONLY,
    "57014": Failure.TIMED_OUT,
    "57P01": Failure.LOST,
    "57P02": Failure.LOST,
    "57P03": Failure.UNREACHABLE,
    "57P05": Failure.UNREACHABLE,  # idle_session_timeout: closed before our statement
    "08001": Failure.UNREACHABLE,
    "08004": Failure.UNREACHABLE,
    "3F000": Failure.SCHEMA_MISSING,
    "42P01": Failure.SCHEMA_MISSING,
    "42703": Failure.SCHEMA_MISSING,
    "53300": Failure.UNREACHABLE,
}
_PASSING_REFUSALS = (
    "the database system is ",  # starting up, shutting down, in recovery mode, not yet accepting ..
    "too many clients",
    "connection slots are reserved",
)
_REFUSED_PARAMETER = "unsupported startup parameter"
"""What PgBouncer says, with the code of a connection that broke."""
_FAILURE_CLASSES = {"08": Failure.LOST, "53": Failure.OUT_OF_RESOURCES}


@compiles(now, "postgresql")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(), which is the transaction's start, and not clock_timestamp(), which is volatile
    # and so no condition for an index (hazard P3).
    return "(CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT))"


def _purge(table: Table) -> Delete:
    window = expired_window(table)
    locked = table.alias("locked")
    # ARRAY makes it an InitPlan, executed once: as a plain IN it may be executed again, each
    # time skipping what it locked before, and delete more than the batch (hazard P2).
    doomed = (
        select(locked.c.id)
        .join_from(window, locked, locked.c.id == window.c.id)
        .where(locked.c.deadline <= now())
        .order_by(window.c.deadline)
        .limit(bindparam("batch_size", type_=BigInteger()))
        .with_for_update(of=locked, skip_locked=True)
    )
    # The outer condition is what is evaluated again after a lock wait (hazard P1).
    return delete(table).where(
        table.c.id == any_(func.array(doomed.scalar_subquery())), is_expired(table)
    )


def _purge_exclusively(table: Table) -> Executable:
    # The lock is of the statement's own transaction: nobody can hold it for longer than a
    # statement lasts, not even who has lost the connection or dies, and PgBouncer's transaction
    # mode is no hindrance (hazard P6). The OID is of the very table that the search path leads to.
    path = [each for each in (table.schema, table.name) if each is not None]
    name = ".".join('"{}"'.format(each.replace('"', '""')) for each in path)
    oid = cast(cast(literal(name, Text()), REGCLASS), Integer)
    lock = func.pg_try_advisory_xact_lock(literal_column(str(_PURGES), Integer), oid)
    turn = select(lock.label("is_ours")).cte("turn")
    # Not a row is read, let alone locked, unless it is.
    is_ours = select(turn.c.is_ours).scalar_subquery()
    removed = _purge(table).where(is_ours).returning(literal_column("1")).cte("removed")
    return select(turn.c.is_ours, select(func.count()).select_from(removed).scalar_subquery())


def _classify(error: BaseException) -> Failure:
    if type(error).__name__ == "InvalidCachedStatementError":  # it has lost its code (hazard A4)
        return Failure.STALE_PLAN
    code = _status_code(error) or ""
    if code == "0A000" and "cached plan" in str(error):
        return Failure.STALE_PLAN
    if _REFUSED_PARAMETER in str(error):
        return Failure.OTHER
    if not code and "connection is closed" in str(error):  # asyncpg and psycopg, before sending
        return Failure.UNREACHABLE
    return _FAILURES.get(code) or _FAILURE_CLASSES.get(code[:2], Failure.OTHER)


def _status_code(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)


def _is_unreachable(error: BaseException) -> bool:
    # asyncpg, by itself or in SQLAlchemy's wrapping: none of several hosts takes writes, as yet.
    if "TargetServerAttributeNotMatched" in {type(error).__name__, type(error.__cause__).__name__}:
        return True
    # psycopg's errors of connecting have no code. What the server itself said begins with FATAL,
    # and but for these says that an operator is needed: wrong password, no such database.
    message = str(error)
    if _status_code(error) is not None:
        return False
    return type(error).__module__.startswith("psycopg") and (
        "FATAL:" not in message or any(each in message for each in _PASSING_REFUSALS)
    )


def _advice(error: BaseException) -> str | None:
    code = getattr(error, "sqlstate", None)
    # Another client's prepared statements, or none of ours.
    if code in {"26000", "42P05"} or _REFUSED_PARAMETER in str(error):
        return (
            "behind PgBouncer in transaction mode: it has to be 1.21 or newer, with "
            "max_prepared_statements above 0, and lock_timeout, statement_timeout and options "
            "among ignore_startup_parameters"
        )
    return None


def _redact(message: str) -> str:
    # The primary message names constraints and tables; the lines after it (DETAIL, HINT,
    # CONTEXT) print the values of the row and of parameters.
    return message.partition("\n")[0]


def _engine_options(url: URL) -> dict[str, Any]:
    timeouts = {"lock_timeout": _LOCK_TIMEOUT_MS, "statement_timeout": _STATEMENT_TIMEOUT_MS}
    if url.get_driver_name() == "psycopg":
        given = " ".join(url.normalized_query.get("options", ()))
        ours = " ".join(f"-c {name}={value}" for name, value in timeouts.items())
        connect_args: dict[str, Any] = {
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "options": f"{ours} {given}".rstrip(),
        }
    else:
        connect_args = {
            "timeout": _CONNECT_TIMEOUT_S,
            "command_timeout": _ANSWER_TIMEOUT_S,
            "server_settings": {name: str(value) for name, value in timeouts.items()},
        }
    return {"connect_args": connect_args}


def _at_hosts(url: URL, hosts: Sequence[str]) -> URL:
    # A standby answers too. Unless one asks for a server that writes, it is stayed with for as
    # long as it comes first.
    wanted = {"target_session_attrs": "read-write", **url.query}
    port = url.port or _PORT
    wanted["host"] = tuple(host if ":" in host else f"{host}:{port}" for host in hosts)
    return URL.create(
        url.drivername, url.username, url.password, database=url.database, query=wanted
    )


DIALECT = Dialect(
    binary=LargeBinary(),
    upsert=insert,
    purge=_purge,
    purge_exclusively=_purge_exclusively,
    batches=batches,
    largest_purge=100_000,
    error_aborts_transaction=True,
    autocommit_is_free=True,
    classify=_classify,
    status_code=_status_code,
    is_unreachable=_is_unreachable,
    redact=_redact,
    storage=storage,
    drivers={"asyncpg": "asyncpg", "psycopg": "psycopg"},
    engine_options=_engine_options,
    answer_timeout_s=_ANSWER_TIMEOUT_S,
    advice=_advice,
    at_hosts=_at_hosts,
)
