"""The databases: their URLs, a new one for each run, their versions and settings."""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from benchmarks.peer import NotRunError
from sessionstore_sql.sql.urls import normalise_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

DATABASES = ("postgresql", "mysql", "mariadb", "sqlite")
_DEFAULT_URLS = {"postgresql": "postgresql://root@127.0.0.1/test"}

_SETTINGS = {
    "postgresql": ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers"),
    "mysql": (
        "innodb_flush_log_at_trx_commit",
        "sync_binlog",
        "log_bin",
        "innodb_doublewrite",
        "innodb_flush_method",
        "innodb_buffer_pool_size",
    ),
}
_SETTINGS["mariadb"] = _SETTINGS["mysql"]
"""Settings that determine the cost and the durability of a commit."""


def variable_of(database: str) -> str:
    """Return the environment variable that holds the URL of a server."""
    return f"SESSIONSTORE_BENCH_{database.upper()}_URL"


@dataclass(frozen=True, slots=True)
class Target:
    """A database of this run, and the resources of every peer on it."""

    database: str
    url: URL
    """The URL, with an async driver."""
    pool: int
    """Number of connections of each peer."""
    sessions: int
    """Number of sessions before the measurement starts."""

    def resized(self, sessions: int) -> Target:
        """Return the same database with another number of sessions."""
        return replace(self, sessions=sessions)

    @property
    def dsn(self) -> str:
        """The URL without a driver, for other programs."""
        scheme = self.url.get_backend_name()
        return self.url.set(drivername=scheme).render_as_string(hide_password=False)

    @property
    def path(self) -> str:
        """The file of a SQLite database."""
        assert self.url.database is not None
        return self.url.database


@asynccontextmanager
async def fresh_database(database: str, *, pool: int, sessions: int) -> AsyncIterator[Target]:
    """Create a database, and drop it afterwards.

    Raises:
        NotRunError: No server is available.
    """
    if database == "sqlite":
        with tempfile.TemporaryDirectory(prefix="sessionstore-bench-") as folder:
            path = Path(folder) / "bench.db"
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
            yield Target(database, make_url(f"sqlite+aiosqlite:///{path}"), pool, sessions)
        return
    given = os.environ.get(variable_of(database), _DEFAULT_URLS.get(database))
    if not given:
        raise NotRunError(f"{variable_of(database)} is not set")
    server = normalise_url(given)
    name = f"sessionstore_bench_{os.getpid()}_{secrets.token_hex(3)}"
    try:
        await execute(server, f"CREATE DATABASE {name}")
    except Exception as error:
        raise NotRunError(f"cannot create a database: {one_line(error)}") from error
    try:
        yield Target(database, server.set(database=name), pool, sessions)
    finally:
        force = " WITH (FORCE)" if database == "postgresql" else ""
        await execute(server, f"DROP DATABASE {name}{force}")


def scratch_engine(url: URL, *, autocommit: bool = True) -> AsyncEngine:
    """Return an engine for unmeasured work: without a pool and without durability."""
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    engine = create_async_engine(url, poolclass=NullPool, **options)
    if url.get_backend_name() == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def hurry(connection: DBAPIConnection, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA busy_timeout=30000")
            cursor.close()

    return engine


async def execute(url: URL, *statements: str) -> list[Any]:
    """Execute statements, each in its own transaction; return the rows of the last."""
    engine = scratch_engine(url)
    try:
        rows: list[Any] = []
        async with engine.connect() as connection:
            for statement in statements:
                result = await connection.exec_driver_sql(statement)
                rows = list(result.all()) if result.returns_rows else []
        return rows
    finally:
        await engine.dispose()


async def settle(target: Target) -> None:
    """Let the database process all writes before the measurement starts."""
    if target.database == "postgresql":
        # No CHECKPOINT: after it, whole pages are logged, which affects slow stores most.
        await execute(target.url, "VACUUM ANALYZE")
    elif target.database == "sqlite":
        await execute(target.url, "PRAGMA wal_checkpoint(TRUNCATE)", "ANALYZE")


async def about(target: Target) -> dict[str, str]:
    """Return the version of a database and the settings that affect durability."""
    if target.database == "sqlite":
        rows = [await execute(target.url, "SELECT sqlite_version()")]
        settings = {
            # This connection has synchronous=OFF; those of the peers do not.
            "journal_mode": str((await execute(target.url, "PRAGMA journal_mode"))[0][0]),
            "synchronous": "FULL (the default), unless the line of a peer says otherwise",
        }
        return {"version": f"SQLite {rows[0][0][0]}", **settings}
    version = (await execute(target.url, "SELECT version()"))[0][0]
    found = {"version": str(version)}
    for name in _SETTINGS[target.database]:
        if target.database == "postgresql":
            rows = await execute(target.url, f"SHOW {name}")
            found[name] = str(rows[0][0])
        else:
            rows = await execute(target.url, f"SHOW GLOBAL VARIABLES LIKE '{name}'")
            found[name] = str(rows[0][1]) if rows else "unknown"
    return found


def one_line(error: BaseException) -> str:
    """Return an error as one line for a table, without a URL."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}".rstrip(": ")
