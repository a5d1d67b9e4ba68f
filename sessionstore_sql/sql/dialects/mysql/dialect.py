"""MySQL and MariaDB: no RETURNING for UPDATE, no conditional upsert, bytes sent as hexadecimal."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, LargeBinary, String, event, func, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator

from sessionstore_sql.sql.dialects.base import Dialect
from sessionstore_sql.sql.dialects.clauses import now
from sessionstore_sql.sql.dialects.mysql import errors
from sessionstore_sql.sql.dialects.mysql.batches import AllOrNothingBatches
from sessionstore_sql.sql.dialects.mysql.channels import channel_of
from sessionstore_sql.sql.dialects.mysql.connecting import MySQLConnector
from sessionstore_sql.sql.dialects.mysql.endings import LockingEndings
from sessionstore_sql.sql.dialects.mysql.problems import problems
from sessionstore_sql.sql.dialects.mysql.purge import PurgerByKey
from sessionstore_sql.sql.dialects.mysql.storage import connections, storage
from sessionstore_sql.sql.dialects.mysql.upgrading import upgrading
from sessionstore_sql.sql.sockets import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import BindParameter, Connection, Engine, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.engine.interfaces import Dialect as SQLAlchemyDialect
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.sql.dialects.base import Batches, Purger
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.dialects.failure import Failure
    from sessionstore_sql.sql.dialects.storage import Connections, Storage
    from sessionstore_sql.sql.dialects.upgrading import Wait
    from sessionstore_sql.sql.senders import Channel

_LOCK_TIMEOUT_S = 3
_STATEMENT_TIMEOUT_S = 10

_SYNC_BEFORE_ALL = 7
"""Bits of wsrep_sync_wait: 1 for SELECT, 2 for UPDATE and DELETE, 4 for INSERT."""

_SMALL_STATE_BYTES = 256 * 1024
"""A state of so many bytes fits the smallest max_allowed_packet in use, 1 MiB of MySQL 5."""


@compiles(now, "mysql", "mariadb")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # NOW() and UNIX_TIMESTAMP() depend on the time_zone of the session.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)))"


class HexBytes(TypeDecorator[bytes]):
    """Bytes bound as ``UNHEX('..')``.

    The drivers put parameters into the statement's text themselves. Their literals for bytes are
    wrong, and open to injection, under the sql_mode NO_BACKSLASH_ESCAPES, and fail with some
    versions of PyMySQL. Hexadecimal digits need no escaping.
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
        """Return the function with which the server decodes the digits."""
        return func.unhex(bindparam, type_=LargeBinary())


def _socket_of(driver_connection: object) -> int | None:
    """Return the file descriptor of a connection's socket."""
    driver: Any = driver_connection
    if hasattr(driver, "_transport"):  # asyncmy
        return descriptor_of(driver._transport)  # noqa: SLF001
    if hasattr(driver, "_writer"):  # aiomysql
        writer = driver._writer  # noqa: SLF001
        return descriptor_of(None if writer is None else writer.transport)
    return None


class MySQL(Dialect):
    """MySQL and MariaDB, through aiomysql or asyncmy."""

    drivers = {"aiomysql": "mysql", "asyncmy": "asyncmy"}  # noqa: RUF012  # never changed
    small_state_bytes = _SMALL_STATE_BYTES

    connector = MySQLConnector()

    binary = HexBytes()

    socket_of = staticmethod(_socket_of)

    answer_timeout_s = _STATEMENT_TIMEOUT_S + 2

    def channel_of(self, driver_connection: object) -> Channel | None:
        """Return a channel to a driver's connection; ``None`` if there is none for the driver."""
        return channel_of(driver_connection)

    def equals(self, column: ColumnElement[bytes], value: bytes) -> ColumnElement[bool]:
        """Return the condition that ``column`` holds ``value``, which is not sent.

        A statement that sets a large state, and sent the former one too, would be larger than
        ``max_allowed_packet``.
        """
        return func.sha2(column, 256) == hashlib.sha256(value).hexdigest()

    def batches(self, table: Table, lifetime: int | None = None, subjects: int = 1) -> Batches:  # noqa: ARG002
        """Return the operations on many sessions at once."""
        return AllOrNothingBatches(table, lifetime)

    def endings(self, table: Table) -> Endings:
        """Return what ends the sessions of one subject."""
        return LockingEndings(table)

    def purger(self, table: Table) -> Purger:
        """Return what removes expired rows."""
        return PurgerByKey(table)

    def storage(self, connection: Connection, table: Table) -> Storage:
        """Return the size of a table, from information_schema."""
        return storage(connection, table)

    def connections(self, connection: Connection) -> Connections:
        """Return the server's counters of connections."""
        return connections(connection)

    def problems(self, connection: Connection, table: Table) -> Iterable[str]:
        """Return what keeps the store from working, although the columns are right."""
        return problems(connection, table)

    def upgrading(
        self, connection: Connection, key: bytes, wait: Wait
    ) -> AbstractContextManager[None]:
        """Hold the lock for migrations of one table while the context lasts."""
        return upgrading(connection, key, wait)

    def prepare_engine(self, engine: Engine) -> None:
        """Set the isolation level and the timeouts of each connection."""

        @event.listens_for(engine, "connect")
        def prepare(connection: DBAPIConnection, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("SHOW SESSION VARIABLES WHERE variable_name IN ('version', 'wsrep_on')")
            variables = dict(cursor.fetchall())
            # It locks the rows that a statement changes. REPEATABLE READ locks the gaps beside
            # them as well, where purges and updates would deadlock.
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # lock_wait_timeout is for whole tables: by default, a statement waits for an ALTER
            # TABLE for a year. Every statement finds its rows by key, but the optimizer may read a
            # table of a few rows as a whole, which sql_safe_updates rejects.
            cursor.execute(
                f"SET SESSION innodb_lock_wait_timeout = {_LOCK_TIMEOUT_S},"
                f" lock_wait_timeout = {_LOCK_TIMEOUT_S}, sql_safe_updates = OFF"
            )
            if variables.get("wsrep_on") == "ON":
                # A Galera node may be a moment behind the others. So each statement waits until the
                # node has applied what any other node had committed.
                cursor.execute(f"SET SESSION wsrep_sync_wait = {_SYNC_BEFORE_ALL}")
            if "mariadb" in variables["version"].lower():
                cursor.execute(f"SET SESSION max_statement_time = {_STATEMENT_TIMEOUT_S}")
            else:  # in milliseconds, and for SELECT only
                cursor.execute(f"SET SESSION max_execution_time = {_STATEMENT_TIMEOUT_S * 1000}")
            cursor.close()

    def classify(self, error: BaseException) -> Failure:
        """Return what a driver's error means."""
        return errors.classify(error)

    def status_code(self, error: BaseException) -> str | None:
        """Return the number of the error."""
        number = errors.number_of(error)
        return None if number is None else str(number)

    def advice(self, error: BaseException) -> str | None:
        """Return what an error means for the transaction, and how to avoid it."""
        return errors.advice(error)

    def redact(self, message: str) -> str:
        """Return an error's text without the values that it quotes."""
        return errors.redact(message)

    def state_limit(self, connection: Connection) -> int | None:
        """Return the maximum size of a state in bytes, for a state that is not small."""
        packet = connection.execute(text("SELECT @@max_allowed_packet")).scalar_one()
        # Two digits for a byte, and room for the rest of the statement.
        return (int(packet) - _SMALL_STATE_BYTES) // 2


DIALECT = MySQL()
