"""SQLite: one writer at a time, one statement for everything, a thread for each connection."""

from __future__ import annotations

import secrets
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, delete, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import AsyncAdaptedQueuePool

from sessionstore_sql.dialects.base import Dialect, Failure
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.purging import is_expired, oldest_expired
from sessionstore_sql.dialects.sqlite_batches import batches
from sessionstore_sql.dialects.sqlite_sending import IN_ONE_TURN
from sessionstore_sql.dialects.storage import Storage

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Delete, Engine, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.sql.compiler import SQLCompiler

_BUSY_TIMEOUT_S = 5

_SETTINGS = {
    "cache_size": -16_000,  # KiB: pages of random sessions, which 2 MB would keep reading again
    # Pages, 40 MB: writes to random sessions write the same pages again and again, and all of
    # those go to the database once for each checkpoint.
    "wal_autocheckpoint": 10_000,
}

_FAILURES = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Failure.DUPLICATE_KEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Failure.DUPLICATE_KEY,
    sqlite3.SQLITE_BUSY: Failure.LOCKED,
    sqlite3.SQLITE_LOCKED: Failure.LOCKED,
    sqlite3.SQLITE_FULL: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_IOERR: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_NOMEM: Failure.OUT_OF_RESOURCES,
    sqlite3.SQLITE_INTERRUPT: Failure.TIMED_OUT,
}
_PRIMARY_CODE = 0xFF

_MEMDB = {"vfs": "memdb", "uri": "true"}


@compiles(now, "sqlite")
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    # Not unixepoch('subsec'): before SQLite 3.42 it is NULL, and NULL compares as false, so every
    # session would be missing (hazard S1). julianday() carries the clock's milliseconds.
    return "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)"


def _purge(table: Table) -> Delete:
    return delete(table).where(table.c.id.in_(oldest_expired(table)), is_expired(table))


def _classify(error: BaseException) -> Failure:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Failure.OTHER
    if code == sqlite3.SQLITE_ERROR and "no such" in str(error):  # one code for every mistake
        return Failure.SCHEMA_MISSING
    return _FAILURES.get(code) or _FAILURES.get(code & _PRIMARY_CODE, Failure.OTHER)


def _status_code(error: BaseException) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else str(code)


def _redact(message: str) -> str:
    return message


def _storage(connection: Connection, _table: Table, _rows: int) -> Storage:
    # Not dbstat, which would know the table from its index: it reads every page of the file, and
    # not every build has it.
    page = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return Storage(file_bytes=pages * page, reusable_bytes=free * page)


def _engine_options(url: URL) -> dict[str, Any]:
    connect_args: dict[str, Any] = {"timeout": _BUSY_TIMEOUT_S}
    if sys.version_info >= (3, 12):
        # The mode in which SQLAlchemy's isolation levels mean something, and no default for ever:
        # with autocommit=False its AUTOCOMMIT would silently never commit (hazard A1), and with
        # True its transactions never begin.
        connect_args["autocommit"] = sqlite3.LEGACY_TRANSACTION_CONTROL
    options: dict[str, Any] = {"connect_args": connect_args}
    if _is_shared_in_memory(url):
        # Its connections lock each other out of tables, and the busy timeout doesn't count there.
        options |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1}
    elif _is_in_memory(url):
        # A private :memory: database dies with its one connection, which a cancelled call
        # closes; one in the memdb VFS is shared by name and lives as long as any connection
        # (hazard S2).
        name = f"/sessionstore-{secrets.token_hex(8)}"
        options["url"] = url.set(database=f"file:{name}", query=_MEMDB)
    return options


def _namespace(url: URL) -> str | None:
    # The name of one in memory is drawn anew for each store.
    return ":memory:" if _is_in_memory(url) else url.database


def _absent_file(url: URL) -> str | None:
    path = url.database or ""
    # A name that begins with file: is a URI, which has its own way to say that nothing be made.
    if _is_in_memory(url) or path.startswith("file:") or Path(path).exists():
        return None
    return path


def _is_in_memory(url: URL) -> bool:
    database = url.database or ""
    return (
        database in {"", ":memory:"}
        or database.startswith("file::memory:")
        or (database.startswith("file:") and url.query.get("mode") == "memory")
        or (database.startswith("file:") and url.query.get("vfs") == "memdb")
    )


def _is_shared_in_memory(url: URL) -> bool:
    """Whether others can open the database by its name, and so are to find it there."""
    return _is_in_memory(url) and ("vfs" in url.query or url.query.get("cache") == "shared")


def _prepare_engine(engine: Engine) -> None:
    keeper: list[sqlite3.Connection] = []
    url = engine.url
    in_memory = _is_in_memory(url)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        if not in_memory:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            for setting, value in _SETTINGS.items():
                cursor.execute(f"PRAGMA {setting}={value}")
            cursor.close()
        elif not keeper:
            # One that no call is made on, and so no cancelled call closes.
            query = "&".join(f"{name}={url.query[name]}" for name in url.query if name != "uri")
            uri = f"{url.database}?{query}"
            keeper.append(sqlite3.connect(uri, uri=True, check_same_thread=False))

    @event.listens_for(engine, "engine_disposed")
    def release(_engine: Engine) -> None:
        while keeper:
            keeper.pop().close()


DIALECT = Dialect(
    binary=LargeBinary(),
    sender=IN_ONE_TURN,
    upsert=insert,
    purge=_purge,
    batches=batches,
    largest_purge=250,  # a few milliseconds, for which nobody else writes
    error_aborts_transaction=False,
    has_one_writer=True,
    statements_at_once=1,  # it works in this process, whose threads take turns
    autocommit_is_free=False,
    classify=_classify,
    status_code=_status_code,
    namespace=_namespace,
    redact=_redact,
    storage=_storage,
    absent_file=_absent_file,
    drivers={"aiosqlite": "sqlite"},
    engine_options=_engine_options,
    prepare_engine=_prepare_engine,
)
