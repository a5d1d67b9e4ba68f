"""Runs the migrations: on a connection handed over, at a URL, or as a script of SQL.

A connection in ``config.attributes["connection"]`` comes first; ``sessionstore_sql.migrate``
hands one over. Else a URL: ``-x url=..``, the variable ``SESSIONSTORE_URL``, or
``sqlalchemy.url`` in alembic.ini, in this order. With ``--sql``, only the kind of database is
taken from it, and nothing is connected to.

``-x table=..`` and ``-x schema=..`` say which table; ``config.attributes`` take both, too.

Logging is left as it is: ``fileConfig`` would silence the loggers of the application.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from alembic import context

from sessionstore_sql import migrate
from sessionstore_sql.engines import normalise_url
from sessionstore_sql.schema import DEFAULT_TABLE, require_names

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

config = context.config
arguments = context.get_x_argument(as_dictionary=True)
table, schema = require_names(
    config.attributes.get("table") or arguments.get("table") or DEFAULT_TABLE,
    config.attributes.get("schema") or arguments.get("schema") or None,
)
config.attributes.update(table=table, schema=schema)  # the revisions look there


def run_at(url: URL) -> None:
    """Migrate through a connection of our own."""

    async def run() -> None:
        async with migrate.connect(url) as connection:
            await connection.run_sync(run_in_turn)

    asyncio.run(run())


def run_in_turn(connection: Connection) -> None:
    """Migrate as soon as nobody else does; ``migrate`` has waited already."""
    if config.attributes.get("in_turn"):
        run_on(connection)
        return
    with migrate.queue(connection, table, schema):
        run_on(connection)


def run_on(connection: Connection) -> None:
    """Migrate, each revision in a transaction of its own where the database can."""
    default_schema = connection.dialect.default_schema_name
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        **migrate.autogenerate_options(table, schema, default_schema=default_schema),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline(backend: str) -> None:
    """Print the statements, for someone else to run."""
    context.configure(
        dialect_name=backend,
        # Others would double each % in a name, for a driver that isn't there.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        # Alembic thinks of Python's driver, which leaves DDL out of transactions.
        transactional_ddl=True if backend == "sqlite" else None,
        transaction_per_migration=True,
        **migrate.autogenerate_options(table, schema),
    )
    with context.begin_transaction():
        context.run_migrations()


def given_url() -> URL:
    """Return the first URL of the three places."""
    url = (
        arguments.get("url")
        or os.environ.get("SESSIONSTORE_URL")
        or config.get_main_option("sqlalchemy.url")
    )
    if not url:
        raise ValueError("no database: give -x url=.., SESSIONSTORE_URL or sqlalchemy.url")
    return normalise_url(url)


handed_over: Connection | None = config.attributes.get("connection")
if context.is_offline_mode():
    run_offline(given_url().get_backend_name() if handed_over is None else handed_over.dialect.name)
elif handed_over is not None:
    run_in_turn(handed_over)
else:
    run_at(given_url())
