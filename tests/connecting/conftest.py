"""Servers that demand TLS, and the drivers that connect to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import URL

from tests.conftest import skip_unless_required, url_or_skip
from tests.connecting.servers import SecureServer, secure_server
from tests.databases import SERVERS, TARGETS, Databases, Target
from tests.reliability.servers.programs import MissingError


class SecureServers:
    """One server of each kind, started when it is first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: dict[str, SecureServer] = {}

    def server(self, database: str) -> SecureServer:
        """Return the server.

        Raises:
            MissingError: The program is not installed.
        """
        if database not in self._started:
            self._started[database] = self._stack.enter_context(secure_server(database))
        return self._started[database]

    def stop(self) -> None:
        """End them."""
        self._stack.close()


@pytest.fixture(scope="session")
def secure_servers() -> Iterator[SecureServers]:
    """The servers of this run."""
    servers = SecureServers()
    yield servers
    servers.stop()


def targets(*names: str) -> list[Target]:
    """Return the databases of these names, through each of their drivers."""
    return [target for target in TARGETS if target.database in names]


@pytest.fixture(scope="session", params=targets("postgresql"), ids=str)
def postgresql(request: pytest.FixtureRequest, databases: Databases) -> URL:
    """A database of PostgreSQL, through each driver, without TLS."""
    return url_or_skip(request.param, databases, request.config)


@pytest.fixture(scope="session", params=targets("mysql", "mariadb"), ids=str)
def mysql(request: pytest.FixtureRequest, databases: Databases) -> URL:
    """A database of MySQL or MariaDB, through each driver."""
    return url_or_skip(request.param, databases, request.config)


@pytest.fixture(scope="session", params=targets("mariadb"), ids=str)
def mariadb(request: pytest.FixtureRequest, databases: Databases) -> URL:
    """A database of MariaDB, through each driver."""
    return url_or_skip(request.param, databases, request.config)


@pytest.fixture(scope="session", params=targets(*SERVERS), ids=str)
def driver(request: pytest.FixtureRequest) -> Target:
    """Every driver of a database that is on a server."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def server(driver: Target, request: pytest.FixtureRequest, databases: Databases) -> URL:
    """A database on a server, through each driver."""
    return url_or_skip(driver, databases, request.config)


@pytest.fixture(scope="session")
def secure(
    driver: Target, secure_servers: SecureServers, request: pytest.FixtureRequest
) -> SecureServer:
    """A server that demands TLS, through a driver."""
    try:
        server = secure_servers.server(driver.database)
    except MissingError as reason:
        skip_unless_required(driver.database, str(reason), request.config)
    url = server.url.set(drivername=driver.drivername)
    return SecureServer(url, server.socket, server.authority, server.stranger, server.client)
