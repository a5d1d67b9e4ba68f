"""How texts are compiled and reach SQLite, whose every turn of a thread costs."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import make_url

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.dialects.sqlite_sending import IN_ONE_TURN
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


async def test_a_connection_that_was_closed_is_replaced(url: str) -> None:
    """Even behind SQLAlchemy's back."""
    async with SQLSessionStore(url) as store:
        await store.load(SessionId("a"))
        async with store.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.close()

        assert await store.load(SessionId("a")) is None


@pytest.mark.parametrize("words", ["Connection closed", "no active connection"])
def test_what_the_driver_says_of_a_closed_connection_is_an_error_of_the_databases(
    words: str,
) -> None:
    """It says so with a ``ValueError``; SQLAlchemy is to know that the connection is lost."""

    def run_async(_work: object) -> None:
        raise ValueError(words)

    closed: Any = SimpleNamespace(dbapi_connection=SimpleNamespace(run_async=run_async))
    dialect: Any = make_url("sqlite+aiosqlite://").get_dialect()

    for send in (IN_ONE_TURN.fetch, IN_ONE_TURN.change):
        with pytest.raises(sqlite3.OperationalError) as caught:
            send(closed, "SELECT 1", ())
        assert dialect(dbapi=dialect.import_dbapi()).is_disconnect(caught.value, None, None)


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
