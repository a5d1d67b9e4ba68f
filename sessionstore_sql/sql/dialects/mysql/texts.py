"""What the texts for MySQL and MariaDB that are written by hand have in common."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import mysql

from sessionstore_sql.sql.dialects.clauses import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

BY_KEY = "FORCE INDEX (PRIMARY)"
"""Keeps the optimizer from scanning a table of a few pages instead, and so from locking, or
waiting for, rows that are not meant (hazard M7)."""

BYTES = "x%s"
"""Where bytes go, bound as their hexadecimal digits: the drivers put parameters into the text
themselves, in quotes, which makes it a literal. Unlike ``UNHEX('..')``, the server need not
evaluate it for each row, which was a fifth of an update of 64 rows on MySQL 9.7."""

_LONGEST = 1 << 30
"""Bytes: more than any packet has. The server takes less where a packet is shorter."""


def names(table: Table, connection: Connection) -> tuple[str, str]:
    """Return the quoted name of ``table`` and the expression for the clock."""
    preparer, schema = connection.dialect.identifier_preparer, connection.schema_for_object(table)
    name = preparer.quote(table.name)
    if schema:  # where another stands for it, an empty one is none at all
        name = f"{preparer.quote_schema(schema)}.{name}"
    return name, _clock()


@cache
def _clock() -> str:
    """Return what both databases call the clock: to compile it costs as much as two rows."""
    return str(now().compile(dialect=mysql.dialect()))


def markers(things: Sequence[Any]) -> str:
    """Return a marker for the bytes of each."""
    return ", ".join([BYTES] * len(things))


def with_long_values(connection: Connection, selection: str) -> str:
    """Return a SELECT whose GROUP_CONCAT may have all of a packet, whatever the session says."""
    if getattr(connection.dialect, "is_mariadb", False):
        return f"SET STATEMENT group_concat_max_len = {_LONGEST} FOR SELECT {selection}"
    return f"SELECT /*+ SET_VAR(group_concat_max_len = {_LONGEST}) */ {selection}"


def of_safe_updates(connection: Connection, change: str) -> str:
    """Return a DELETE that the server executes although ``sql_safe_updates`` is on.

    The server would reject some that find their rows by key (error 1175): MariaDB a join with a
    derived table, and both of them a DELETE in the form of a join, which an index hint needs.
    """
    if getattr(connection.dialect, "is_mariadb", False):
        return f"SET STATEMENT sql_safe_updates = OFF FOR {change}"
    verb, _, rest = change.partition(" ")
    return f"{verb} /*+ SET_VAR(sql_safe_updates = OFF) */ {rest}"
