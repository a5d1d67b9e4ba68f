"""Whose migrations the session table is part of: ours, or those of the application."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, NamedTuple

from alembic.migration import MigrationContext
from sqlalchemy import inspect

from sessionstore_sql.migrate.places import require_place
from sessionstore_sql.schema import version_table_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Inspector

APPLICATIONS_VERSION_TABLE = "alembic_version"
"""The table in which the application's Alembic records its revisions, unless it has another name.
"""

_OUR_REVISION = re.compile(r"sessionstore_\d{4}")


class Owner(enum.Enum):
    """Whose Alembic creates and changes the session table."""

    SEPARATE = "a history of its own, in <table>_version"
    BRANCH = "the application's history, which contains our revisions as a branch"
    APPLICATION = "the application's history, whose own revisions create the table"
    UNRECORDED = "no history: metadata.create_all, or an Alembic with another version table"
    NOBODY = "none: there is no table"


class History(NamedTuple):
    """The history that the session table belongs to.

    Attributes:
        owner: Whose history it is.
        revision: The revision of the table; ``None`` if none is recorded.
    """

    owner: Owner
    revision: str | None = None

    @property
    def is_applications(self) -> bool:
        """Whether the application's own Alembic creates and changes the table."""
        return self.owner in {Owner.BRANCH, Owner.APPLICATION}


def history_of(connection: Connection, table: str, schema: str | None) -> History:
    """Return the history that ``table`` belongs to. It only reads."""
    inspector = inspect(connection)
    if inspector.has_table(version_table_name(table), schema=schema):
        return History(Owner.SEPARATE, _recorded(connection, version_table_name(table), schema))
    if not inspector.has_table(table, schema=schema):
        return History(Owner.NOBODY)
    recorded = list(_revisions_of_application(connection, inspector, schema))
    for revision in recorded:
        if _OUR_REVISION.fullmatch(revision):
            return History(Owner.BRANCH, revision)
    return History(Owner.APPLICATION if recorded else Owner.UNRECORDED)


def required_history(connection: Connection, table: str, schema: str | None) -> History:
    """Return the history that ``table`` belongs to.

    Raises:
        CommandError: There is no place for the table.
    """
    require_place(connection, schema)
    return history_of(connection, table, schema)


def _revisions_of_application(
    connection: Connection, inspector: Inspector, schema: str | None
) -> Iterator[str]:
    for place in dict.fromkeys([None, schema]):
        if inspector.has_table(APPLICATIONS_VERSION_TABLE, schema=place):
            yield from _heads(connection, APPLICATIONS_VERSION_TABLE, place)


def _recorded(connection: Connection, version_table: str, schema: str | None) -> str | None:
    return next(iter(_heads(connection, version_table, schema)), None)


def _heads(connection: Connection, version_table: str, schema: str | None) -> tuple[str, ...]:
    options = {"version_table": version_table, "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_heads()
