"""Compares the table with what this version of the package needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Index, inspect

from sessionstore_sql.errors import SessionStoreError
from sessionstore_sql.migrate.autogenerate import autogenerate_options
from sessionstore_sql.migrate.history import Owner, history_of
from sessionstore_sql.migrate.places import dependence, missing_place
from sessionstore_sql.migrate.revisions import is_later_addition, newest_revision
from sessionstore_sql.schema import BUCKET_SHIFT, session_table
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.failures import HOW_TO_UPGRADE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from sessionstore_sql.migrate.history import History

Difference = tuple[Any, ...]
"""What Alembic's autogenerate would change: a kind, such as ``add_column``, and objects."""

_HOW_TO_CHANGE = {
    Owner.BRANCH: "run `alembic upgrade sessionstore@head`",
    Owner.APPLICATION: (
        "run `alembic revision --autogenerate` and `alembic upgrade head`, with session_table() in "
        "the metadata"
    ),
}


_NOTATION = re.compile(r"[`\"()\s]")
"""What databases add to an expression, and say in different ways."""


class MigrationError(SessionStoreError):
    """The table is not what this version of the package needs.

    Attributes:
        is_outdated: Whether an upgrade makes it so.
    """

    def __init__(self, message: str, *, is_outdated: bool = False) -> None:
        super().__init__(message)
        self.is_outdated = is_outdated


def require_fit(connection: Connection, table: str, schema: str | None) -> None:
    """Raise ``MigrationError`` unless the store works with the table."""
    reason = missing_place(connection, schema) or dependence(connection, table, schema)
    if reason is not None:
        raise MigrationError(reason)
    history = history_of(connection, table, schema)
    if history.owner in {Owner.SEPARATE, Owner.NOBODY} and not _is_usable(history.revision):
        raise MigrationError(
            f"the table {table!r} is at revision {history.revision or 'base'}, and this version of "
            f"sessionstore_sql works with {newest_revision()}: {HOW_TO_UPGRADE}",
            is_outdated=True,
        )
    if differences := differences_of(connection, table, schema, history):
        raise _error_of(differences, table, history)
    sessions = session_table(table, schema=schema)
    if problems := list(dialect_named(connection.dialect.name).problems(connection, sessions)):
        raise MigrationError(
            f"the table {table!r} is {_state(history)}, and yet the store cannot work with it: "
            + "; ".join(problems)
        )


def differences_of(
    connection: Connection, table: str, schema: str | None, history: History
) -> list[Difference]:
    """Return what has to change so that the store works with the table."""
    differences = differences_in(context_on(connection, table, schema))
    differences += _differences_of_bucket(connection, table, schema)
    if history.is_applications or is_later_addition(history.revision):
        # What the table has more than this version knows is the application's own, or what a later
        # revision has added.
        differences = [each for each in differences if not _is_addition(each)]
    return differences


def how_to_change(table: str, history: History) -> str:
    """Return who changes a table of the application, and how."""
    return (
        f"the table {table!r} is part of your application's own Alembic history: "
        f"{_HOW_TO_CHANGE[history.owner]} with your application's alembic.ini"
    )


def differences_in(context: MigrationContext) -> list[Difference]:
    """Return what Alembic's autogenerate would change about the session table."""
    found: list[Difference] = []
    for difference in compare_metadata(context, context.opts["target_metadata"]):
        # Changes to a column are lists of tuples, all others single tuples.
        found += difference if isinstance(difference, list) else [difference]
    return found


def described(differences: Iterable[Difference]) -> str:
    """Return each difference with its object, such as ``add_index sessionstore_sessions_..``."""
    parts = []
    for kind, *things in differences:
        names = [getattr(thing, "name", thing) for thing in things]
        parts.append(" ".join([kind, *(name for name in names if isinstance(name, str))]))
    return ", ".join(parts)


def context_on(connection: Connection, table: str, schema: str | None) -> MigrationContext:
    """Return a context that is not global, and therefore needs no lock."""
    default_schema = connection.dialect.default_schema_name
    options = autogenerate_options(table, schema, default_schema=default_schema)
    return MigrationContext.configure(connection, opts=options)


def _differences_of_bucket(
    connection: Connection, table: str, schema: str | None
) -> Iterator[Difference]:
    """Yield a difference if ``expiry_bucket`` is not generated as it has to be.

    Alembic only warns of it. In a plain column, the bucket of every new session would be NULL, and
    no purge would find the session.
    """
    for column in inspect(connection).get_columns(table, schema=schema):
        if column["name"] == "expiry_bucket":
            computed = column.get("computed")
            is_right = (
                computed is not None
                and _NOTATION.sub("", computed["sqltext"]).lower() == f"deadline>>{BUCKET_SHIFT}"
                and computed.get("persisted") is not False
            )
            if not is_right:
                yield ("modify_generated", table, "expiry_bucket")


def _is_usable(revision: str | None) -> bool:
    return revision == newest_revision() or is_later_addition(revision)


def _is_addition(difference: Difference) -> bool:
    """Whether the table has more than it needs, which no statement of the store meets."""
    kind, *_, thing = difference
    if kind == "remove_column" and isinstance(thing, Column):
        return bool(thing.nullable or thing.server_default is not None or thing.computed)
    return kind == "remove_index" and isinstance(thing, Index) and not thing.unique


def _error_of(differences: list[Difference], table: str, history: History) -> MigrationError:
    if history.is_applications:
        return MigrationError(
            f"{how_to_change(table, history)}; to be changed: {described(differences)}",
            is_outdated=True,
        )
    if history.owner is Owner.UNRECORDED:
        return MigrationError(
            f"the table {table!r} exists, no migration is recorded for it, and it differs from "
            f"what this version of sessionstore_sql needs: {HOW_TO_UPGRADE}; to be changed: "
            f"{described(differences)}",
            is_outdated=True,
        )
    return MigrationError(
        f"the table {table!r} is {_state(history)}, and yet differs from what the revisions make, "
        f"so it was changed by hand; to be put right: {described(differences)}"
    )


def _state(history: History) -> str:
    if history.revision is None:
        return "what this version needs"
    return f"at revision {history.revision}"
