"""Replacements for the servers, the port and the names on a page."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url

from sessionstore_sql import migrate
from tests.databases import (
    SERVERS,
    TARGETS,
    Databases,
    Target,
    UnavailableError,
    fresh_database,
)
from tests.migrations.databases import execute

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PORT = "8000"
"""The port of every server on every page."""

_SERVER_URL = re.compile(rf"\b({'|'.join(SERVERS)})(\+\w+)?://[^\s\"'`,;)]+")


class MissingDatabaseError(Exception):
    """No server of this kind is available."""

    def __init__(self, database: str) -> None:
        super().__init__(database)
        self.database = database


class StandIns:
    """A free port and the databases of one page, which are dropped at the end of ``with``."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.port = _free_port()
        self._folder = folder
        self._databases = databases
        self._stack = ExitStack()
        self._urls: dict[str, URL] = {}
        self._users: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def put_into(self, code: str) -> str:
        """Return the code with the servers, port and migrations of this run.

        Raises:
            MissingDatabaseError: No such server is available.
        """

        def url_of(match: re.Match[str]) -> str:
            url = self.database(match[1]).set(drivername=f"{match[1]}{match[2] or ''}")
            return url.render_as_string(hide_password=False)

        code = _SERVER_URL.sub(url_of, code)
        # An installed package contains the migrations; a checkout has them elsewhere.
        code = code.replace("sessionstore_sql:migrations", migrate.script_location())
        return re.sub(rf"\b{PORT}\b", str(self.port), code)

    def database(self, database: str) -> URL:
        """Return the URL of the page's database of this kind; create and migrate it first.

        Raises:
            MissingDatabaseError: No such server is available.
        """
        if database not in self._urls:
            if database == "sqlite":
                url = make_url(f"sqlite+aiosqlite:///{self._folder / 'sessions.db'}")
            else:
                try:
                    server = self._databases.url(target_of(database))
                except UnavailableError:
                    raise MissingDatabaseError(database) from None
                url = self._stack.enter_context(fresh_database(server))
            asyncio.run(migrate.upgrade(url))
            self._urls[database] = url
        return self._urls[database]

    def execute(self, database: str, statements: list[str]) -> None:
        """Run statements, with the names ``shop`` and ``app`` replaced.

        Raises:
            MissingDatabaseError: No such server is available.
            SQLAlchemyError: A statement fails.
        """
        url = self.database(database)
        asyncio.run(migrate.upgrade(url))  # the page may have downgraded it
        asyncio.run(execute(url, *(self._renamed(each, database) for each in statements)))

    def _renamed(self, statement: str, database: str) -> str:
        if re.search(r"\b(TO|FROM|USER) app\b", statement):
            statement = re.sub(r"\bapp\b", self._user(database), statement)
        statement = re.sub(r"\bshop\.", f"{self.database(database).database}.", statement)
        return statement.replace(":", "\\:")  # a colon would start a parameter

    def _user(self, database: str) -> str:
        if database not in self._users:
            name, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
            url = self.database(database)
            secret = "PASSWORD" if database == "postgresql" else "IDENTIFIED BY"
            asyncio.run(execute(url, f"CREATE USER {name} {secret} '{password}'"))
            owned = [f"DROP OWNED BY {name}"] if database == "postgresql" else []
            self._stack.callback(lambda: asyncio.run(execute(url, *owned, f"DROP USER {name}")))
            self._users[database] = name
        return self._users[database]


def target_of(database: str) -> Target:
    """Return the database through its first driver."""
    return next(target for target in TARGETS if target.database == database)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
