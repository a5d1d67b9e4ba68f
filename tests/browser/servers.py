"""The shops of ``examples``, started as ``make example`` starts them."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOPS = ("fastapi", "litestar")
SECONDS = 60
"""Timeout for starting and stopping a server."""


@dataclass(frozen=True)
class Shop:
    """A running shop.

    Args:
        port: The port on the loopback interface.
        scheme: ``http``, or ``https`` with a self-signed certificate.
        database: The file with its sessions.
    """

    port: int
    scheme: str
    database: Path

    def url(self, path: str, host: str = "localhost") -> str:
        """Return the URL of a page."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def let_pass(self, time: timedelta) -> None:
        """Move the deadline of every session into the past."""
        self._execute("UPDATE sessionstore_sessions SET deadline = deadline - ?", _us(time))

    def clear(self) -> None:
        """Delete every session."""
        self._execute("DELETE FROM sessionstore_sessions")

    def age_logins(self, time: timedelta) -> None:
        """Move the time at which each user entered their password into the past."""
        statement = "UPDATE sessionstore_sessions SET authenticated = authenticated - ?"
        self._execute(statement, _us(time))

    def signed_in(self) -> int:
        """Return the number of sessions of users who are logged in."""
        return self._count("SELECT COUNT(*) FROM sessionstore_sessions WHERE subject IS NOT NULL")

    def count(self) -> int:
        """Return the number of rows."""
        return self._count("SELECT COUNT(*) FROM sessionstore_sessions")

    def _execute(self, statement: str, *values: int) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    def _count(self, statement: str) -> int:
        with closing(sqlite3.connect(self.database)) as connection:
            (found,) = connection.execute(statement).fetchone()
        return int(found)


def _us(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


@contextmanager
def running_shop(framework: str, folder: Path, *, with_tls: bool = False) -> Iterator[Shop]:
    """Yield a shop with an empty database in ``folder``, and stop it afterwards.

    uvicorn waits for its last request before it stops. If a browser hangs, that request never
    ends, so the server is killed after a timeout.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = folder / "shop.db"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", "examples"]
    command += ["--factory", f"{framework}_shop.shop:create_app", "--port", str(port)]
    command += ["--timeout-graceful-shutdown", "5"]
    if with_tls:
        command += _certificate(folder)
    log = folder / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={"SHOP_URL": f"sqlite:///{database}", "PYTHONWARNINGS": "error"},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            _await_port(port, server, log)
            yield Shop(port, "https" if with_tls else "http", database)
        finally:
            _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        raise


def _await_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + SECONDS
    while True:
        assert server.poll() is None, f"the shop does not start:\n{log.read_text()}"
        assert time.monotonic() < give_up, f"the shop does not listen:\n{log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _certificate(folder: Path) -> list[str]:
    """Return the options for a server with a self-signed certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *options.split(), *files], check=True, capture_output=True)
    return ["--ssl-keyfile", str(key), "--ssl-certfile", str(certificate)]
