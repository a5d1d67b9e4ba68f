"""The sessions that are dumped, and what is required of a restored database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import URL, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.schema import session_table

STATES: list[dict[str, Any]] = [
    {},
    {"text": "\u0000 ' \\ \" ` ; -- \n ü €  \U0001f36a COLLATE=utf8mb4_bin"},
    {"number": 2**63 - 1, "list": [None, True, 0.1]},
    {"long": "x" * 300_000},
]

USER = "alice"


async def fill(url: URL) -> None:
    """Create the table, anonymous sessions and one session of a user."""
    await migrate.upgrade(url)
    async with SQLSessionStore(url) as store:
        for number, state in enumerate(STATES):
            await store.create(_id(number), SessionRecord(state, timedelta(hours=1)))
        of_a_user = SessionRecord({}, timedelta(hours=1))
        await store.sign_in(None, SessionId("of a user"), of_a_user, subject=USER)


async def require_equal(original: URL, restored: URL) -> None:
    """Require that a database has the sessions of the other, and that the store works with it."""
    assert await _rows(restored) == await _rows(original)
    await migrate.check(restored)
    assert await migrate.current(restored) == await migrate.current(original)
    async with SQLSessionStore(restored) as store:
        for number, state in enumerate(STATES):
            record = await store.load(_id(number))
            assert record is not None
            assert record.state == state
        assert len(await store.sessions_of(USER)) == 1
        await store.update(_id(0), SessionRecord({"new": 1}, timedelta(0)))
        await store.create(SessionId("new"), SessionRecord({}, timedelta(hours=1)))
        assert await store.delete_expired() == 1


async def require_no_sessions(restored: URL) -> None:
    """Require that the database has no sessions, and that an upgrade makes the table right."""
    await migrate.upgrade(restored)
    await migrate.check(restored)
    assert await _rows(restored) == []


async def _rows(url: URL) -> list[tuple[Any, ...]]:
    table = session_table()
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.execute(select(table).order_by(table.c.id))
        rows = [tuple(row) for row in found]
    await engine.dispose()
    return rows


def _id(number: int) -> SessionId:
    return SessionId(f"number {number}")
