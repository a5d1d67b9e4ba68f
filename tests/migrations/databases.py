"""What the tests of migrations do to a database by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from sqlalchemy import URL, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

ROOT = Path(__file__).parents[2]

ODD_NAMES = [
    'Upper "Quoted"',
    "50%s of (it)s 100%",
    "it's; -- a:name",
    "back`tick",
    "Zürich",
]


async def execute(url: URL, *statements: str) -> None:
    """Run statements, each on its own."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


async def tables_at(url: URL, schema: str | None = None) -> set[str]:
    """Return the names of the tables in a database."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        tables = await connection.run_sync(
            lambda sync: set(inspect(sync).get_table_names(schema=schema))
        )
    await engine.dispose()
    return tables


async def columns_of(engine: AsyncEngine, table: str) -> set[str]:
    """Return the names of the columns."""
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: {each["name"] for each in inspect(sync).get_columns(table)}
        )


async def description(engine: AsyncEngine, table: str) -> dict[str, Any]:
    """Return all that SQLAlchemy can tell of a table, with its name left out."""
    async with engine.connect() as connection:
        return await connection.run_sync(_describe, table)


def _describe(connection: Any, table: str) -> dict[str, Any]:
    inspector = inspect(connection)
    columns = inspector.get_columns(table)
    for column in columns:
        column["type"] = repr(column["type"])
    indexes = inspector.get_indexes(table)
    for index in indexes:
        index["name"] = str(index["name"]).replace(table, "")
        options = index.get("dialect_options", {})
        index["dialect_options"] = {name: str(value) for name, value in options.items()}
    try:
        options = inspector.get_table_options(table)
    except NotImplementedError:  # SQLAlchemy 2.0 on PostgreSQL
        options = {}
    return {
        "columns": columns,
        "indexes": indexes,
        "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
        "unique": inspector.get_unique_constraints(table),
        "options": options,
    }


async def run_script(connection: AsyncConnection, script: str) -> None:
    """Run a script of SQL as a database's own shell would: text, without parameters."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    backend = connection.dialect.name
    if backend == "sqlite":
        await driver.executescript(script)
    elif backend == "postgresql":
        await driver.execute(script)
    else:
        with warnings.catch_warnings():
            # MariaDB gives notice that a primary key's name, which Alembic writes, means nothing.
            warnings.filterwarnings("ignore", message="Name .* ignored for PRIMARY key")
            async with driver.cursor() as cursor:
                for statement in script.split(";\n"):
                    if statement.strip():
                        await cursor.execute(statement)
        await driver.commit()


def alembic(
    *arguments: str, environment: dict[str, str] | None = None, directory: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the command ``alembic``, in the checkout if nowhere else, and without our variables."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "alembic", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown(url: URL) -> str:
    """Return a URL with its password."""
    return url.render_as_string(hide_password=False)
