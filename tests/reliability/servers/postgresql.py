"""PostgreSQL servers of our own."""

from __future__ import annotations

import shutil
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
        self.settings = dict(settings or {})
        """Those that it starts with, over ours."""
        self.data = folder / "data"
        self.log: Path | None = None
        """Where it writes ahead, if not beside its data."""
        self.installer_options: tuple[str, ...] = ()
        """Of initdb."""
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
        log = [] if self.log is None else [f"--waldir={self.log}"]
        given = ["-A", "trust", "-U", _SUPERUSER, "-D", str(self.data), *log]
        self.process.run([*_program("initdb"), "--no-sync", *given, *self.installer_options])
        await self.start()

    async def follow(self, primary: PostgreSQL) -> None:
        """Become a standby of ``primary``, from a new copy of it, and wait until it can be asked.

        What was in the data folder is gone.
        """
        shutil.rmtree(self.data, ignore_errors=True)
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", _SUPERUSER]
        self.process.run(
            [
                *_program("pg_basebackup"),
                *source,
                f"--pgdata={self.data}",
                "--checkpoint=fast",
                "--wal-method=stream",
            ]
        )
        await self.start_as_standby(primary)

    async def start_as_standby(self, primary: PostgreSQL) -> None:
        """Start as a standby of ``primary``, with the data that is there."""
        self.settings["primary_conninfo"] = (
            f"host=127.0.0.1 port={primary.port} user={_SUPERUSER} application_name={self.port}"
        )
        self.process.make(self.data / "standby.signal")
        await self.start()

    async def promote(self) -> None:
        """Become a primary, and wait until writes are taken."""
        await execute(self.url, "SELECT pg_promote(true, 60)")

    async def until_followed(self) -> None:
        """Wait until a standby has all that was written, and is waited for from here on."""
        followed = (
            "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
            " AND replay_lsn >= pg_current_wal_lsn()"
        )
        await self.process.until_answering(self.url, followed)

    async def reject_writes(self) -> None:
        """Answer what writes with 25006, on connections that are there, too."""
        await execute(
            self.url,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )

    async def accept_writes(self) -> None:
        """End ``reject_writes``; a standby can be told so before it is promoted."""
        await execute(
            self.url,
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )

    async def start(self) -> None:
        """Start, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            **self.settings,
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
        """End every connection but this one, and wait for that, at most 5 s for each."""
        await execute(
            self.url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )

    def stop(self) -> None:
        """End it without waiting for its clients; may be repeated."""
        self.process.stop(signal.SIGINT)


def _program(name: str) -> tuple[str, ...]:
    versions = sorted(_INSTALLED.glob("*/bin"), key=lambda folder: float(folder.parent.name))
    return find(name, "postgresql", versions[::-1]).command
