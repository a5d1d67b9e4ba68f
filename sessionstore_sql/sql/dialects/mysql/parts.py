"""Parts of the statements for many rows on MySQL and MariaDB: a text, and what it binds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore_sql.sql.dialects.base import ANY_VERSION
from sessionstore_sql.sql.dialects.mysql.texts import BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.dialects.base import Row


class Text(NamedTuple):
    """A part of a statement, and what it binds."""

    text: str
    bound: tuple[Any, ...] = ()


NO_TEXT = Text("")


def states_of(rows: Sequence[Row]) -> Text:
    """Return the expression of a row's state."""
    return of_each(rows, BYTES, [row.state.hex() for row in rows])


def new_keys_of(rows: Sequence[Row]) -> Text:
    """Return the expression of a row's new key."""
    return of_each(rows, BYTES, [row.new_key.hex() for row in rows])


def is_expected(row: Row, version: int | None) -> bool:
    """Whether a row is live, and its stored version the expected one."""
    if version is None:
        return False
    return row.expected in {ANY_VERSION, version} or row.version == version


def ttl_of(rows: Sequence[Row]) -> Text:
    """Return the expression of a row's TTL."""
    return of_each(rows, "%s", [row.ttl for row in rows])


def of_each(rows: Sequence[Row], marker: str, values: Sequence[Any]) -> Text:
    """Return an expression that has one of the ``values`` for each row.

    It compares keys one by one, which for 256 rows still costs less than a join to a derived table.
    If the values are equal, it is that value.
    """
    if values.count(values[0]) == len(values):
        return Text(marker, (values[0],))
    cases = f"WHEN {BYTES} THEN {marker} " * len(rows)
    keyed = zip(rows, values, strict=True)
    bound = tuple(part for row, value in keyed for part in (row.key.hex(), value))
    return Text(f"CASE id {cases}END", bound)


def parameters(rows: Sequence[Row]) -> tuple[Any, ...]:
    """Return what an INSERT binds: key, TTL, state and version of each row."""
    return tuple(
        part for row in rows for part in (row.key.hex(), row.ttl, row.state.hex(), row.version)
    )
