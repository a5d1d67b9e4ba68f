"""How texts are compiled and reach SQLite, whose every turn of a thread costs."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import Connection, make_url
from sqlalchemy.pool import Pool, QueuePool

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql import collisions, direct, execution
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.sqlite.driver import IN_ONE_TURN
from sessionstore_sql.sql.direct import invalidate_pool, pool_limit
from sessionstore_sql.sql.statements import build_statements
from sessionstore_sql.testing.support import HOUR, record
from tests.hidden import hide

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


SCRIPT = """
import sqlalchemy.ext.asyncio, sqlalchemy.util
CHANGE
import asyncio
from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.sql import direct

assert not direct._TAKES_OUR_WORKERS

async def main():
    async with SQLSessionStore(URL) as store:
        print(await store.load(SessionId("a")))

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "change",
    [
        "for name in ('await_', 'await_only'): vars(sqlalchemy.util).pop(name, None)",
        """
def wait(_): raise sqlalchemy.exc.MissingGreenlet
sqlalchemy.util.await_ = sqlalchemy.util.await_only = wait""",
    ],
    ids=["no name", "another mark"],
)
async def test_the_package_finds_out_whether_sqlalchemy_takes_its_greenlets(
    url: str, change: str
) -> None:
    """If not, a store works all the same."""
    script = SCRIPT.replace("URL", repr(url)).replace("CHANGE", change)
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    assert await done.communicate() == (b"None\n", None)


async def test_one_connection_is_replaced_if_a_pool_cannot_be_invalidated(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Pool._invalidate`` would have replaced all of its connections."""
    hide(monkeypatch, Pool, "_invalidate")
    async with SQLSessionStore(url) as store:

        def invalidate(connection: Connection) -> bool:
            invalidate_pool(connection, OSError())
            return connection.invalidated

        async with store.engine.connect() as connection:
            assert await connection.run_sync(invalidate)
            assert await connection.run_sync(invalidate)
        assert await store.load(SessionId("a")) is None


def test_the_limit_of_a_pool_is_unknown_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """``QueuePool._max_overflow`` has no public counterpart."""
    pool = QueuePool(lambda: None, pool_size=3, max_overflow=2)  # type: ignore[arg-type, return-value]
    assert pool_limit(pool) == 5

    hide(monkeypatch, QueuePool, "_max_overflow")
    assert pool_limit(pool) is None


async def test_autocommit_is_asked_for_once_before_calls_and_not_for_each(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the first statement, and when its connection is leased: it costs a tenth of a call."""
    asked: list[object] = []
    real = direct.is_autocommit

    def ask(connection: Connection) -> bool:
        asked.append(connection)
        return real(connection)

    monkeypatch.setattr(direct, "is_autocommit", ask)
    monkeypatch.setattr(execution, "is_autocommit", ask)
    monkeypatch.setattr(collisions, "is_autocommit", ask)
    async with SQLSessionStore(url) as store:
        await store.create(SessionId("a"), record())
        await store.load(SessionId("a"))
        await store.update(SessionId("a"), record())
        await store.update_ttl(SessionId("a"), HOUR)
        await store.delete(SessionId("a"))

    assert len(asked) == 2
