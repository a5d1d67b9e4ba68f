"""What errors mean, and that they keep no secrets."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable
from typing import Any

import asyncmy.errors
import asyncpg
import psycopg
import pymysql
import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sessionstore_sql.sql.dialects import Failure, dialect_named
from sessionstore_sql.sql.dialects.postgresql.errors import deciding_code, is_unlisted_rejection
from sessionstore_sql.sql.failures import (
    classify,
    connect_error_without_secrets,
    database_error,
    redact,
)

POSTGRESQL = dialect_named("postgresql")
MYSQL = dialect_named("mysql")
SQLITE = dialect_named("sqlite")

POSTGRESQL_CODES = {
    Failure.DUPLICATE_KEY: ["23505"],
    Failure.ABORTED: ["40001", "40P01"],
    Failure.LOCKED: ["55P03"],
    Failure.STALE_PLAN: ["26000"],
    Failure.READ_ONLY: ["25006"],
    Failure.TIMED_OUT: ["57014", "25P03", "25P04"],
    Failure.LOST: [
        *("57P01", "57P02", "57P04", "08000", "08003", "08006", "08P01"),
        *("58000", "58P01"),
    ],
    Failure.UNREACHABLE: ["57P03", "57P05", "08001", "08004", "53300"],
    Failure.OUT_OF_RESOURCES: ["53000", "53100", "53200", "53400", "58030"],
    Failure.SCHEMA_MISSING: ["3F000", "42P01", "42703"],
    Failure.DATABASE_MISSING: ["3D000"],
    Failure.OTHER: [
        *("42501", "22P02", "23502", "0A000", "42601", "42P05", "57000"),
        *("28000", "28P01", "55000", "XX001"),
    ],
}
MYSQL_CODES = {
    Failure.DUPLICATE_KEY: [1062, 1586],
    Failure.ABORTED: [1213, 1020, 3101],
    Failure.LOCKED: [1205, 3572],
    Failure.STALE_PLAN: [1243, 1615],
    Failure.READ_ONLY: [1290, 1792, 1836],
    Failure.TIMED_OUT: [1317, 1969, 3024],
    Failure.LOST: [
        *(1053, 1180, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184),
        *(1927, 2006, 2013, 2014, 2045, 2055),
    ],
    Failure.UNREACHABLE: [
        *(
            1040,
            1042,
            1047,
            1129,
            1135,
            1203,
            1226,
            2002,
            2003,
            3032,
            3100,
            *range(3796, 3800),
            3168,
            4031,
        ),
        *(9001, 9006, 9501),
    ],
    Failure.OUT_OF_RESOURCES: [3, 20, 1021, 1026, 1037, 1038, 1041, 1114],
    Failure.UNSUPPORTED: [1105, 1235],
    Failure.SCHEMA_MISSING: [1054, 1146],
    Failure.DATABASE_MISSING: [1046, 1049],
    Failure.OTHER: [1030, 1044, 1045, 1064, 1130, 1142, 1153, 1406, 1665, 3159],
}
SQLITE_CODES = {
    Failure.DUPLICATE_KEY: [sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE],
    Failure.LOCKED: [
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
        sqlite3.SQLITE_BUSY_TIMEOUT,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_LOCKED_SHAREDCACHE,
    ],
    Failure.OUT_OF_RESOURCES: [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_NOMEM,
    ],
    Failure.TIMED_OUT: [sqlite3.SQLITE_INTERRUPT],
    Failure.OTHER: [
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CONSTRAINT_NOTNULL,
    ],
}

TRANSIENT = {
    Failure.ABORTED,
    Failure.LOCKED,
    Failure.STALE_PLAN,
    Failure.UNREACHABLE,
    Failure.LOST,
    Failure.UNANSWERED,
    Failure.READ_ONLY,
    Failure.TIMED_OUT,
    Failure.OUT_OF_RESOURCES,
}

SECRET = "5ec2e7" * 10


def from_asyncpg(code: str, message: str = "it failed", **fields: str) -> Exception:
    """Return the error that SQLAlchemy's asyncpg dialect makes of the server's."""
    letters = {"detail": "D", "hint": "H", "where": "W", "internal_query": "q"}
    answer = {"C": code, "M": message, "S": "ERROR"}
    answer |= {letters[name]: value for name, value in fields.items()}
    origin = asyncpg.PostgresError.new(answer)
    adapted: Any = AsyncAdapt_asyncpg_dbapi.Error(f"{type(origin)}: {origin}")
    adapted.pgcode = adapted.sqlstate = origin.sqlstate
    adapted.__cause__ = origin
    return adapted  # type: ignore[no-any-return]


def from_psycopg(code: str, message: str = "it failed") -> Exception:
    """Return psycopg's error for a code; codes it has no class for are set on one."""
    try:
        return psycopg.errors.lookup(code)(message)
    except KeyError:
        error = psycopg.DatabaseError(message)
        error.sqlstate = code
        return error


def from_pymysql(code: int, message: str = "it failed") -> Exception:
    """Return PyMySQL's error, which aiomysql raises too."""
    return pymysql.err.OperationalError(code, message)


def from_asyncmy(code: int, message: str = "it failed") -> Exception:
    """Return asyncmy's error."""
    return asyncmy.errors.OperationalError(code, message)  # type: ignore[no-any-return]


def from_sqlite(code: int, message: str = "it failed") -> Exception:
    """Return an error of sqlite3."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def wrapped(error: BaseException, *, invalidated: bool = False) -> DBAPIError:
    """Return the error as SQLAlchemy raises it, with a bound value in its parameters."""
    return DBAPIError(
        "UPDATE t SET state = %s", {"state": SECRET}, error, connection_invalidated=invalidated
    )


MAKERS: list[tuple[Any, Any, Any]] = [
    (POSTGRESQL, from_asyncpg, POSTGRESQL_CODES),
    (POSTGRESQL, from_psycopg, POSTGRESQL_CODES),
    (MYSQL, from_pymysql, MYSQL_CODES),
    (MYSQL, from_asyncmy, MYSQL_CODES),
    (SQLITE, from_sqlite, SQLITE_CODES),
]
CASES = [
    pytest.param(dialect, make(code), failure, id=f"{make.__name__}-{code}")
    for dialect, make, table in MAKERS
    for failure, codes in table.items()
    for code in codes
]


@pytest.mark.parametrize(("dialect", "error", "failure"), CASES)
def test_the_code_decides(dialect: Any, error: Exception, failure: Failure) -> None:
    """Bare or in whatever SQLAlchemy raises, an error means what its code says."""
    assert classify(error, dialect, sent=True) is failure
    assert classify(wrapped(error), dialect, sent=True) is failure
    assert classify(IntegrityError("", None, error), dialect, sent=True) is failure


@pytest.mark.parametrize(("dialect", "error", "failure"), CASES)
def test_what_was_not_sent_is_never_unknown(
    dialect: Any, error: Exception, failure: Failure
) -> None:
    """A connection that failed while it was made leaves no doubt about a statement."""
    expected = Failure.UNREACHABLE if failure is Failure.LOST else failure

    assert classify(wrapped(error), dialect, sent=False) is expected


@pytest.mark.parametrize("failure", Failure)
def test_which_failures_pass(failure: Failure) -> None:
    """An error is transient if no operator has to change anything first."""
    assert failure.transient == (failure in TRANSIENT)
    assert failure.unknown == (failure in {Failure.LOST, Failure.UNANSWERED})


def test_every_code_of_the_dialects_is_tested_here() -> None:
    """A new entry in a table is a new case."""
    from sessionstore_sql.sql.dialects.mysql import errors as mysql
    from sessionstore_sql.sql.dialects.postgresql import errors as postgresql
    from sessionstore_sql.sql.dialects.sqlite import errors as sqlite

    tested: list[tuple[Any, Any]] = [
        (postgresql.FAILURES, POSTGRESQL_CODES),
        (mysql.FAILURES, MYSQL_CODES),
        (sqlite.FAILURES, SQLITE_CODES),
    ]
    for table, cases in tested:
        expected = {code: failure for failure, codes in cases.items() for code in codes}
        assert {code: expected.get(code) for code in table} == table


def test_a_stale_plan_is_known_by_its_class() -> None:
    """SQLAlchemy's own class for it has lost the code (hazard A4)."""
    error = AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError("a cached statement is invalid")

    assert classify(wrapped(error), POSTGRESQL, sent=True) is Failure.STALE_PLAN


@pytest.mark.parametrize("make", [from_asyncpg, from_psycopg])
def test_a_stale_plan_is_known_by_its_message(make: Callable[..., Exception]) -> None:
    """0A000 has many meanings, and this one passes."""
    error = make("0A000", "cached plan must not change result type")

    assert classify(wrapped(error), POSTGRESQL, sent=True) is Failure.STALE_PLAN


@pytest.mark.parametrize(
    "error",
    [
        AsyncAdapt_asyncpg_dbapi.InterfaceError("connection is closed"),
        psycopg.OperationalError("the connection is closed"),
        asyncpg.InternalClientError(
            "cannot switch to state 11; another operation (2) is in progress"
        ),
    ],
)
def test_a_closed_connection_sent_nothing(error: Exception) -> None:
    """The driver noticed before it sent the statement, so every operation may try again."""
    assert classify(wrapped(error, invalidated=True), POSTGRESQL, sent=True) is Failure.UNREACHABLE


def from_libpq(*texts: str) -> psycopg.OperationalError:
    """Return psycopg's error for what servers said as it connected: it has no code."""
    attempts = [f'connection to server at "db", port 5432 failed: {text}' for text in texts]
    return psycopg.OperationalError("connection failed: " + "\n".join(attempts))


PERMANENT_REJECTIONS = [
    'FATAL:  password authentication failed for user "app"',
    'FATAL:  Peer authentication failed for user "app"',
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop", SSL encryption',
    'FATAL:  pg_hba.conf rejects connection for host "10.0.0.1", user "app", database "shop"',
    'FATAL:  role "app" does not exist',
    'FATAL:  role "app" is not permitted to log in',
    'FATAL:  database "shop" is not currently accepting connections',
    'FATAL:  permission denied for database "shop"',
    'FATAL:  unrecognized configuration parameter "sarch_path"',
    'FATAL:  invalid value for parameter "lock_timeout": "soon"',
    "fe_sendauth: no password supplied",
    "SSL error: certificate verify failed",
    "server does not support SSL, but SSL was required",
    # A server of another kind listens on the port.
    "received invalid response to SSL negotiation: J",
    "expected authentication request from server, but received H",
]
TEMPORARY_REJECTIONS = [
    "FATAL:  the database system is starting up",
    "FATAL:  the database system is not yet accepting connections",
    "FATAL:  the database system is in recovery mode",
    "FATAL:  sorry, too many clients already",
    "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
    'FATAL:  too many connections for role "app"',
    'FATAL:  too many connections for database "shop"',
    # Of a server that speaks German.
    "FATAL:  tut mir leid, schon zu viele Verbindungen",
    "FATAL:  das Datenbanksystem startet",
    "FATAL:  zu viele Verbindungen von Rolle »app«",
    # Of poolers: Supavisor, PgBouncer, pgcat, RDS Proxy.
    "FATAL:  MaxClientsInSessionMode: max clients reached - in Session mode ..",
    "FATAL:  server login has been failing, cached error: connect timeout (server_login_retry)",
    "FATAL:  no more connections allowed (max_client_conn)",
    "FATAL:  could not get connection from the pool - AllServersDown",
    "FATAL:  Timed-out waiting to acquire database connection",
    "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
    "timeout expired",
]


@pytest.mark.parametrize("text", PERMANENT_REJECTIONS)
def test_a_text_of_the_short_list_is_permanent(text: str) -> None:
    """Without a code, the server's own text is all there is, and what it says remains."""
    assert classify(wrapped(from_libpq(text)), POSTGRESQL, sent=False) is Failure.OTHER
    assert classify(wrapped(from_libpq(text, text)), POSTGRESQL, sent=False) is Failure.OTHER


def test_a_missing_database_is_recognised_without_a_code() -> None:
    """The hosts that answered decide, and all of them have to say so."""
    missing = 'FATAL:  database "shop" does not exist'

    def meaning(*texts: str) -> Failure:
        return classify(wrapped(from_libpq(*texts)), POSTGRESQL, sent=False)

    assert meaning(missing) is Failure.DATABASE_MISSING
    assert meaning("Connection refused", missing) is Failure.DATABASE_MISSING
    assert meaning(missing, PERMANENT_REJECTIONS[0]) is Failure.OTHER
    assert meaning(missing, TEMPORARY_REJECTIONS[0]) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("codes", "failure"),
    [
        (["28P01"], Failure.OTHER),
        (["28000", "28P01"], Failure.OTHER),
        (["3D000"], Failure.DATABASE_MISSING),
        (["3D000", "28P01"], Failure.OTHER),
        (["57P03"], Failure.UNREACHABLE),
        (["28P01", "53300"], Failure.UNREACHABLE),
        (["3D000", "XX000"], Failure.UNREACHABLE),
        (["08P01"], Failure.UNREACHABLE),
        (["42704"], Failure.OTHER),
        ([], Failure.UNREACHABLE),
    ],
)
def test_the_codes_of_a_rejected_login_decide(codes: list[str], failure: Failure) -> None:
    """Of several hosts, or attempts with TLS and without, all have to be permanent."""
    error = from_libpq("ВАЖНО:  база данных")
    error.sqlstate = deciding_code(codes)

    assert classify(wrapped(error), POSTGRESQL, sent=False) is failure


@pytest.mark.parametrize(
    "text",
    [
        'ВАЖНО:  база данных "shop" не существует',
        "ÖLÜMCÜL (FATAL):  veri taban yok",
        "FATAL\xa0:  la base de données n'existe pas",
        "FATAL:  tut mir leid, schon zu viele Verbindungen",
    ],
)
def test_the_code_of_an_unlisted_text_is_looked_up(text: str) -> None:
    """A host that is unreachable, or has a permanent text, changes nothing about the other."""
    assert is_unlisted_rejection(from_libpq(text))
    assert is_unlisted_rejection(from_libpq(text, "Connection refused", PERMANENT_REJECTIONS[0]))
    assert not is_unlisted_rejection(from_libpq(text, TEMPORARY_REJECTIONS[0]))


@pytest.mark.parametrize(
    "text",
    [
        *PERMANENT_REJECTIONS,
        *TEMPORARY_REJECTIONS[:7],
        *TEMPORARY_REJECTIONS[-2:],
        "FATAL:  unsupported startup parameter: lock_timeout",
    ],
)
def test_no_code_is_looked_up_that_changes_nothing(text: str) -> None:
    """The text is listed, or the server did not answer: a full server gets no more logins."""
    assert not is_unlisted_rejection(from_libpq(text))
    assert not is_unlisted_rejection(psycopg.errors.ConnectionTimeout(text.rpartition(":  ")[2]))


@pytest.mark.parametrize("text", TEMPORARY_REJECTIONS)
def test_every_other_text_may_pass(text: str) -> None:
    """Servers and poolers say in many words, and languages, that they are full or away."""
    assert classify(wrapped(from_libpq(text)), POSTGRESQL, sent=False) is Failure.UNREACHABLE


def test_one_host_that_may_come_back_is_enough() -> None:
    """Of several hosts, one rejects the password, and another one is starting."""
    error = from_libpq(PERMANENT_REJECTIONS[0], TEMPORARY_REJECTIONS[0])

    assert classify(wrapped(error), POSTGRESQL, sent=False) is Failure.UNREACHABLE


def test_a_host_that_does_not_answer_decides_nothing() -> None:
    """Of several hosts, one is unreachable, and the one that answers rejects the password."""
    error = from_libpq("Connection refused", PERMANENT_REJECTIONS[0])

    assert classify(wrapped(error), POSTGRESQL, sent=False) is Failure.OTHER


def test_a_wrong_option_of_psycopg_is_permanent() -> None:
    """It is an error of the program, which the driver finds before it connects."""
    error = psycopg.ProgrammingError('invalid connection option "sslmod"')

    assert classify(wrapped(error), POSTGRESQL, sent=False) is Failure.OTHER


@pytest.mark.parametrize("make", [from_asyncpg, from_psycopg])
def test_an_internal_error_may_be_that_of_a_pooler(make: Callable[..., Exception]) -> None:
    """Supavisor has one code for all it reports, and servers use it for their bugs."""
    error = wrapped(make("XX000", "MaxClientsInSessionMode: max clients reached"))

    assert classify(error, POSTGRESQL, sent=False) is Failure.UNREACHABLE
    assert classify(error, POSTGRESQL, sent=True) is Failure.OTHER


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_an_internal_error_that_ends_the_session_leaves_the_outcome_open(severity: str) -> None:
    """The pooler, or the server, closed the connection while a statement ran."""
    origin = asyncpg.PostgresError.new({"C": "XX000", "M": "gone", "S": severity})
    error: Any = AsyncAdapt_asyncpg_dbapi.Error(str(origin))
    error.pgcode = error.sqlstate = origin.sqlstate
    error.__cause__ = origin

    assert classify(wrapped(error), POSTGRESQL, sent=True) is Failure.LOST


@pytest.mark.parametrize(
    ("error", "is_transient"),
    [
        (from_asyncpg("26000", 'prepared statement "a" does not exist'), True),
        (from_psycopg("42P05", 'prepared statement "a" already exists'), False),
        (from_asyncpg("08P01", "unsupported startup parameter: lock_timeout"), False),
        (psycopg.OperationalError("FATAL:  unsupported startup parameter: options"), False),
    ],
)
def test_what_pgbouncer_lacks_is_said(error: Exception, is_transient: bool) -> None:
    """The pooler names the rejected parameter; the store adds the setting."""
    failure = classify(wrapped(error), POSTGRESQL, sent=False)

    result = database_error(wrapped(error), failure, POSTGRESQL, "t", outcome_unknown=False)

    assert result.transient is is_transient
    assert str(error) in str(result)
    assert "max_prepared_statements" in str(result)
    assert "ignore_startup_parameters" in str(result)


@pytest.mark.parametrize("make", [from_asyncpg, from_psycopg])
@pytest.mark.parametrize("code", ["08003", "08P01"])
def test_statement_pooling_is_rejected(make: Callable[..., Exception], code: str) -> None:
    """It stays so, and nothing was executed, although the connection is lost."""
    text = "transaction blocks not allowed in statement pooling mode"
    error = wrapped(make(code, text), invalidated=True)

    failure = classify(error, POSTGRESQL, sent=True)
    result = database_error(error, failure, POSTGRESQL, "t", outcome_unknown=failure.unknown)

    assert failure is Failure.REJECTED
    assert not result.transient
    assert "pool_mode has to be transaction or session" in str(result)


@pytest.mark.parametrize("make", [from_asyncpg, from_psycopg])
def test_a_wrong_primary_key_is_a_case_for_check(make: Callable[..., Exception]) -> None:
    """Such as that of a table that is partitioned by its deadlines."""
    error = wrapped(make("42P10", "there is no unique or exclusion constraint"))

    failure = classify(error, POSTGRESQL, sent=True)
    result = database_error(error, failure, POSTGRESQL, "t", outcome_unknown=False)

    assert failure is Failure.OTHER
    assert "run `sessionstore-sql check`" in str(result)


def test_other_errors_get_no_advice() -> None:
    """A connection that broke while it was used says what it says."""
    error = wrapped(from_asyncpg("08P01", "server conn crashed?"))

    result = database_error(error, Failure.LOST, POSTGRESQL, "t", outcome_unknown=True)

    assert str(result).endswith("server conn crashed?")


def test_several_hosts_of_which_none_writes_are_a_passing_refusal() -> None:
    """Of asyncpg, which has no code for it; SQLAlchemy wraps it, or lets it through."""
    error = asyncpg.TargetServerAttributeNotMatched("none of the hosts match")
    adapted = AsyncAdapt_asyncpg_dbapi.Error(str(error))
    adapted.__cause__ = error

    for raised in (error, adapted, wrapped(adapted)):
        assert classify(raised, POSTGRESQL, sent=False) is Failure.UNREACHABLE


@pytest.mark.parametrize("make", [from_pymysql, from_asyncmy])
def test_a_deadlock_during_commit_has_changed_nothing(make: Callable[..., Exception]) -> None:
    """Of two members of a group that changed one session at once, one has rolled back."""
    conflict = make(1180, "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT")
    lost = make(1180, "Got error 6 'No such device or address' during COMMIT")

    assert classify(conflict, MYSQL, sent=True) is Failure.ABORTED
    assert classify(lost, MYSQL, sent=True) is Failure.LOST


@pytest.mark.parametrize("make", [from_pymysql, from_asyncmy])
@pytest.mark.parametrize(
    ("message", "is_full"),
    [
        ("Got error 28 'No space left on device' from storage engine InnoDB", True),
        ("Got error 28 - 'No space left on device' from storage engine", True),
        ("Got error 122 'Disk quota exceeded' from storage engine InnoDB", True),
        ("Got error 135 'No more room in file' from storage engine InnoDB", True),
        ('Fehler 28 "No space left on device" (Speicher-Engine InnoDB)', True),
        ("Got error 168 'Unknown (generic) error from engine' from storage engine", False),
        ("Got error 281 from storage engine", False),
    ],
)
def test_an_engine_without_room_is_known_by_its_message(
    make: Callable[..., Exception], message: str, is_full: bool
) -> None:
    """One code stands for whatever the storage engine met."""
    expected = Failure.OUT_OF_RESOURCES if is_full else Failure.OTHER

    assert classify(make(1030, message), MYSQL, sent=True) is expected


@pytest.mark.parametrize(
    "message",
    ["no such table: sessions", "no such column: deadline", "table s has no column named state"],
)
def test_a_missing_table_is_known_by_its_message_on_sqlite(message: str) -> None:
    """One code stands for every mistake; a real error has it."""
    assert (
        classify(from_sqlite(sqlite3.SQLITE_ERROR, message), SQLITE, sent=True)
        is Failure.SCHEMA_MISSING
    )


def test_real_errors_of_sqlite_are_classified() -> None:
    """sqlite3 sets the codes that the table expects."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id BLOB PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (x'00')")
    failures = []
    for statement in (
        "INSERT INTO t VALUES (x'00')",
        "SELECT a FROM t",
        "SELECT 1 FROM other",
        "INSERT INTO t (a) VALUES (1)",
    ):
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(statement)
        failures.append(classify(caught.value, SQLITE, sent=True))
    connection.close()

    assert failures == [Failure.DUPLICATE_KEY, *[Failure.SCHEMA_MISSING] * 3]


def test_what_asyncpg_did_not_expect_leaves_the_outcome_open() -> None:
    """It says nothing of the statement that was sent."""
    error = asyncpg.InternalClientError("got result for unknown protocol state 3")

    assert classify(wrapped(error), POSTGRESQL, sent=True) is Failure.LOST


@pytest.mark.parametrize("dialect", [POSTGRESQL, MYSQL, SQLITE])
@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError("broken"), Failure.LOST),
        (ConnectionResetError(104, "reset by peer"), Failure.LOST),
        (BrokenPipeError(), Failure.LOST),
        (TimeoutError(), Failure.UNANSWERED),
        (wrapped(ConnectionResetError()), Failure.LOST),
        (wrapped(TimeoutError()), Failure.UNANSWERED),
        (wrapped(RuntimeError("gone"), invalidated=True), Failure.LOST),
    ],
)
def test_trouble_with_the_connection_leaves_the_outcome_open(
    dialect: Any, error: Exception, failure: Failure
) -> None:
    """The outcome is unknown while a statement is running; before that, nothing was sent."""
    assert classify(error, dialect, sent=True) is failure
    assert classify(error, dialect, sent=False) is Failure.UNREACHABLE


@pytest.mark.parametrize("dialect", [POSTGRESQL, MYSQL, SQLITE])
def test_an_operating_systems_error_behind_a_drivers_counts(dialect: Any) -> None:
    """The driver wrapped it in an error without a code."""
    error = RuntimeError("connection lost")
    error.__cause__ = ConnectionResetError()

    assert classify(wrapped(error), dialect, sent=True) is Failure.LOST
    assert classify(wrapped(error), dialect, sent=False) is Failure.UNREACHABLE


@pytest.mark.parametrize("dialect", [POSTGRESQL, MYSQL, SQLITE])
@pytest.mark.parametrize(
    "error",
    [RuntimeError(), RuntimeError("text"), RuntimeError("1062"), InvalidRequestError("no")],
)
def test_what_has_no_code_is_something_else(dialect: Any, error: Exception) -> None:
    """No text is taken for a code."""
    assert classify(error, dialect, sent=True) is Failure.OTHER
    assert classify(error, dialect, sent=False) is Failure.OTHER


def test_a_full_pool_passes() -> None:
    """SQLAlchemy's own TimeoutError is not the builtin one: nothing was sent, and it may pass."""
    error = PoolTimeoutError("QueuePool limit of size 5 overflow 0 reached")
    failure = classify(error, POSTGRESQL, sent=False)

    result = database_error(error, failure, POSTGRESQL, "t", outcome_unknown=False)

    assert failure is Failure.OTHER
    assert (result.transient, result.outcome_unknown) == (True, False)
    assert "QueuePool limit" in str(result)


@pytest.mark.parametrize(("dialect", "error", "failure"), CASES)
def test_the_error_to_raise_says_what_the_failure_means(
    dialect: Any, error: Exception, failure: Failure
) -> None:
    """It keeps SQLAlchemy's error as its cause, and begins with the driver's class."""
    cause = wrapped(error)

    result = database_error(cause, failure, dialect, "odd table", outcome_unknown=False)

    assert result.__cause__ is cause
    assert result.transient == (failure in TRANSIENT)
    assert not result.outcome_unknown
    if failure is Failure.SCHEMA_MISSING:
        assert str(result).startswith("the table 'odd table' is missing or outdated: run `sess")
        assert "alembic upgrade head" in str(result)
        assert "sessionstore_sql.migrate.upgrade" in str(result)
    else:
        assert str(result).startswith(f"{type(error).__name__}: ")


def test_an_error_without_a_text_is_named() -> None:
    """Some have none."""
    result = database_error(
        TimeoutError(), Failure.UNANSWERED, POSTGRESQL, "t", outcome_unknown=True
    )

    assert str(result) == "TimeoutError"
    assert result.outcome_unknown


def chain_of(error: BaseException) -> list[BaseException]:
    """Return ``error`` and everything it leads to."""
    found: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        current = pending.pop()
        if isinstance(current, BaseException) and current not in found:
            found.append(current)
            pending += [current.__cause__, current.__context__, getattr(current, "orig", None)]
    return found


def shown_by(error: BaseException) -> str:
    """Return whatever a log or an error tracker could print of ``error``."""
    shown = ["".join(traceback.format_exception(error))]
    for each in chain_of(error):
        shown += [str(each), repr(each), repr(each.args), repr(getattr(each, "__dict__", None))]
        shown += [repr(getattr(each, name, None)) for name in ("detail", "hint", "params", "where")]
        shown.append(repr(getattr(getattr(each, "diag", None), "message_detail", None)))
    return "\n".join(shown)


def test_the_way_of_looking_finds_secrets() -> None:
    """Without redaction, each of the places does show the value."""
    errors = [
        wrapped(RuntimeError()),
        from_asyncpg("23505", detail=f"Key (id)=({SECRET})"),
        from_asyncpg("23505", where=SECRET),
        from_pymysql(1062, f"Duplicate entry '{SECRET}' for key 't.PRIMARY'"),
    ]

    assert [SECRET in shown_by(error) for error in errors] == [True] * 4


@pytest.mark.parametrize(
    ("dialect", "error"),
    [
        (POSTGRESQL, from_asyncpg("23505", "duplicate key", detail=f"Key (id)=({SECRET}) exists.")),
        (POSTGRESQL, from_asyncpg("23502", "null value", detail=f"Failing row ({SECRET}).")),
        (POSTGRESQL, from_asyncpg("22000", "odd", where=SECRET, hint=SECRET)),
        (POSTGRESQL, from_asyncpg("22000", "odd", internal_query=SECRET)),
        (POSTGRESQL, from_psycopg("23505", f"duplicate key\nDETAIL:  Key (id)=({SECRET}) exists.")),
        # As log_parameter_max_length_on_error makes PostgreSQL 13 and later answer.
        (POSTGRESQL, from_psycopg("22P02", f"no\nCONTEXT:  unnamed portal: $1 = '{SECRET}'")),
        (MYSQL, from_pymysql(1062, f"Duplicate entry '{SECRET}' for key 't.PRIMARY'")),
        (MYSQL, from_asyncmy(1062, f"Duplicate entry '{SECRET}' for key 't.PRIMARY'")),
        (MYSQL, from_pymysql(1062, f"Duplicate entry 'a'b\n{SECRET}\\'' for key 't.PRIMARY'")),
        (MYSQL, from_pymysql(1064, f"You have an error near '{SECRET}')' at line 1")),
        (MYSQL, from_pymysql(1064, f"You have an error near '{SECRET.upper()}')' at line 1")),
        (SQLITE, from_sqlite(sqlite3.SQLITE_BUSY, "database is locked")),
    ],
)
def test_no_bound_value_is_left(dialect: Any, error: Exception) -> None:
    """In no text, argument or attribute, from our error to the driver's own."""
    cause = wrapped(error)
    failure = classify(cause, dialect, sent=True)

    result = database_error(cause, failure, dialect, "t", outcome_unknown=False)

    shown = shown_by(result)
    assert SECRET not in shown
    assert SECRET.upper() not in shown
    assert cause.params is None
    assert cause.hide_parameters


@pytest.mark.parametrize(
    ("dialect", "make", "code", "message"),
    [
        (POSTGRESQL, from_asyncpg, "23505", 'duplicate key violates "t_pkey"'),
        (MYSQL, from_pymysql, 1146, "Table 'db.t' doesn't exist"),
        (MYSQL, from_pymysql, 1213, "Deadlock found when trying to get lock"),
        (SQLITE, from_sqlite, sqlite3.SQLITE_BUSY, "database is locked"),
    ],
)
def test_what_an_operator_needs_is_left(
    dialect: Any, make: Callable[..., Exception], code: Any, message: str
) -> None:
    """The primary message names tables and constraints, and stays; codes stay too."""
    error = make(code, message)

    redact(wrapped(error), dialect)

    assert message in str(error)
    assert getattr(error, "sqlstate", None) == code or code in (
        error.args[0],
        getattr(error, "sqlite_errorcode", None),
    )


def test_psycopgs_result_is_forgotten() -> None:
    """The result behind ``diag`` holds the DETAIL line."""
    error: Any = psycopg.errors.UniqueViolation("duplicate key", info={68: SECRET.encode()})
    assert SECRET.encode() in error._info.values()

    redact(wrapped(error), POSTGRESQL)

    assert error._info is None
    assert error.diag.message_detail is None


def test_errors_of_sqlalchemy_without_a_driver_are_redacted() -> None:
    """A value that could not be bound is in the parameters of a ``StatementError``."""
    error = StatementError("a value is required", "UPDATE t", {"state": SECRET}, ValueError("no"))

    redact(error, MYSQL)

    assert SECRET not in shown_by(error)


@pytest.mark.parametrize("attribute", ["__cause__", "__context__"])
def test_a_cyclic_chain_ends(attribute: str) -> None:
    """Errors can lead to each other; each is redacted once."""
    first = from_pymysql(1062, f"Duplicate entry '{SECRET}' for key 'a'")
    second = from_pymysql(1062, f"Duplicate entry '{SECRET}' for key 'b'")
    setattr(first, attribute, second)
    setattr(second, attribute, first)

    redact(first, MYSQL)

    assert SECRET not in repr(first) + repr(second)


def test_a_long_chain_is_redacted_to_its_end() -> None:
    """Through causes and contexts, in whatever order, without recursion."""
    last: BaseException = from_pymysql(1062, f"Duplicate entry '{SECRET}' for key 'a'")
    error = last
    for number in range(5_000):
        outer = RuntimeError()
        if number % 2:
            outer.__cause__ = error
        else:
            outer.__context__ = error
        error = outer

    redact(error, MYSQL)

    assert SECRET not in repr(last)


def test_a_password_of_a_few_characters_is_not_told_by_its_gaps() -> None:
    """They would be where it was."""
    url = make_url("mysql://u:e@host/db")

    assert str(connect_error_without_secrets(TypeError("unexpected"), url)) == "TypeError"
    assert (
        str(connect_error_without_secrets(TypeError("no secret"), url.set(password="secret")))
        == "TypeError: no ***"
    )


def test_the_systems_number_is_not_a_servers() -> None:
    """A path that is no folder (20) is not a disk without room."""
    mysql = dialect_named("mysql")

    assert mysql.classify(NotADirectoryError(20, "Not a directory")) is Failure.OTHER
    assert mysql.status_code(NotADirectoryError(20, "Not a directory")) is None
