"""Run the migrations from Python, in a running event loop and from an installed package.

From a shell, use ``sessionstore-sql upgrade`` (extra ``cli``), or ``alembic upgrade head`` with an
alembic.ini of two lines: ``[alembic]`` and ``script_location = sessionstore_sql:migrations``.

If the application has its own Alembic, it can create the table, too: ``--autogenerate`` writes
the revision if the metadata contains the table:

    session_table(metadata=Base.metadata)  # from sessionstore_sql.schema

Or it runs our revisions, as a branch of its history with the label ``sessionstore``. Its
alembic.ini names their folder, and ``config.attributes["table"]`` and ``["schema"]`` select
another table:

    path_separator = newline
    version_locations =
        %(here)s/migrations/versions
        sessionstore_sql:migrations/versions

    alembic upgrade heads                  # or sessionstore@head

Or the two histories are separate. The revision of the session table is then recorded in
``<table>_version``, and env.py only has to keep ``--autogenerate`` from dropping the session
tables:

    context.configure(..., include_name=migrate.exclude_session_tables())

``check`` works with all three. ``upgrade`` and ``downgrade`` change a separate history only, and
say what to do in the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command

from sessionstore_sql.migrate.autogenerate import autogenerate_options, exclude_session_tables
from sessionstore_sql.migrate.checking import MigrationError, require_fit
from sessionstore_sql.migrate.connecting import Target, connect, require_lasting
from sessionstore_sql.migrate.history import required_history
from sessionstore_sql.migrate.revisions import (
    alembic_config,
    assertions_as_refusals,
    is_later_addition,
    newest_revision,
    script_location,
)
from sessionstore_sql.migrate.running import run
from sessionstore_sql.migrate.turns import WAIT, queue
from sessionstore_sql.schema import DEFAULT_TABLE, require_names

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "WAIT",
    "MigrationError",
    "Target",
    "alembic_config",
    "assertions_as_refusals",
    "autogenerate_options",
    "check",
    "connect",
    "current",
    "downgrade",
    "exclude_session_tables",
    "is_later_addition",
    "newest_revision",
    "queue",
    "require_lasting",
    "script_location",
    "upgrade",
]


async def upgrade(
    target: Target,
    revision: str = "head",
    *,
    table: str = DEFAULT_TABLE,
    schema: str | None = None,
    wait: timedelta = WAIT,
) -> None:
    """Create the table, or upgrade it to ``revision``. The rows are kept.

    Concurrent upgrades of a table wait for each other, on any number of machines; all but the
    first find nothing to do. On PostgreSQL and SQLite, a revision that fails changes nothing. On
    MySQL and MariaDB, every DDL statement commits, and the next upgrade continues a revision that
    stopped half-way.

    Behind a pooler such as PgBouncer, the whole upgrade is one transaction, so that neither its
    lock nor its settings remain in the pool. An index on a large table then locks out writes while
    it is built; connect to PostgreSQL directly to avoid that.

    Args:
        target: An engine, a URL or a connection.
            With an engine, a connection of its pool is used, and its timeouts are lifted during
            the migration. With a URL, as for ``SQLSessionStore``, an engine is created and
            disposed; a server that does not answer is given up after 12 seconds. With a connection
            that has an open transaction, the migration is part of it, and you commit it. On
            PostgreSQL and SQLite, other upgrades wait until you do. MySQL and MariaDB commit your
            transaction at once. Without an open transaction, the migration commits its changes.
        revision: The revision, as Alembic names it. ``"head"`` leaves a table unchanged that a
            later version of the package has upgraded, if this version works with it.
        table: The name of the table. It is quoted, so nearly any text is valid.
        schema: The schema of the table, which must exist. ``None``: the default schema of the
            connection.
        wait: How long to wait for an upgrade of the table that another process runs, and for each
            lock that a statement of the migration needs. Waiting is logged.

    Raises:
        DatabaseError: Another upgrade has not ended in time; nothing was changed.
        TypeError, ValueError: An argument has a wrong type, or names something unsupported; or
            the URL is that of an in-memory database, which would vanish with the connection.
        ModuleNotFoundError: The driver of the URL is not installed.
        alembic.util.CommandError: The revision or the schema does not exist, or another table has
            this name. Or the application's own Alembic has created the table and has to change it;
            with ``"head"``, there is no error if nothing has to be changed.
        sqlalchemy.exc.SQLAlchemyError, OSError: The database or the connection failed.
    """
    await run(command.upgrade, target, revision, table, schema, wait)


async def downgrade(
    target: Target,
    revision: str,
    *,
    table: str = DEFAULT_TABLE,
    schema: str | None = None,
    wait: timedelta = WAIT,
) -> None:
    """Downgrade the table to ``revision``. ``"base"`` drops it, with all sessions.

    The empty table ``<table>_version`` remains, because Alembic creates it but never drops it.

    Args:
        target: As for ``upgrade``. Upgrades and downgrades wait for each other.
        revision: The revision, as Alembic names it.
        table: The name of the table.
        schema: The schema of the table.
        wait: As for ``upgrade``.

    Raises:
        Exception: As ``upgrade``.
    """
    await run(command.downgrade, target, revision, table, schema, wait)


async def current(
    target: Target, *, table: str = DEFAULT_TABLE, schema: str | None = None
) -> str | None:
    """Return the revision of the table, or ``None`` if none is recorded.

    None is recorded if no migration has run, and if the application's own revisions, or
    ``create_all``, have created the table. It only reads, and does not wait for running upgrades.

    Raises:
        Exception: As ``upgrade``.
    """
    table, schema = require_names(table, schema)
    async with connect(target) as connection:
        return (await connection.run_sync(required_history, table, schema)).revision


async def check(target: Target, *, table: str = DEFAULT_TABLE, schema: str | None = None) -> None:
    """Verify that the table is what this version of the package needs.

    Call it when a service starts, to notice a missing migration before the first request. It only
    reads.

    A table that a later version of the package has upgraded passes if that version only added to
    it, and everything that this version needs is there. So does a table that the application's own
    Alembic, or ``create_all``, has created.

    Raises:
        MigrationError: It is at another revision, or differs from what the revisions make:
            a column or an index was changed by hand. The schema does not exist. Or the store cannot
            work with it: ids are not unique in its layout, a foreign key keeps sessions from being
            removed, or the server's settings reject every write. The message says what, and what to
            do.
        Exception: As ``upgrade``.
    """
    table, schema = require_names(table, schema)
    async with connect(target) as connection:
        await connection.run_sync(require_fit, table, schema)
