"""What the tests do to the table behind the session store's back; for ``wait_for``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, event, select, update

from sessionstore_sql import SessionId
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.engines import dialect_of
from sessionstore_sql.store import SQLSessionStore

SESSIONS = session_table()


async def empty(store: SQLSessionStore) -> None:
    """Delete all rows."""
    async with store.engine.connect() as connection:
        await connection.execute(SESSIONS.delete())


async def count(store: SQLSessionStore) -> int:
    """Return how many sessions there are, expired ones too, without tombstones."""
    async with store.engine.connect() as connection:
        states = await connection.scalars(select(SESSIONS.c.state))
        return sum(not bytes(state).startswith(b'{"after":') for state in states)


async def write(store: SQLSessionStore, /, session_key: str | None, **columns: Any) -> None:
    """Set columns of a session's row."""
    binary = dialect_of(store.engine).binary
    values = {
        name: bindparam(f"new_{name}", value, type_=binary) if isinstance(value, bytes) else value
        for name, value in columns.items()
    }
    async with store.engine.connect() as connection:
        changed = await connection.execute(
            update(SESSIONS).where(_is(store, session_key)).values(values)
        )
    assert changed.rowcount == 1


async def stored(store: SQLSessionStore, session_key: str | None) -> bytes | None:
    """Return the bytes of a session's state, live or not."""
    async with store.engine.connect() as connection:
        return await connection.scalar(select(SESSIONS.c.state).where(_is(store, session_key)))


async def statements(store: SQLSessionStore) -> list[str]:
    """Return a list that each statement from now on is added to."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    return seen


async def life(store: SQLSessionStore, session_key: str | None) -> float:
    """Return the seconds that a session has left."""
    record = await store.load(SessionId(session_key or ""))
    assert record is not None
    return record.ttl.total_seconds()


def _is(store: SQLSessionStore, session_key: str | None) -> ColumnElement[bool]:
    key = key_of(SessionId(session_key or ""))
    return SESSIONS.c.id == bindparam("wanted", key, type_=dialect_of(store.engine).binary)
