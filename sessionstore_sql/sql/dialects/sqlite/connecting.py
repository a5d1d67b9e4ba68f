"""How aiosqlite opens SQLite's files, and databases in memory."""

from __future__ import annotations

import secrets
import sqlite3
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.pool import AsyncAdaptedQueuePool

from sessionstore_sql.sql.dialects.connecting import Connector
from sessionstore_sql.sql.dialects.sqlite.creators import open_connection
from sessionstore_sql.sql.url_options import (
    anything,
    boolean,
    one_of,
    seconds_or_none,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL

    from sessionstore_sql.sql.dialects.connecting import Host
    from sessionstore_sql.sql.url_options import Reader

_BUSY_TIMEOUT_S = 5

_MEMDB = {"vfs": "memdb", "uri": "true"}

_OF_URIS: dict[str, Reader] = {
    "mode": one_of("ro", "rw", "rwc", "memory"),
    "cache": one_of("shared", "private"),
    "vfs": anything,
    "psow": boolean,
    "nolock": boolean,
    "immutable": boolean,
    "modeof": anything,
}
"""SQLite's own (https://www.sqlite.org/uri.html). It reads them in a URI only."""


class SQLiteConnector(Connector):
    """Connects through aiosqlite."""

    has_hosts = False
    options: ClassVar[Mapping[str, Mapping[str, Reader]]] = {
        "aiosqlite": {
            "uri": boolean,
            "timeout": seconds_or_none,
            "isolation_level": one_of("DEFERRED", "IMMEDIATE", "EXCLUSIVE"),
            "detect_types": whole_number,
            "check_same_thread": boolean,
            "cached_statements": whole_number,
            **_OF_URIS,
        }
    }

    def at(self, url: URL, hosts: Sequence[Host]) -> URL:
        """Return ``url``, which is for a file of this machine."""
        if hosts:
            raise ValueError(
                "the database URL names a host, and SQLite has none: a relative path comes after "
                "three slashes, as in sqlite:///sessions.db, an absolute one after four"
            )
        if not is_uri(url) and (ours := [each for each in _OF_URIS if each in url.query]):
            raise ValueError(
                f"the database URL has the option {ours[0]}, which SQLite reads in a URI only: "
                "sqlite:///file:sessions.db?uri=true and further options"
            )
        return url

    def driver_url(self, url: URL) -> URL:
        """Return the URL as it is: SQLAlchemy knows these options."""
        return url

    def engine_options(self, url: URL, *, for_sessions: bool) -> dict[str, Any]:
        """Return the URL, with a name for a database in memory, and the driver's arguments."""
        connect_args: dict[str, Any] = {"async_creator_fn": open_connection}
        options: dict[str, Any] = {"url": url, "connect_args": connect_args}
        if not for_sessions:
            return options
        if "timeout" not in url.query:
            options["connect_args"]["timeout"] = _BUSY_TIMEOUT_S
        if sys.version_info >= (3, 12):
            # In other modes, SQLAlchemy's isolation levels mean nothing: with autocommit=False its
            # AUTOCOMMIT never commits, and with True its transactions never begin. This mode will
            # not be the default in every version of Python.
            options["connect_args"]["autocommit"] = sqlite3.LEGACY_TRANSACTION_CONTROL
        if is_shared_in_memory(url):
            # Its connections lock each other's tables, and the busy timeout does not apply there.
            options |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1}
        elif is_in_memory(url):
            # A private :memory: database is lost with its one connection, which a cancelled call
            # closes. One in the memdb VFS is shared by name, and lives as long as any connection.
            name = f"/sessionstore-{secrets.token_hex(8)}"
            options["url"] = url.set(database=f"file:{name}", query=_MEMDB)
        return options

    def is_lasting(self, url: URL) -> bool:
        """Return whether the database is a file, or in memory under a name that others share."""
        return is_shared_in_memory(url) or not is_in_memory(url)


def is_uri(url: URL) -> bool:
    """Whether SQLite reads the path as a URI, and options in it."""
    return url.query.get("uri") == "true"


def is_in_memory(url: URL) -> bool:
    """Return whether the database has no file."""
    database = url.database or ""
    return (
        database in {"", ":memory:"}
        or database.startswith("file::memory:")
        or (database.startswith("file:") and url.query.get("mode") == "memory")
        or (database.startswith("file:") and url.query.get("vfs") == "memdb")
    )


def is_shared_in_memory(url: URL) -> bool:
    """Return whether other connections can open the database by its name."""
    return is_in_memory(url) and ("vfs" in url.query or url.query.get("cache") == "shared")
