"""Finds the database servers for the tests, and makes a new database on each for every run."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import migrate

REQUIRE = "SESSIONSTORE_TEST_REQUIRE"
SERVERS = ("postgresql", "mysql", "mariadb")
DATABASES = (*SERVERS, "sqlite")
CHROMIUM = "chromium"


@dataclass(frozen=True)
class Target:
    """A database through one driver."""

    database: str
    drivername: str

    def __str__(self) -> str:
        return f"{self.database}-{self.drivername.partition('+')[2]}"


TARGETS = (
    Target("postgresql", "postgresql+asyncpg"),
    Target("postgresql", "postgresql+psycopg"),
    Target("mysql", "mysql+aiomysql"),
    Target("mysql", "mysql+asyncmy"),
    Target("mariadb", "mariadb+aiomysql"),
    # A common spelling. Until it connects, SQLAlchemy takes this for MySQL (hazard A13).
    Target("mariadb", "mysql+asyncmy"),
    Target("sqlite", "sqlite+aiosqlite"),
)
"""Every database through every driver. The first of each database is its default driver."""

DEFAULT_TARGETS = tuple({each.database: each for each in reversed(TARGETS)}.values())[::-1]
"""Every database through the driver of a URL that names none."""


def required() -> set[str]:
    """Return the names of the databases, and of the browser, whose absence is a failure."""
    return set(filter(None, os.environ.get(REQUIRE, "").replace(" ", "").split(",")))


class UnavailableError(Exception):
    """The database is not available. The message gives the reason."""


class Databases:
    """One database per server, created for this run when a test first needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._urls: dict[str, URL] = {}
        self._missing: dict[str, str] = {}

    def url(self, target: Target) -> URL:
        """Return the URL of this run's database, in which the session table exists.

        Raises:
            UnavailableError: The server is not available.
        """
        database = target.database
        if database in self._missing:
            raise UnavailableError(self._missing[database])
        if database not in self._urls:
            try:
                self._urls[database] = self._make(database)
            except UnavailableError as reason:
                self._missing[database] = str(reason)
                raise
        return self._urls[database].set(drivername=target.drivername)

    def close(self) -> None:
        """Drop the databases of this run."""
        self._stack.close()

    def _make(self, database: str) -> URL:
        if database == "sqlite":
            url = make_url(f"sqlite+aiosqlite:///{self._folder / 'sessions.db'}")
        else:
            server = self._stack.enter_context(server_url(database))
            url = self._stack.enter_context(fresh_database(server))
        asyncio.run(migrate.upgrade(url))
        return url


@contextmanager
def server_url(database: str) -> Iterator[URL]:
    """Yield the URL of a server: the one in the environment, or else a container."""
    variable = f"SESSIONSTORE_TEST_{database.upper()}_URL"
    if given := os.environ.get(variable):
        yield make_url(given).set(drivername=ADMIN_DRIVERS[database])
        return
    if (reason := why_no_docker()) is not None:
        raise UnavailableError(f"{variable} is not set, and {reason}")
    with CONTAINERS[database]() as url:
        yield url.set(drivername=ADMIN_DRIVERS[database])


ADMIN_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mariadb+aiomysql",
}


END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = '{}' AND backend_type = 'client backend'"
)


@contextmanager
def fresh_database(server: URL) -> Iterator[URL]:
    """Yield a new database on ``server`` and drop it afterwards, so runs can share a server."""
    name = f"sessionstore_test_{os.getpid()}_{secrets.token_hex(4)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name)
    finally:
        if server.get_backend_name() == "postgresql":
            # PostgreSQL 12 has no DROP DATABASE .. WITH (FORCE).
            asyncio.run(_execute(server, END_CONNECTIONS.format(name)))
        asyncio.run(_execute(server, f"DROP DATABASE {name}"))


async def _execute(server: URL, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def why_no_docker() -> str | None:
    """Return why containers cannot be started, or ``None`` if a Docker daemon answers."""
    try:
        import docker
    except ImportError:
        return "testcontainers is not installed"
    with warnings.catch_warnings():
        # Without a daemon, the client leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=5)
            client.ping()
            client.close()
        except Exception as error:  # noqa: BLE001  # any failure means that Docker cannot be used
            return f"no Docker daemon answers ({type(error).__name__})"
        finally:
            gc.collect()
    return None


@contextmanager
def _postgresql_container() -> Iterator[URL]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer("postgres:18") as container:
        yield make_url(container.get_connection_url())


def _mysql_container(image: str) -> Callable[[], AbstractContextManager[URL]]:
    @contextmanager
    def run() -> Iterator[URL]:
        from testcontainers.community.mysql import MySqlContainer

        # The tests create databases and change server variables, so they connect as root.
        with MySqlContainer(image, username="root", password="test", dbname="test") as running:
            yield make_url(running.get_connection_url())

    return run


CONTAINERS = {
    "postgresql": _postgresql_container,
    "mysql": _mysql_container("mysql:9.7"),
    "mariadb": _mysql_container("mariadb:11.8"),
}
