"""Reads and writes the columns of account sessions by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, literal, select, update

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named, now

TABLE = session_table()


class Columns(NamedTuple):
    """A row without its id and state."""

    deadline: int
    subject: bytes | None
    handle: bytes | None
    created: int | None
    authenticated: int | None
    seen: int | None
    final_deadline: int | None
    idle_ttl: int | None
    version: int | None
    about: bytes | None


async def columns_of(store: SQLSessionStore, session_id: SessionId) -> Columns:
    """Return the columns of a row that must be there, live or expired."""
    columns = [TABLE.c[name] for name in Columns._fields]
    async with store.engine.connect() as connection:
        found = await connection.execute(select(*columns).where(_has(store, session_id)))
        return Columns(*found.one())


async def set_columns(store: SQLSessionStore, session_id: SessionId, **values: Any) -> None:
    """Write columns of a row; ``deadline_in``, ``final_deadline_in``: microseconds from now."""
    binary = dialect_named(store.engine.dialect.name).binary
    for name, value in list(values.items()):
        if name.endswith("_in"):
            values[name.removesuffix("_in")] = now() + values.pop(name)
        elif isinstance(value, bytes):
            values[name] = literal(value, binary)
    async with store.engine.begin() as connection:
        changed = await connection.execute(
            update(TABLE).where(_has(store, session_id)).values(values)
        )
        assert changed.rowcount == 1


def _has(store: SQLSessionStore, session_id: SessionId) -> ColumnElement[bool]:
    binary = dialect_named(store.engine.dialect.name).binary
    return TABLE.c.id == literal(key_of(session_id), binary)
