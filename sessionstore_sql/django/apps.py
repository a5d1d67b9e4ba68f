"""The application for ``INSTALLED_APPS``, with which ``manage.py migrate`` makes the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from sessionstore_sql import migrate
from sessionstore_sql.django.configuration import configured_table, migrated_with
from sessionstore_sql.django.process import wait_for

if TYPE_CHECKING:
    from sessionstore_sql.store import SQLSessionStore


class SessionStoreConfig(AppConfig):
    """Brings the table up to date after Django's own migrations, in test databases too."""

    name = "sessionstore_sql.django"
    label = "sessionstore_sql"
    verbose_name = "SQL sessions"

    def ready(self) -> None:
        """Listen for the end of ``manage.py migrate``."""
        post_migrate.connect(_upgrade_table, sender=self)


def _upgrade_table(*, using: str, **_: Any) -> None:
    if using == migrated_with():
        wait_for(_upgrade, **configured_table())


async def _upgrade(store: SQLSessionStore, /, **table: Any) -> None:
    await migrate.upgrade(store.engine, **table)
