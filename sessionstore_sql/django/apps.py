"""The application for ``INSTALLED_APPS``: ``manage.py migrate`` also creates the table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from alembic import util
from django.apps import AppConfig
from django.core.checks import Tags, register
from django.core.management.base import CommandError
from django.db.models.signals import post_migrate
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql import migrate
from sessionstore_sql.django import checks
from sessionstore_sql.django.configuration import (
    configured_table,
    has_table,
    migrated_with,
)
from sessionstore_sql.django.process import wait_for

if TYPE_CHECKING:
    from typing import TextIO

    from sessionstore_sql.store import SQLSessionStore


class SessionStoreConfig(AppConfig):
    """Upgrades the table after Django's own migrations, in test databases too."""

    name = "sessionstore_sql.django"
    label = "sessionstore_sql"
    verbose_name = "SQL sessions"

    def ready(self) -> None:
        """Listen for the end of ``manage.py migrate``, and register the checks."""
        post_migrate.connect(_upgrade_table, sender=self)
        register(checks.check_settings, Tags.security)
        register(checks.check_cookie, Tags.security)
        register(checks.check_table, Tags.database)


def _upgrade_table(
    *, using: str, verbosity: int = 1, stdout: TextIO | None = None, **_: Any
) -> None:
    """Upgrade the table, and print what was done as Django does for its own migrations."""
    if using != migrated_with() or not has_table():
        return
    table = configured_table()
    try:
        before, after = wait_for(_upgrade, **table)
    except (migrate.MigrationError, util.CommandError, SQLAlchemyError, OSError) as error:
        # Without the statement, which SQLAlchemy adds. Django's own migrations are committed.
        reason = getattr(error, "orig", None) or error
        message = f"the table {table['table']!r} of sessions was not upgraded: {reason}"
        raise CommandError(message) from error
    if verbosity < 1:
        return
    done = "created" if before is None else f"upgraded from {before}"
    if before == after:
        done = "already"
    out = sys.stdout if stdout is None else stdout
    out.write(f"  Sessions: table {table['table']} {done} at revision {after}.\n")


async def _upgrade(store: SQLSessionStore, /, **table: Any) -> tuple[str | None, str | None]:
    before = await migrate.current(store.engine, **table)
    await migrate.upgrade(store.engine, **table)
    return before, await migrate.current(store.engine, **table)
