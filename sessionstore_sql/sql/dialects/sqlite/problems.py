"""What keeps the store from working on a table of SQLite, although its columns are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect

from sessionstore_sql.sql.dialects.problems import wrong_primary_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table


def problems(connection: Connection, table: Table) -> Iterator[str]:
    """Yield the problems, each as a sentence for the operator of the database."""
    key = inspect(connection).get_pk_constraint(table.name, schema=table.schema)
    if key["constrained_columns"] != ["id"]:
        yield wrong_primary_key(key["constrained_columns"])
    if connection.exec_driver_sql("PRAGMA query_only").scalar_one():
        yield "the connection is read-only (PRAGMA query_only), so every write fails"
