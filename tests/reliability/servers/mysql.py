"""MySQL and MariaDB servers of our own."""

from __future__ import annotations

import getpass
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.reliability.servers.process import ServerProcess, free_port
from tests.reliability.servers.programs import MissingError, Program, find, find_unpacked

_USER, _PASSWORD, _DATABASE = "app", "secret", "sessions"


class MySQLFamilyServer(ABC):
    """What the two have in common: a server with its data in a folder, on a port of 127.0.0.1."""

    backend: str
    user: str | None = None
    """Whom it runs as where we are root, if not as root."""
    lock_table = "LOCK TABLES sessionstore_sessions WRITE"

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        """Use ``folder``; ``settings`` are options of the server, over ours."""
        self.folder = folder
        self.data = folder / "data"
        self.process = ServerProcess(folder, self.user)
        self.port = free_port()
        self.settings = dict(settings or {})
        """Options that it starts with, over ours."""

    @property
    def drivers(self) -> Sequence[str]:
        """Through which stores reach it."""
        return (f"{self.backend}+aiomysql", f"{self.backend}+asyncmy")

    @property
    def url(self) -> URL:
        """Of the database, as a user who may do everything."""
        return URL.create(
            f"{self.backend}+aiomysql",
            _USER,
            _PASSWORD,
            host="127.0.0.1",
            port=self.port,
            database=_DATABASE,
        )

    async def create(self, *options: str) -> None:
        """Make an empty database, and start."""
        self.process.run([*self._installer(), f"--datadir={self.data}"])
        init_file = self.folder / "init.sql"
        init_file.write_text(
            f"CREATE DATABASE {_DATABASE};\n"
            f"CREATE USER '{_USER}'@'%' IDENTIFIED BY '{_PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{_USER}'@'%' WITH GRANT OPTION;\n"
        )
        await self.start(f"--init-file={init_file}", *options)

    async def start(self, *options: str) -> None:
        """Start, and wait until it answers."""
        self.launch(*options)
        await self.process.until_answering(self.url)

    def launch(self, *options: str) -> None:
        """Start."""
        settings = {
            "datadir": self.data,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "bind-address": "127.0.0.1",
            "port": self.port,
            **self.settings,
        }
        given = [f"--{name}={value}" for name, value in settings.items()]
        self.process.start([*self._server(), "--skip-name-resolve", *given, *options])

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()

    async def end_connections(self) -> None:
        """End every connection but this one."""
        engine = create_async_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        async with engine.connect() as connection:
            others = await connection.scalars(
                text(
                    "SELECT id FROM information_schema.processlist"
                    " WHERE user = :user AND id <> CONNECTION_ID()"
                ),
                {"user": _USER},
            )
            for other in others.all():
                with suppress(DBAPIError):  # it may be gone
                    await connection.exec_driver_sql(f"KILL {other}")
        await engine.dispose()

    def stop(self) -> None:
        """End it; may be repeated."""
        self.process.stop()

    def _run_as(self) -> str:
        # As root, the servers run only as the user that is named.
        name = getpass.getuser()
        return f"--user={self.user or name if os.geteuid() == 0 else name}"

    @abstractmethod
    def _installer(self) -> Sequence[str]:
        """Return the command that makes an empty data folder."""

    @abstractmethod
    def _server(self) -> Sequence[str]:
        """Return the command that runs the server."""


class MariaDB(MySQLFamilyServer):
    """MariaDB, as Debian has it."""

    backend = "mariadb"

    def _installer(self) -> Sequence[str]:
        program = find("mariadb-install-db", "mariadb-server")
        return [*program.command, "--no-defaults", "--skip-test-db", self._run_as()]

    def _server(self) -> Sequence[str]:
        return [*find("mariadbd", "mariadb-server").command, "--no-defaults", self._run_as()]


class MySQL(MySQLFamilyServer):
    """MySQL, unpacked from Debian's unstable packages, or installed."""

    backend = "mysql"

    def _installer(self) -> Sequence[str]:
        return [*self._server(), "--initialize-insecure"]

    def _server(self) -> Sequence[str]:
        program = mysqld()
        root = program.root / "usr"
        return [
            *program.command,
            "--no-defaults",
            self._run_as(),
            f"--basedir={root}",
            f"--lc-messages-dir={root}/share/mysql",
            f"--character-sets-dir={root}/share/mysql/charsets",
            f"--plugin-dir={root}/lib/mysql/plugin",
            f"--tmpdir={self.folder}",
            "--secure-file-priv=NULL",
            "--mysqlx=OFF",
            "--performance-schema=OFF",
        ]


def mysqld() -> Program:
    """Return MySQL's server.

    Raises:
        MissingError: There is none, or only MariaDB's.
    """
    package = "mysql-server-core"
    program = find_unpacked("usr/sbin/mysqld") or find("mysqld", package)
    version = subprocess.run([*program.command, "--version"], capture_output=True, check=True)
    if b"MariaDB" in version.stdout:
        raise MissingError(
            f"mysqld is MariaDB's; MySQL is not installed (Debian package {package})"
        )
    return program
