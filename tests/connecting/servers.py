"""Database servers of the tests' own, which demand TLS, and listen on every kind of address."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from tests.connecting.certificates import Authority, Pair
from tests.reliability.servers.mysql import MariaDB, MySQL, MySQLFamilyServer
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.servers.process import execute

TRUSTED_HOST = "localhost"
"""The only host that the servers' certificate is for."""

OTHER_HOST = "127.0.0.1"
"""The same servers, under an address that the certificate is not for."""

PASSWORD = "p@s/s:w?r#d%&+ ü€'"
"""Of the user ``scram``: what it has in a URL is percent-encoded, except for letters and digits."""

_HBA = """
local   all  all                       trust
hostssl all  certified  all            cert
hostssl all  scram      all            scram-sha-256
host    all  lenient    all            trust
hostssl all  all        all            trust
"""
"""The users that may connect to PostgreSQL, and how. ``lenient`` may connect without TLS."""

_QUOTED = PASSWORD.replace("'", "''")


@dataclass(frozen=True)
class SecureServer:
    """A server that demands TLS.

    Args:
        url: Of a database, as its administrator, through the default driver, without options.
        socket: What ``?host=`` or ``?unix_socket=`` takes.
        authority: Has signed the server's certificate, and signs the clients'.
        stranger: Has signed nothing that the server has or knows.
        client: A certificate and its key, for the user ``certified``.
    """

    url: URL
    socket: Path
    authority: Authority
    stranger: Authority
    client: Pair

    def to(self, host: str = TRUSTED_HOST, **options: str) -> URL:
        """Return the URL with another host and with options."""
        return self.url.set(host=host).update_query_dict(options)


@contextmanager
def secure_server(database: str) -> Iterator[SecureServer]:
    """Run a server.

    Raises:
        MissingError: The program is not installed.
    """
    # In a folder that the server's own user can enter, with a path short enough for a socket.
    folder = Path(tempfile.mkdtemp(prefix="ssq-"))
    folder.chmod(0o755)
    try:
        authority, stranger = Authority(folder, "ours"), Authority(folder, "stranger")
        pair = authority.signed("server", [TRUSTED_HOST])
        client = authority.signed("certified")
        run = _postgresql if database == "postgresql" else _mysql
        with run(database, folder / "server", authority, pair) as (url, socket):
            _forget_attempts()
            yield SecureServer(url, socket, authority, stranger, client)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_attempts() -> None:
    """Let go of connections that were tried before the server answered.

    Drivers leave their sockets to the garbage collector, in the middle of some test.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def _postgresql(
    _database: str, folder: Path, authority: Authority, pair: Pair
) -> Iterator[tuple[URL, Path]]:
    server = PostgreSQL(folder)
    hba = folder / "hba.conf"
    hba.write_text(_HBA)
    server.settings |= {
        "listen_addresses": "127.0.0.1,::1",
        "unix_socket_directories": folder,
        "hba_file": hba,
        "ssl": "on",
        "ssl_ca_file": authority.root,
        "ssl_cert_file": server.process.own_file(pair.certificate),
        "ssl_key_file": server.process.own_file(pair.key),
    }
    try:
        asyncio.run(server.create())
        asyncio.run(
            execute(
                server.url,
                "CREATE ROLE certified LOGIN SUPERUSER",
                f"CREATE ROLE scram LOGIN SUPERUSER PASSWORD '{_QUOTED}'",
                "CREATE ROLE lenient LOGIN SUPERUSER",
            )
        )
        yield server.url, folder
    finally:
        server.stop()


@contextmanager
def _mysql(
    database: str, folder: Path, authority: Authority, pair: Pair
) -> Iterator[tuple[URL, Path]]:
    family: dict[str, type[MySQLFamilyServer]] = {"mysql": MySQL, "mariadb": MariaDB}
    server = family[database](folder)
    server.settings |= {
        "bind-address": "127.0.0.1,::1",
        "ssl-ca": authority.root,
        "ssl-cert": server.process.own_file(pair.certificate),
        "ssl-key": server.process.own_file(pair.key),
        "performance-schema": "ON",  # it has the names of connections
    }
    try:
        asyncio.run(server.create())
        asyncio.run(
            execute(
                server.url,
                "CREATE USER certified@'%%' IDENTIFIED BY 'secret' REQUIRE X509",
                "GRANT ALL ON *.* TO certified@'%%'",
                f"CREATE USER scram@'%%' IDENTIFIED BY '{_QUOTED.replace('%', '%%')}'",
                "GRANT ALL ON *.* TO scram@'%%'",
                "SET GLOBAL require_secure_transport = ON",
            )
        )
        yield server.url, folder / "socket"
    finally:
        server.stop()
