"""MySQL and MariaDB: no RETURNING, no guarded upsert, and bytes that travel as hexadecimal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    String,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator

from sessionstore_sql.dialects.base import Dialect, Failure, PurgeLock
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.mysql_batches import AllOrNothingBatches
from sessionstore_sql.dialects.mysql_purging import LARGEST_PURGE, PurgeByKey
from sessionstore_sql.dialects.mysql_storage import storage

if TYPE_CHECKING:
    from sqlalchemy import URL, BindParameter, Connection, Engine, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.engine.interfaces import Dialect as SQLAlchemyDialect
    from sqlalchemy.sql.compiler import SQLCompiler

_VANISHED_S = 60
"""After which who holds a lock, and says nothing, is taken for dead."""

_CONNECT_TIMEOUT_S = 10
_LOCK_TIMEOUT_S = 3
_STATEMENT_TIMEOUT_S = 10

_READS_AND_WRITES = 7
"""SELECT; UPDATE and DELETE; INSERT: one bit each."""

_FAILURES = {
    1062: Failure.DUPLICATE_KEY,
    1586: Failure.DUPLICATE_KEY,
    1020: Failure.ABORTED,  # MariaDB 11.6.2 on: the row changed since the snapshot (hazard M12)
    1213: Failure.ABORTED,
    1205: Failure.LOCKED,
    3572: Failure.LOCKED,
    1243: Failure.STALE_PLAN,
    1615: Failure.STALE_PLAN,
    1290: Failure.READ_ONLY,
    1792: Failure.READ_ONLY,
    1836: Failure.READ_ONLY,
    1040: Failure.UNREACHABLE,
    1047: Failure.UNREACHABLE,  # Galera: the node is not part of the cluster yet
    1129: Failure.UNREACHABLE,
    1203: Failure.UNREACHABLE,
    1226: Failure.UNREACHABLE,
    2002: Failure.UNREACHABLE,
    2003: Failure.UNREACHABLE,
    4031: Failure.UNREACHABLE,  # MySQL 8.0.24 on: closed for inactivity, before our statement
    1053: Failure.LOST,
    1180: Failure.LOST,  # Galera: the node lost the others while it committed
    1077: Failure.LOST,
    1079: Failure.LOST,
    1927: Failure.LOST,
    2006: Failure.LOST,
    2013: Failure.LOST,
    2014: Failure.LOST,
    2045: Failure.LOST,
    2055: Failure.LOST,
    1317: Failure.TIMED_OUT,
    1969: Failure.TIMED_OUT,
    3024: Failure.TIMED_OUT,
    3: Failure.OUT_OF_RESOURCES,
    20: Failure.OUT_OF_RESOURCES,
    1021: Failure.OUT_OF_RESOURCES,
    1026: Failure.OUT_OF_RESOURCES,
    1037: Failure.OUT_OF_RESOURCES,
    1038: Failure.OUT_OF_RESOURCES,
    1041: Failure.OUT_OF_RESOURCES,
    1114: Failure.OUT_OF_RESOURCES,
    1105: Failure.UNSUPPORTED,  # Percona XtraDB Cluster: GET_LOCK, under its strict mode
    1235: Failure.UNSUPPORTED,  # likewise MariaDB 10.6.13 and 10.11.3 as Galera nodes
    1054: Failure.SCHEMA_MISSING,
    1146: Failure.SCHEMA_MISSING,
}

_OF_THE_ENGINE = 1030
_NO_ROOM = re.compile(r"error (28|122|135)\b")
"""What InnoDB adds where the disk, a quota or a file of its own is full."""

_ALWAYS_FITS = 256 * 1024
"""A state of so many bytes fits the smallest max_allowed_packet in use, MySQL 5's 1 MiB."""

_VALUE = re.compile(r"(?<=entry )'.*'(?= for key)|[0-9A-Fa-f]{32,}", re.DOTALL)


class HexBytes(TypeDecorator[bytes]):
    """Bytes bound as ``UNHEX('..')``.

    The drivers put parameters into the statement themselves. Their literals for bytes are
    wrong, and open to injection, under the sql_mode NO_BACKSLASH_ESCAPES (hazard M2), and with
    some versions of PyMySQL fail altogether (hazard M1). Hexadecimal digits need no escaping.
    """

    impl = String
    cache_ok = True

    def process_bind_param(
        self,
        value: bytes | None,
        dialect: SQLAlchemyDialect,  # noqa: ARG002
    ) -> str | None:
        """Return the digits."""
        return None if value is None else value.hex()

    def bind_expression(self, bindparam: BindParameter[bytes]) -> ColumnElement[bytes]:
        """Return what turns them back, on the server."""
        return func.unhex(bindparam, type_=LargeBinary())


@compiles(now, "mysql", "mariadb")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # Neither NOW() nor UNIX_TIMESTAMP(): they move with the session's time_zone (hazard M6).
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)))"


def _purge_lock(table: Table) -> PurgeLock:
    # The name is the server's, not the database's, and has 64 characters at the most: the digest
    # tells databases and tables apart.
    database = func.database() if table.schema is None else literal(table.schema)
    place = func.concat(database, ".", table.name)
    name = func.concat("sessionstore_purge_", func.left(func.sha2(place, 256), 32))
    return PurgeLock(
        take=select(func.get_lock(name, 0)),
        # A machine that loses power doesn't close its connections, and the server would keep the
        # lock of one for the wait_timeout: 8 hours.
        guard=text(
            "SET @sessionstore_wait_timeout = @@SESSION.wait_timeout,"
            f" SESSION wait_timeout = {_VANISHED_S}"
        ),
        release=select(func.release_lock(name)),
        unguard=text("SET SESSION wait_timeout = @sessionstore_wait_timeout"),
    )


def _state_limit(connection: Connection, size: int) -> int | None:
    if size <= _ALWAYS_FITS:
        return None
    packet = connection.execute(text("SELECT @@max_allowed_packet")).scalar_one()
    return (int(packet) - _ALWAYS_FITS) // 2  # two digits for a byte, and room for the rest


def _classify(error: BaseException) -> Failure:
    code = _number(error)
    if code == _OF_THE_ENGINE and _NO_ROOM.search(str(error)):
        return Failure.OUT_OF_RESOURCES
    return Failure.OTHER if code is None else _FAILURES.get(code, Failure.OTHER)


def _status_code(error: BaseException) -> str | None:
    code = _number(error)
    return None if code is None else str(code)


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):  # its number is the operating system's
        return None
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None


def _redact(message: str) -> str:
    return _VALUE.sub("<hidden>", message)


def _engine_options(_url: URL) -> dict[str, Any]:
    return {"connect_args": {"connect_timeout": _CONNECT_TIMEOUT_S}}


def _prepare_engine(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SHOW SESSION VARIABLES WHERE variable_name IN ('version', 'wsrep_on')")
        variables = dict(cursor.fetchall())
        # READ COMMITTED locks the rows a statement changes and not the gaps beside them, where
        # purges and updates would deadlock (hazard M7).
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # The second is for tables: by default, a statement waits a year for an ALTER TABLE.
        cursor.execute(
            f"SET SESSION innodb_lock_wait_timeout = {_LOCK_TIMEOUT_S},"
            f" lock_wait_timeout = {_LOCK_TIMEOUT_S}"
        )
        if variables.get("wsrep_on") == "ON":
            # A Galera node answers with what it has, a moment before or after the others: so each
            # statement is to wait until it has what any node had committed (hazard M17).
            cursor.execute(f"SET SESSION wsrep_sync_wait = {_READS_AND_WRITES}")
        if "mariadb" in variables["version"].lower():
            cursor.execute(f"SET SESSION max_statement_time = {_STATEMENT_TIMEOUT_S}")
        else:  # in milliseconds, and for SELECT only
            cursor.execute(f"SET SESSION max_execution_time = {_STATEMENT_TIMEOUT_S * 1000}")
        cursor.close()


DIALECT = Dialect(
    binary=HexBytes(),
    purge_by_key=PurgeByKey,
    purge_lock=_purge_lock,
    batches=AllOrNothingBatches,
    largest_purge=LARGEST_PURGE,
    error_aborts_transaction=False,
    autocommit_is_free=False,
    state_limit=_state_limit,
    classify=_classify,
    status_code=_status_code,
    redact=_redact,
    storage=storage,
    drivers={"aiomysql": "mysql", "asyncmy": "asyncmy"},
    engine_options=_engine_options,
    answer_timeout_s=_STATEMENT_TIMEOUT_S + 2,
    prepare_engine=_prepare_engine,
)
