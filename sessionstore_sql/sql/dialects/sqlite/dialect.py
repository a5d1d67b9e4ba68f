"""SQLite: one writer at a time, and a thread for each connection."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.compiler import compiles

from sessionstore_sql.sql.dialects.base import Dialect
from sessionstore_sql.sql.dialects.clauses import now
from sessionstore_sql.sql.dialects.returning_endings import ReturningEndings
from sessionstore_sql.sql.dialects.sqlite import errors
from sessionstore_sql.sql.dialects.sqlite.batches import batches
from sessionstore_sql.sql.dialects.sqlite.connecting import SQLiteConnector, is_in_memory
from sessionstore_sql.sql.dialects.sqlite.driver import IN_ONE_TURN, channel_of
from sessionstore_sql.sql.dialects.sqlite.problems import problems
from sessionstore_sql.sql.dialects.sqlite.purge import SingleWriterPurger
from sessionstore_sql.sql.dialects.sqlite.storage import storage
from sessionstore_sql.sql.dialects.sqlite.upgrading import upgrading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection, Engine, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.sql.dialects.base import Batches, Purger
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.dialects.failure import Failure
    from sessionstore_sql.sql.dialects.storage import Storage
    from sessionstore_sql.sql.dialects.upgrading import Wait
    from sessionstore_sql.sql.senders import Channel

_SETTINGS = {
    # KiB. Random sessions are on random pages; the default of 2 MB would read them again and again.
    "cache_size": -16_000,
    # Pages, 40 MB. Writes to random sessions change the same pages again and again, and each
    # checkpoint copies all of them into the database.
    "wal_autocheckpoint": 10_000,
}


@compiles(now, "sqlite")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # Before SQLite 3.42, unixepoch('subsec') is NULL, without an error: every comparison would be
    # false, and every session missing. julianday() has the milliseconds of the clock.
    return "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)"


class SQLite(Dialect):
    """SQLite, through aiosqlite."""

    drivers = {"aiosqlite": "sqlite"}  # noqa: RUF012  # never changed

    connector = SQLiteConnector()

    sender = IN_ONE_TURN

    # ON CONFLICT has a condition, and a row that it does not hold for is not counted.
    upsert = staticmethod(insert)

    has_one_writer = True

    # It works in this process, whose threads take turns.
    statements_at_once = 1

    def channel_of(self, driver_connection: object) -> Channel | None:
        """Return a channel to a driver's connection; ``None`` if there is none for the driver."""
        return channel_of(driver_connection)

    def batches(self, table: Table, lifetime: int | None = None, subjects: int = 1) -> Batches:
        """Return the operations on many sessions at once."""
        return batches(table, lifetime, subjects)

    def endings(self, table: Table) -> Endings:
        """Return what ends the sessions of one subject."""
        return ReturningEndings(table, self)

    def purger(self, table: Table) -> Purger:
        """Return what removes expired rows."""
        return SingleWriterPurger(table)

    def storage(self, connection: Connection, table: Table) -> Storage:  # noqa: ARG002
        """Return the size of the file."""
        return storage(connection)

    def problems(self, connection: Connection, table: Table) -> Iterable[str]:
        """Return what keeps the store from working, although the columns are right."""
        return problems(connection, table)

    def upgrading(
        self, connection: Connection, key: bytes, wait: Wait
    ) -> AbstractContextManager[None]:
        """Hold the lock for migrations of one table while the context lasts."""
        return upgrading(connection, key, wait)

    def prepare_engine(self, engine: Engine) -> None:
        """Turn the write-ahead log on; keep a database in memory for as long as the engine."""
        keeper: list[sqlite3.Connection] = []
        url = engine.url
        in_memory = is_in_memory(url)

        @event.listens_for(engine, "connect")
        def prepare(connection: DBAPIConnection, _record: object) -> None:
            if not in_memory:
                cursor = connection.cursor()
                cursor.execute("PRAGMA journal_mode=WAL")
                for setting, value in _SETTINGS.items():
                    cursor.execute(f"PRAGMA {setting}={value}")
                cursor.close()
            elif not keeper:
                # No call is made on it, so no cancelled call closes it.
                query = "&".join(f"{name}={url.query[name]}" for name in url.query if name != "uri")
                uri = f"{url.database}?{query}"
                keeper.append(sqlite3.connect(uri, uri=True, check_same_thread=False))

        @event.listens_for(engine, "engine_disposed")
        def release(_engine: Engine) -> None:
            while keeper:
                keeper.pop().close()

    def classify(self, error: BaseException) -> Failure:
        """Return what a driver's error means."""
        return errors.classify(error)

    def status_code(self, error: BaseException) -> str | None:
        """Return the extended result code."""
        code = errors.result_code_of(error)
        return None if code is None else str(code)

    def namespace(self, url: URL) -> str | None:
        """Return the path of the file."""
        # The name of a database in memory is random.
        return ":memory:" if is_in_memory(url) else url.database

    def absent_file(self, url: URL) -> str | None:
        """Return the path of the file if it does not exist."""
        path = url.database or ""
        # A name that begins with file: is a URI, which has its own option against creating a file.
        if is_in_memory(url) or path.startswith("file:") or Path(path).exists():
            return None
        return path


DIALECT = SQLite()
