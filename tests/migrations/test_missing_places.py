"""Schemas and databases that do not exist: every function names them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql import migrate
from tests.migrations.databases import alembic, execute, shown

pytestmark = pytest.mark.anyio

FUNCTIONS: dict[str, Any] = {
    "upgrade": migrate.upgrade,
    "downgrade": lambda target, **names: migrate.downgrade(target, "base", **names),
    "current": migrate.current,
    "check": migrate.check,
}


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_missing_schema_is_named(url: URL, table: str, name: str) -> None:
    """On SQLite, an attached database has to be there."""
    with pytest.raises((CommandError, migrate.MigrationError)) as caught:
        await FUNCTIONS[name](url, table=table, schema="nowhere")

    assert "the schema 'nowhere' does not exist" in str(caught.value)
    assert "upgrade`" not in str(caught.value)


async def test_alembics_own_command_names_a_missing_schema(url: URL) -> None:
    """The server would say so with a traceback, or that a table is missing."""
    done = await asyncio.to_thread(
        alembic,
        *("-x", "schema=nowhere", "upgrade", "head"),
        environment={"SESSIONSTORE_URL": shown(url)},
    )

    assert done.returncode != 0
    assert "the schema 'nowhere' does not exist" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_search_path_that_leads_nowhere_is_named(
    empty_url: URL, table: str, name: str
) -> None:
    """PostgreSQL would say that no schema has been selected."""
    if empty_url.get_backend_name() != "postgresql":
        pytest.skip("only PostgreSQL has a search_path")
    await execute(empty_url, f"ALTER DATABASE {empty_url.database} SET search_path = 'nowhere'")

    with pytest.raises((CommandError, migrate.MigrationError), match="search_path"):
        await FUNCTIONS[name](empty_url, table=table)


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_url_without_a_database_is_told(url: URL, table: str, name: str) -> None:
    """On MySQL and MariaDB, which connect all the same."""
    if url.get_backend_name() not in {"mysql", "mariadb"}:
        pytest.skip("there is always a database")

    with pytest.raises((CommandError, migrate.MigrationError), match="has no database"):
        await FUNCTIONS[name](url._replace(database=None), table=table)


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_missing_database_is_an_error_of_sqlalchemy(url: URL, name: str) -> None:
    """On SQLAlchemy 2.0, asyncpg's own error would come through."""
    if url.get_backend_name() == "sqlite":
        pytest.skip("a file is created")

    with pytest.raises(SQLAlchemyError, match="nowhere"):
        await FUNCTIONS[name](url.set(database="nowhere"))
