"""PostgreSQL servers of our own."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL

from tests.reliability.servers.process import (
    ServerProcess,
    descendants,
    execute,
    free_port,
    send_signal,
)
from tests.reliability.servers.programs import find

_INSTALLED = Path("/usr/lib/postgresql")
_SUPERUSER = "postgres"


class PostgreSQL:
    """A server with its data in a folder, on a port of 127.0.0.1."""

    drivers = ("postgresql+asyncpg", "postgresql+psycopg")
    lock_table = "LOCK TABLE sessionstore_sessions IN ACCESS EXCLUSIVE MODE"

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        """Use ``folder``; ``settings`` are those of postgresql.conf, over ours."""
        self._settings = dict(settings or {})
        self.data = folder / "data"
        self.process = ServerProcess(folder, user="postgres")
        self.port = free_port()

    @property
    def url(self) -> URL:
        """Of the database, as its administrator."""
        return URL.create(
            "postgresql+asyncpg",
            _SUPERUSER,
            host="127.0.0.1",
            port=self.port,
            database="postgres",
        )

    async def create(self) -> None:
        """Make an empty database, and start."""
        self.process.run(
            [
                *_program("initdb"),
                "--no-sync",
                "-A",
                "trust",
                "-U",
                _SUPERUSER,
                "-D",
                str(self.data),
            ]
        )
        await self.start()

    async def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            **self._settings,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process.start([*_program("postgres"), "-D", str(self.data), *arguments])
        await self.process.until_answering(self.url)

    def kill(self) -> None:
        """Kill all its processes at once."""
        self.process.kill()

    def kill_backend(self) -> None:
        """Kill one of its processes, as the kernel does when memory is short.

        The server then ends all its connections and recovers by itself.
        """
        send_signal(descendants(self.process.pid)[-1], signal.SIGKILL)

    async def end_connections(self) -> None:
        """End every connection but this one."""
        await execute(
            self.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )

    def stop(self) -> None:
        """End it without waiting for its clients; may be repeated."""
        self.process.stop(signal.SIGINT)


def _program(name: str) -> tuple[str, ...]:
    versions = sorted(_INSTALLED.glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return find(name, "postgresql", versions[::-1]).command
