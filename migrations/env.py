"""Runs the migrations on a given connection or URL, or prints them as SQL.

The connection is ``config.attributes["connection"]``, which ``sessionstore_sql.migrate`` sets. If
there is none, the URL is that of ``-x url=..``, the variable ``SESSIONSTORE_URL``, or
``sqlalchemy.url`` in alembic.ini, in this order. With ``--sql``, the URL only selects the kind of
database, and no connection is made.

``-x table=..`` and ``-x schema=..``, or the same names in ``config.attributes``, select the table.

Logging is not configured, because ``fileConfig`` would silence the loggers of the application.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from alembic import context
from alembic.util import CommandError

from sessionstore_sql import migrate
from sessionstore_sql.migrate.places import require_place
from sessionstore_sql.schema import DEFAULT_TABLE, require_names
from sessionstore_sql.sql.urls import normalise_url, require_files

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
    """Migrate with a new connection to ``url``."""

    async def run() -> None:
        async with migrate.connect(url) as connection:
            await connection.run_sync(run_in_turn)

    asyncio.run(run())


def run_in_turn(connection: Connection) -> None:
    """Migrate when no other process does. ``migrate`` has waited already."""
    if config.attributes.get("in_turn"):
        run_on(connection)
        return
    require_place(connection, schema)
    with migrate.queue(connection, table, schema):
        run_on(connection)


def run_on(connection: Connection) -> None:
    """Migrate, each revision in its own transaction if the database supports that."""
    default_schema = connection.dialect.default_schema_name
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        **migrate.autogenerate_options(table, schema, default_schema=default_schema),
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline(backend: str) -> None:
    """Print the statements as SQL."""
    context.configure(
        dialect_name=backend,
        # Other styles double each % in a name, which only a driver would undo.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        # Alembic assumes Python's driver, which does not include DDL in transactions.
        transactional_ddl=True if backend == "sqlite" else None,
        transaction_per_migration=True,
        **migrate.autogenerate_options(table, schema),
    )
    with context.begin_transaction():
        context.run_migrations()


def given_url() -> URL:
    """Return the URL from the first of the three places that has one."""
    url = (
        arguments.get("url")
        or os.environ.get("SESSIONSTORE_URL")
        or config.get_main_option("sqlalchemy.url")
    )
    if not url:
        raise CommandError("no database: give -x url=.., SESSIONSTORE_URL or sqlalchemy.url")
    try:
        normalised = normalise_url(url)
        if not context.is_offline_mode():
            require_files(normalised)
    except ValueError as error:
        raise CommandError(str(error)) from None  # which Alembic shows without a traceback
    return normalised


handed_over: Connection | None = config.attributes.get("connection")
if context.is_offline_mode():
    run_offline(given_url().get_backend_name() if handed_over is None else handed_over.dialect.name)
elif handed_over is not None:
    run_in_turn(handed_over)
else:
    run_at(given_url())
