"""How texts are compiled and reach SQLite, whose every turn of a thread costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import make_url

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.schema import session_table
from sessionstore_sql.statements import build_statements
from sessionstore_sql.testing.support import HOUR, record

pytestmark = pytest.mark.anyio


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A database with a table."""
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    await migrate.upgrade(url)
    return url


async def close(driver: Any) -> None:
    """Close it, all of it."""
    await driver.close()


async def begin_to_close(driver: Any) -> None:
    """Have it take nothing more, while it still tells of its state."""
    driver._running = False


@pytest.mark.parametrize("end", [close, begin_to_close])
async def test_a_connection_that_was_closed_is_replaced(
    url: str, end: Callable[[Any], Awaitable[None]]
) -> None:
    """The driver says so with a ``ValueError``, which is no error of a database's."""
    async with SQLSessionStore(url) as store:
        await store.load(SessionId("a"))
        async with store.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
        await end(driver)

        assert await store.load(SessionId("a")) is None


async def test_a_call_is_one_turn_of_sqlites_thread(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make a cursor, to fetch from it and to close it would be others."""
    turns: list[object] = []
    real: Any = aiosqlite.Connection._execute

    def noting(self: object, function: Any, *rest: Any, **more: Any) -> Any:
        turns.append(function)
        return real(self, function, *rest, **more)

    async with SQLSessionStore(url) as store:
        await store.create(SessionId("a"), record())
        monkeypatch.setattr(aiosqlite.Connection, "_execute", noting)
        await store.load(SessionId("a"))
        await store.update_ttl(SessionId("a"), HOUR)
        await store.update(SessionId("a"), record(n=1))
        await store.delete(SessionId("a"))
        monkeypatch.undo()

    assert len(turns) == 4


@pytest.mark.parametrize("drivers", [("asyncpg", "psycopg"), ("psycopg", "asyncpg")])
def test_a_statement_knows_whose_text_it_has(drivers: tuple[str, str]) -> None:
    """Drivers of one database mark and take parameters differently."""
    load = build_statements(session_table(), dialect_named("postgresql")).load
    bound: list[Any] = []

    for driver in drivers:
        dialect: Any = make_url(f"postgresql+{driver}://").get_dialect()()
        bound.append(load._bound(dialect, {"key": b"k"}))

    expected = {"asyncpg": (b"k",), "psycopg": {"key": b"k"}}
    assert bound == [expected[driver] for driver in drivers]
