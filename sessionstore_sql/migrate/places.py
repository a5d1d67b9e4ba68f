"""Where the table cannot be: schemas that do not exist, and partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.util import CommandError
from sqlalchemy import inspect

from sessionstore_sql.sql.dialects import dialect_named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def missing_place(connection: Connection, schema: str | None) -> str | None:
    """Return why there is no place for the table in the database; ``None`` if there is one."""
    if schema is not None and not inspect(connection).has_schema(schema):
        return (
            f"the schema {schema!r} does not exist, or this user has no access to it: create it, "
            "or name another schema"
        )
    if schema is None and connection.dialect.default_schema_name is None:
        if not connection.engine.url.database:
            return "the connection has no database: name one in the URL"
        return (
            "no schema of the connection's search_path exists: create one, name a schema, or "
            "change the search_path"
        )
    return None


def require_place(connection: Connection, schema: str | None) -> None:
    """Raise ``CommandError`` if there is no place for the table."""
    if (missing := missing_place(connection, schema)) is not None:
        raise CommandError(missing)


def dependence(connection: Connection, table: str, schema: str | None) -> str | None:
    """Return why the table cannot be migrated by itself; ``None`` if it can.

    The columns of a partition are those of its parent, and an heir cannot drop what it inherits.
    """
    found = dialect_named(connection.dialect.name).parent_of(connection, table, schema)
    if found is None:
        return None
    relation, parent = found
    return (
        f"the table {table!r} {relation} {parent} and cannot be used or migrated by itself: name "
        f"{parent} as the table"
    )


def require_whole(connection: Connection, table: str, schema: str | None) -> None:
    """Raise ``CommandError`` if the table cannot be migrated by itself."""
    if (reason := dependence(connection, table, schema)) is not None:
        raise CommandError(reason)
