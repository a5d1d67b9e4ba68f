"""What a connection of the store's engine is set to, as the server sees it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import URL, text

from sessionstore_sql import SQLSessionStore
from tests.connecting.servers import SecureServer
from tests.databases import Target
from tests.migrations.databases import shown

pytestmark = pytest.mark.anyio

_NAME = {
    "postgresql": "SELECT current_setting('application_name')",
    "mysql": "SELECT attr_value FROM performance_schema.session_account_connect_attrs"
    " WHERE attr_name = 'program_name' AND processlist_id = CONNECTION_ID()",
}
_NAME["mariadb"] = _NAME["mysql"]

_POSTGRESQL_TIMEOUTS = (
    "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
)
_TIMEOUTS = {
    "postgresql": _POSTGRESQL_TIMEOUTS,
    "mysql": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@max_execution_time",
    "mariadb": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@max_statement_time",
}
_DEFAULT_TIMEOUTS = {
    "postgresql": ("3s", "10s"),
    "mysql": (3, 3, 10_000),
    "mariadb": (3, 3, 10),
}


async def ask(url: URL | str, statement: str, **connect_args: Any) -> tuple[Any, ...]:
    """Return the row that ``statement`` selects on a connection of a store's engine."""
    options = {"connect_args": connect_args} if connect_args else None
    async with (
        SQLSessionStore(url, engine_options=options) as store,
        store.engine.connect() as connection,
    ):
        return tuple((await connection.execute(text(statement))).one())


async def test_a_connection_has_the_timeouts(server: URL, driver: Target) -> None:
    """No statement waits without a limit."""
    assert await ask(server, _TIMEOUTS[driver.database]) == _DEFAULT_TIMEOUTS[driver.database]


@pytest.mark.parametrize("name", [None, "shop"])
async def test_a_connection_has_a_name(
    secure: SecureServer, driver: Target, name: str | None
) -> None:
    """The server's list of connections shows it."""
    url = secure.to() if name is None else secure.to(application_name=name)

    assert await ask(url, _NAME[driver.database]) == (name or "sessionstore_sql",)


async def test_arguments_of_the_driver_keep_the_timeouts(server: URL, driver: Target) -> None:
    """Those that an application sets for its connections, however the driver spells them."""
    given: dict[str, list[dict[str, Any]]] = {
        "asyncpg": [
            {"server_settings": {"application_name": "shop"}},
            {"server_settings": {"options": "-c search_path=public"}},
            {"server_settings": {"search_path": "public"}},
        ],
        "psycopg": [{"application_name": "shop"}, {"options": "-c search_path=public"}],
        "aiomysql": [{"program_name": "shop"}, {"init_command": "SET @shop = 1"}],
        "asyncmy": [{"program_name": "shop"}, {"init_command": "SET @shop = 1"}],
    }

    for connect_args in given[driver.drivername.partition("+")[2]]:
        row = await ask(server, _TIMEOUTS[driver.database], **connect_args)
        assert row == _DEFAULT_TIMEOUTS[driver.database]


async def test_options_of_a_url_are_set(postgresql: URL) -> None:
    """With either driver, and they go before the store's own."""
    url = f"{shown(postgresql)}?options=-c%20lock_timeout%3D7%20-csearch_path%3Dpublic"

    assert await ask(url, _POSTGRESQL_TIMEOUTS) == ("7ms", "10s")
    assert await ask(url, "SELECT current_setting('search_path')") == ("public",)
    for mode, timeouts in (("set", ("7ms", "10s")), ("off", ("7ms", "0"))):
        row = await ask(f"{url}&server_timeouts={mode}", _POSTGRESQL_TIMEOUTS)
        assert row == timeouts


async def test_options_of_the_environment_are_set(
    postgresql: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With either driver; those of the URL take their place."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=7 -c work_mem=128kB")
    url = f"{shown(postgresql)}?options=-c%20work_mem%3D256kB"

    assert await ask(postgresql, _POSTGRESQL_TIMEOUTS) == ("7ms", "10s")
    assert await ask(postgresql, "SELECT current_setting('work_mem')") == ("128kB",)
    assert await ask(url, _POSTGRESQL_TIMEOUTS) == ("3s", "10s")
    assert await ask(url, "SELECT current_setting('work_mem')") == ("256kB",)


async def test_timeouts_can_be_set_by_a_statement_or_not_at_all(postgresql: URL) -> None:
    """For poolers that reject them at the startup of a connection."""
    for mode, timeouts in (("set", ("3s", "10s")), ("off", ("0", "0")), ("startup", ("3s", "10s"))):
        url = postgresql.update_query_dict({"server_timeouts": mode})
        assert await ask(url, _POSTGRESQL_TIMEOUTS) == timeouts


async def test_commands_of_the_caller_have_the_last_word(mysql: URL) -> None:
    """Those of the URL and of the code are executed after the store's own."""
    url = mysql.update_query_dict(
        {"init_command": "SET innodb_lock_wait_timeout = 7, @url = 'url'"}
    )

    row = await ask(url, "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @url, @code")
    assert row == (7, 3, "url", None)
    row = await ask(
        url,
        "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @url, @code",
        init_command="SET lock_wait_timeout = 8, @code = 'code'",
    )
    assert row == (7, 8, "url", "code")
