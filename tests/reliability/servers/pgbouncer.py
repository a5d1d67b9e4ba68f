"""PgBouncer in front of a PostgreSQL server of our own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL

from tests.reliability.servers.process import ServerProcess, free_port, ini
from tests.reliability.servers.programs import MissingError, Program, find, find_unpacked

_PACKAGE = "pgbouncer"
_PREPARES = (1, 21)
"""The first version that keeps prepared statements apart from the connections to the server."""

SETTINGS = {
    "pool_mode": "transaction",
    "default_pool_size": 4,
    "server_login_retry": 1,
    "ignore_startup_parameters": "lock_timeout,statement_timeout,options",
}


class Behind(Protocol):
    """A server, or a database on one."""

    @property
    def url(self) -> URL:
        """Of the database."""


class PgBouncer:
    """In transaction mode, with fewer connections to the server than clients have to it."""

    def __init__(self, folder: Path, behind: Behind, settings: Mapping[str, object]) -> None:
        """Use ``folder``, and pass on what is said to ``behind``."""
        self.process = ServerProcess(folder)
        self.port = free_port()
        self._behind = behind
        self._settings = settings
        self._file = folder / "pgbouncer.ini"

    @property
    def url(self) -> URL:
        """Of the server's database, through here."""
        return self._behind.url.set(port=self.port)

    async def start(self, program: Program) -> None:
        """Start, and wait until the server answers through here."""
        server = self._behind.url
        database = f"host={server.host} port={server.port} user={server.username}"
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "any",
            # Only when it runs, because an unpacked version may be in a private folder.
            **({"user": "postgres"} if os.geteuid() == 0 else {}),
            **SETTINGS,
            **self._settings,
        }
        self._file.write_text(ini({"databases": {"*": database}, "pgbouncer": settings}))
        self.process.start([*program.command, str(self._file)])
        await self.process.until_answering(self.url)

    def kill(self) -> None:
        """Kill it, and with it every connection."""
        self.process.kill()

    def stop(self) -> None:
        """End it; may be repeated."""
        self.process.stop()


def preparing() -> Program:
    """Return a PgBouncer that knows prepared statements.

    Raises:
        MissingError: There is none, or only older ones.
    """
    program = find_unpacked("usr/sbin/pgbouncer") or find("pgbouncer", _PACKAGE)
    if _version(program) < _PREPARES:
        raise MissingError(
            "pgbouncer is older than 1.21 (tests/reliability/unpack.sh sid pgbouncer)"
        )
    return program


def not_preparing() -> Program:
    """Return a PgBouncer that does not, such as Debian 12's.

    Raises:
        MissingError: There is none.
    """
    program = find("pgbouncer", _PACKAGE)
    if _version(program) >= _PREPARES:
        raise MissingError("pgbouncer is 1.21 or newer, and knows prepared statements")
    return program


def _version(program: Program) -> tuple[int, ...]:
    printed = subprocess.run(
        [*program.command, "--version"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", printed)
    assert found is not None, printed
    return tuple(map(int, found.groups()))
