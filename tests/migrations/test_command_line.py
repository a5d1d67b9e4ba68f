"""``alembic`` in a checkout: the same migrations from a shell."""

from __future__ import annotations

import secrets
from pathlib import Path

import anyio.to_thread
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import migrate
from tests.databases import DATABASES
from tests.migrations.databases import (
    ODD_NAMES,
    ROOT,
    alembic,
    execute,
    run_script,
    shown,
    tables_at,
)

pytestmark = pytest.mark.anyio


def succeeds(*arguments: str, **environment: str) -> str:
    """Run the command, and return what it prints."""
    result = alembic(*arguments, environment=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_upgrade_check_current_downgrade(url: URL, table: str) -> None:
    """The commands find the database by ``-x url`` and the table by ``-x table``."""
    options = ("-x", f"url={shown(url)}", "-x", f"table={table}")

    succeeds(*options, "upgrade", "head")
    assert "No new upgrade operations" in succeeds(*options, "check")
    assert "sessionstore_0002 (head)" in succeeds(*options, "current")
    succeeds(*options, "downgrade", "base")

    assert succeeds(*options, "current") == ""


def test_check_fails_before_the_upgrade(url: URL, table: str) -> None:
    """A table that was never made is no table that is up to date."""
    result = alembic("-x", f"url={shown(url)}", "-x", f"table={table}", "check")

    assert result.returncode != 0
    assert "not up to date" in result.stdout + result.stderr


async def test_a_shared_database_is_no_drift(empty_url: URL) -> None:
    """``check`` ignores the tables of the application."""
    await execute(empty_url, "CREATE TABLE hosts_own (id INTEGER)")
    await migrate.upgrade(empty_url)

    await anyio.to_thread.run_sync(succeeds, "-x", f"url={shown(empty_url)}", "check")


async def test_the_environment_names_the_database(url: URL, table: str) -> None:
    """Without ``-x url``, SESSIONSTORE_URL is where it is; no driver needs to be named."""
    drivers_own = shown(url.set(drivername=url.get_backend_name()))

    def run() -> None:
        succeeds("-x", f"table={table}", "upgrade", "head", SESSIONSTORE_URL=drivers_own)

    await anyio.to_thread.run_sync(run)

    await migrate.check(url, table=table)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("schema", [None, 'of "all" 100% `'])
@pytest.mark.parametrize("backend", DATABASES)
def test_a_script_needs_no_database(backend: str, name: str, schema: str | None) -> None:
    """``--sql`` prints quoted statements for a server that isn't there."""
    who = "" if backend == "sqlite" else "unknown@nowhere.invalid"
    options = ["-x", f"url={backend}://{who}/none", "-x", f"table={name}"]
    if schema is not None:
        options += ["-x", f"schema={schema}"]
    quote = "`" if backend in {"mysql", "mariadb"} else '"'

    script = succeeds(*options, "upgrade", "head", "--sql")

    quoted = name.replace(quote, quote * 2)
    assert f"CREATE TABLE {quote}" in script
    assert f"{quote}{quoted}{quote} (" in script


@pytest.mark.parametrize("name", ["sessions", *ODD_NAMES])
async def test_a_script_makes_what_an_upgrade_makes(url: URL, name: str) -> None:
    """Run by a database's own means, the script leaves nothing for an upgrade to do."""
    table = f"{name} {secrets.token_hex(4)}"
    options = ("-x", f"url={shown(url)}", "-x", f"table={table}")

    def script(*command: str) -> str:
        return succeeds(*options, *command, "--sql")

    up = await anyio.to_thread.run_sync(script, "upgrade", "head")
    down = await anyio.to_thread.run_sync(script, "downgrade", "head:base")
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await run_script(connection, up)
        await migrate.check(url, table=table)
        await run_script(connection, down)
    await engine.dispose()

    assert await migrate.current(url, table=table) is None
    assert table not in await tables_at(url)


@pytest.mark.every_driver
async def test_a_password_of_signs_survives(empty_url: URL) -> None:
    """``%``, ``@``, ``/`` and ``:`` reach the server as they are, by each way in."""
    password = "50%/p@ss:w%20rd%"
    user = f"u_{secrets.token_hex(4)}"
    backend = empty_url.get_backend_name()
    if backend == "sqlite":
        guarded = empty_url.set(database=f"{empty_url.database} 50% @ :x")
        grant: list[str] = []
        revoke: list[str] = []
    else:
        guarded = empty_url.set(username=user, password=password)
        literal = password.replace(":", r"\:")
        if backend == "postgresql":
            grant = [
                f"CREATE ROLE {user} LOGIN PASSWORD '{literal}'",
                f"GRANT ALL ON SCHEMA public TO {user}",
            ]
            revoke = [f"DROP OWNED BY {user} CASCADE", f"DROP ROLE {user}"]
        else:
            grant = [
                f"CREATE USER {user} IDENTIFIED BY '{literal}'",
                f"GRANT ALL ON {empty_url.database}.* TO {user}",
            ]
            revoke = [f"DROP USER {user}"]
    await execute(empty_url, *grant)
    try:

        def run() -> None:
            succeeds("-x", f"url={shown(guarded)}", "upgrade", "head")
            succeeds("check", SESSIONSTORE_URL=shown(guarded))

        await anyio.to_thread.run_sync(run)
        await migrate.check(guarded)
        await migrate.check(shown(guarded))
    finally:
        await execute(empty_url, *revoke)


@pytest.mark.parametrize(
    "drivername", ["postgresql", "postgresql+psycopg", "mysql", "mysql+asyncmy"]
)
def test_a_password_is_never_shown(drivername: str) -> None:
    """A server that can't be reached is an error without the way to it."""
    result = alembic("-x", f"url={drivername}://user:s3cr3t@127.0.0.1:1/none", "upgrade", "head")

    assert result.returncode != 0
    assert "s3cr3t" not in result.stdout + result.stderr


def test_without_any_option_it_is_a_local_file(tmp_path: Path) -> None:
    """alembic.ini names a SQLite file in the directory that the command is run in."""
    result = alembic("-c", str(ROOT / "alembic.ini"), "upgrade", "head", directory=tmp_path)

    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sessionstore.db"]
