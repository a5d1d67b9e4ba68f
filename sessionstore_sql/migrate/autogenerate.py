"""What Alembic's autogenerate sees of the session tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic import context
from sqlalchemy import MetaData

from sessionstore_sql.schema import (
    DEFAULT_TABLE,
    require_names,
    session_table,
    version_table_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_USUAL_DEFAULT_SCHEMAS = {"public", "main"}
"""The default schemas of PostgreSQL and SQLite, unless others are configured."""


def exclude_session_tables(
    table: str = DEFAULT_TABLE, *, schema: str | None = None
) -> Callable[[str | None, str, Mapping[Any, str | None]], bool]:
    """Return an ``include_name`` for ``context.configure`` in the application's env.py.

    It hides the two session tables from the application's ``--autogenerate`` and ``check``, which
    would drop tables that the application's models do not contain. If the application already has
    an ``include_name``, call both.

    Args:
        table: The name of the table.
        schema: The schema of the table. Tables of the same name in other schemas are not hidden.
    """
    table, schema = require_names(table, schema)
    ours = {table, version_table_name(table)}

    def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
        if type_ != "table" or name not in ours:
            return True
        found = parent_names.get("schema_name")
        # Alembic passes None for the default schema, which the application may have named.
        return found != schema and not (found is None and _is_default(schema))

    return include_name


def _is_default(schema: str | None) -> bool:
    """Whether ``schema`` is the default schema of the connection that Alembic uses."""
    try:
        connection = context.get_context().connection
    except (NameError, AttributeError):  # there is no env.py, but a call of compare_metadata
        return schema in _USUAL_DEFAULT_SCHEMAS
    return connection is not None and schema == connection.dialect.default_schema_name


def autogenerate_options(
    table: str, schema: str | None, *, default_schema: str | None = None
) -> dict[str, Any]:
    """Return options with which Alembic sees the session tables and nothing else.

    Args:
        table: The name of the table.
        schema: The schema of the table.
        default_schema: The default schema of the connection, which Alembic calls ``None``.
    """
    metadata = MetaData()
    indexes = {
        index.name for index in session_table(table, schema=schema, metadata=metadata).indexes
    }
    misread: set[str | None] = set()

    def include_name(name: str | None, type_: str, _parents: Mapping[str, str | None]) -> bool:
        if type_ == "schema":
            return (name or default_schema) == (schema or default_schema)
        if type_ == "index" and name not in indexes:
            # SQLAlchemy 2.1.9 leaves a backtick doubled that is part of an index's name on MySQL.
            meant = (name or "").replace("``", "`")
            misread.update({meant} & indexes)
            return meant not in indexes
        return type_ != "table" or name == table

    def include_object(_: object, name: str | None, type_: str, *_others: Any) -> bool:
        return type_ != "index" or name not in misread

    return {
        "target_metadata": metadata,
        "version_table": version_table_name(table),
        "version_table_schema": schema,
        "include_schemas": schema is not None,
        "include_name": include_name,
        "include_object": include_object,
    }
