"""Rows that were written by hand into SQLite, which types values instead of columns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sessionstore_sql import (
    DeserializationError,
    LoadError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    migrate,
)
from sessionstore_sql.records import key_of
from sessionstore_sql.statistics import collect_statistics
from sessionstore_sql.testing.support import fails

pytestmark = pytest.mark.anyio

RECORD = SessionRecord({"a": 1}, timedelta(hours=1))


@pytest.fixture(params=[True, False], ids=["coalesced", "alone"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SQLSessionStore]:
    """A store on a file of SQLite's."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    await migrate.upgrade(url)
    async with SQLSessionStore(url, coalesce=request.param) as store:
        yield store


async def write(store: SQLSessionStore, session_id: SessionId, column: str, value: Any) -> None:
    """Put ``value`` in the place of what is stored."""
    statement = f"UPDATE sessionstore_sessions SET {column} = :value WHERE id = :key"
    async with store.engine.connect() as connection:
        await connection.execute(text(statement), {"value": value, "key": key_of(session_id)})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", '{"a": 1}'),
        ("state", 2**63 - 1),  # as many bytes would be a MemoryError, at best
        ("state", 1.5),
        ("deadline", "tomorrow"),
    ],
)
async def test_a_value_of_another_type_is_not_read(
    store: SQLSessionStore, column: str, value: Any
) -> None:
    """Loading the damaged session raises the documented error; others are loaded."""
    damaged, others = SessionId.generate(), [SessionId.generate() for _ in range(5)]
    for session_id in (damaged, *others):
        await store.create(session_id, RECORD)
    await write(store, damaged, column, value)

    first, *loaded, last = await asyncio.gather(
        store.load(damaged),
        *(store.load(each) for each in others),
        store.load(damaged),
        return_exceptions=True,
    )

    for error in (first, last):
        with fails(LoadError, DeserializationError):
            assert isinstance(error, Exception)
            raise error
    assert [isinstance(each, SessionRecord) and each.state for each in loaded] == [{"a": 1}] * 5
    await store.update(damaged, RECORD)
    assert await store.load(damaged) is not None


async def test_a_text_for_a_deadline_is_counted(store: SQLSessionStore) -> None:
    """Statistics are of whatever there is."""
    session_id = SessionId.generate()
    await store.create(session_id, RECORD)
    await write(store, session_id, "deadline", "tomorrow")

    statistics = await collect_statistics(store.engine)

    assert statistics.live.sessions + statistics.expired.sessions == 1
