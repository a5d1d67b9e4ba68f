"""A MySQL that has ``autocommit = 0`` by default says that it is on, and the drivers believe it.

The setting is global, so no server of these tests is changed: this one behaves as MySQL 9.7 does.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sessionstore_sql.sql.dialects.mysql.creators import _secured
from sessionstore_sql.sql.direct import is_autocommit

pytestmark = pytest.mark.anyio


class Driver:
    """A connection as those of aiomysql and asyncmy, with the server behind it."""

    def __init__(self, server_version: str = "9.7.0") -> None:
        """Be connected."""
        self.server_version = server_version
        self.autocommit_mode = False
        self.is_on, self.said = False, True
        self.sent: list[str] = []

    async def query(self, statement: str) -> None:
        """Execute it: only a change of the setting changes what the server says."""
        self.sent.append(statement)
        is_on = statement.endswith("1")
        if is_on is not self.is_on:
            self.is_on = self.said = is_on

    def get_autocommit(self) -> bool:
        """Return what the server has said."""
        return self.said

    async def autocommit(self, value: bool) -> None:
        """Send nothing if the server has said that it is so."""
        self.autocommit_mode = value
        if value is not self.get_autocommit():
            await self.query(f"SET AUTOCOMMIT = {int(value)}")


def connected(*server_version: str) -> Any:
    """Return a connection that the store makes."""
    return _secured(Driver, Exception)(*server_version)


@pytest.mark.parametrize("value", [True, False])
async def test_the_stores_connections_are_in_the_mode_that_was_asked_for(value: bool) -> None:
    """Otherwise nothing would be committed, and no error would say so."""
    connection = connected()

    await connection.autocommit(False)  # as the drivers do when they have logged in
    await connection.autocommit(value)  # as SQLAlchemy does

    assert connection.is_on is connection.get_autocommit() is value


async def test_the_mode_is_made_certain_once() -> None:
    """One more statement for each connection, and none on MariaDB, which says what is."""
    connection, mariadb = connected(), connected("11.8.9-MariaDB")
    for each in (connection, mariadb):
        await each.autocommit(False)
        each.sent.clear()
        await each.autocommit(False)

    assert connection.sent == []
    assert "SET SESSION autocommit = 1" not in mariadb.sent


def test_what_was_asked_of_the_driver_decides_on_an_engine_of_the_application() -> None:
    """It is no connection in autocommit, whatever the server has said, so the store commits."""
    driver: Any = Driver()
    dialect = SimpleNamespace(detect_autocommit_setting=lambda each: each.get_autocommit())
    proxied = SimpleNamespace(dbapi_connection=driver, driver_connection=driver)
    connection: Any = SimpleNamespace(dialect=dialect, connection=proxied)

    assert not is_autocommit(connection)
    driver.autocommit_mode = True
    assert is_autocommit(connection)
