"""PostgreSQL: one statement for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles

from sessionstore_sql.sql.dialects.base import Dialect
from sessionstore_sql.sql.dialects.clauses import now
from sessionstore_sql.sql.dialects.postgresql import errors
from sessionstore_sql.sql.dialects.postgresql.arguments import ANSWER_TIMEOUT_S
from sessionstore_sql.sql.dialects.postgresql.batches import batches
from sessionstore_sql.sql.dialects.postgresql.channels import channel_of
from sessionstore_sql.sql.dialects.postgresql.connecting import PostgreSQLConnector
from sessionstore_sql.sql.dialects.postgresql.endings import PostgreSQLEndings
from sessionstore_sql.sql.dialects.postgresql.problems import parent_of, problems
from sessionstore_sql.sql.dialects.postgresql.purge import StatementPurger
from sessionstore_sql.sql.dialects.postgresql.storage import connections, storage
from sessionstore_sql.sql.dialects.postgresql.upgrading import upgrading
from sessionstore_sql.sql.sockets import CLOSED, descriptor_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Table
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.sql.dialects.base import Batches, Purger
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.dialects.failure import Failure
    from sessionstore_sql.sql.dialects.storage import Connections, Storage
    from sessionstore_sql.sql.dialects.upgrading import Wait
    from sessionstore_sql.sql.senders import Channel


_LIBPQ_OK = 0
"""The status of a libpq connection that is open (CONNECTION_OK)."""


@compiles(now, "postgresql")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # now() would be the start of the transaction, and clock_timestamp() is volatile, so it cannot
    # be a condition for an index.
    return "(CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT))"


def _socket_of(driver_connection: object) -> int | None:
    """Return the file descriptor of a connection's socket."""
    driver: Any = driver_connection
    if hasattr(driver, "_transport"):  # asyncpg
        return descriptor_of(driver._transport)  # noqa: SLF001
    pgconn = getattr(driver, "pgconn", None)  # psycopg
    if pgconn is None:
        return None
    return int(pgconn.socket) if pgconn.status == _LIBPQ_OK else CLOSED


class PostgreSQL(Dialect):
    """PostgreSQL, through asyncpg or psycopg."""

    drivers = {"asyncpg": "asyncpg", "psycopg": "psycopg"}  # noqa: RUF012  # never changed

    connector = PostgreSQLConnector()

    # ON CONFLICT has a condition, and a row that it does not hold for is not counted.
    upsert = staticmethod(insert)

    # After an error, every statement fails until the transaction is rolled back (25P02).
    error_aborts_transaction = True

    # A transaction is begun by a statement, which the drivers leave out in autocommit.
    autocommit_is_free = True

    # NoticeResponse, ParameterStatus, NotificationResponse.
    unsolicited = b"NSA"

    socket_of = staticmethod(_socket_of)

    answer_timeout_s = ANSWER_TIMEOUT_S

    def channel_of(self, driver_connection: object) -> Channel | None:
        """Return a channel to a driver's connection; ``None`` if there is none for the driver."""
        return channel_of(driver_connection)

    def batches(self, table: Table, lifetime: int | None = None, subjects: int = 1) -> Batches:
        """Return the operations on many sessions at once."""
        return batches(table, lifetime, subjects)

    def endings(self, table: Table) -> Endings:
        """Return what ends the sessions of one subject."""
        return PostgreSQLEndings(table, self)

    def purger(self, table: Table) -> Purger:
        """Return what removes expired rows."""
        return StatementPurger(table)

    def storage(self, connection: Connection, table: Table) -> Storage:
        """Return the size of a table, from the system catalog."""
        return storage(connection, table)

    def connections(self, connection: Connection) -> Connections:
        """Return the number of connections, from pg_stat_activity."""
        return connections(connection)

    def problems(self, connection: Connection, table: Table) -> Iterable[str]:
        """Return what keeps the store from working, although the columns are right."""
        return problems(connection, table)

    def parent_of(
        self, connection: Connection, table: str, schema: str | None
    ) -> tuple[str, str] | None:
        """Return the name of the table that this one is a partition of; ``None`` if it is none."""
        return parent_of(connection, table, schema)

    def upgrading(
        self, connection: Connection, key: bytes, wait: Wait
    ) -> AbstractContextManager[None]:
        """Hold the lock for migrations of one table while the context lasts."""
        return upgrading(connection, key, wait)

    def classify(self, error: BaseException) -> Failure:
        """Return what a driver's error means."""
        return errors.classify(error)

    def status_code(self, error: BaseException) -> str | None:
        """Return the SQLSTATE."""
        return errors.sqlstate_of(error)

    def redact(self, message: str) -> str:
        """Return an error's text without the lines that quote values."""
        return errors.redact(message)

    def advice(self, error: BaseException) -> str | None:
        """Return the settings of PgBouncer that an error asks for."""
        return errors.advice(error)

    def is_unreachable(self, error: BaseException) -> bool:
        """Return whether an error while connecting, which has no code, may pass."""
        return errors.is_unreachable(error)


DIALECT = PostgreSQL()
