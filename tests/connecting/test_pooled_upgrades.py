"""Upgrades through PgBouncer in transaction mode leave nothing behind in its connections."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import DatabaseError, migrate
from sessionstore_sql.sql.dialects import upgrading
from sessionstore_sql.sql.direct import is_autocommit
from tests.databases import fresh_database
from tests.reliability.servers.pgbouncer import PgBouncer, preparing
from tests.reliability.servers.process import ask
from tests.reliability.servers.programs import MissingError, Program, find

pytestmark = pytest.mark.anyio

LOCKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)
LOCK_TIMEOUT = "SELECT setting::integer FROM pg_settings WHERE name = 'lock_timeout'"


@dataclass(frozen=True)
class Pooled:
    """A database, and the same one through a pooler that has one connection to it."""

    url: URL
    direct: URL


@pytest.fixture(scope="module")
def program() -> Program:
    """The newest PgBouncer that is there."""
    try:
        return preparing()
    except MissingError:
        pass
    try:
        return find("pgbouncer", "pgbouncer")
    except MissingError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PgBouncer's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="ssq-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pooled(postgresql: URL, program: Program, folder: Path) -> Iterator[Pooled]:
    """An empty database behind PgBouncer."""
    with fresh_database(postgresql) as direct:
        bouncer = PgBouncer(folder, Pooled(direct, direct), {"default_pool_size": 1})
        asyncio.run(bouncer.start(program))
        try:
            # Statements are not prepared, as PgBouncer before 1.21 would mix them up.
            options = {
                "asyncpg": {"statement_cache_size": "0", "prepared_statement_cache_size": "0"},
                "psycopg": {"prepare_threshold": "off"},
            }[direct.get_driver_name()]
            yield Pooled(bouncer.url.update_query_dict(options), direct)
        finally:
            bouncer.stop()


@asynccontextmanager
async def queue_held(url: URL, table: str) -> AsyncIterator[None]:
    """Be the one that migrates ``table``, as another process would be."""
    turn = ExitStack()

    def hold(connection: Connection) -> None:
        turn.enter_context(migrate.queue(connection, table, None))

    async with migrate.connect(url) as connection:
        await connection.run_sync(hold)
        try:
            yield
        finally:
            await connection.run_sync(lambda _: turn.close())


async def test_no_other_client_gets_the_connection_that_holds_the_lock(pooled: Pooled) -> None:
    """It would release the lock, or get the settings of the upgrade, or keep both."""
    async with queue_held(pooled.url, "sessions"):
        assert await ask(pooled.direct, LOCKS) == 1
        other = asyncio.create_task(ask(plain(pooled.url), LOCK_TIMEOUT))
        done, _ = await asyncio.wait({other}, timeout=0.5)
        assert done == set()

    assert await other == 0
    assert await ask(pooled.direct, LOCKS) == 0


async def test_a_client_that_vanishes_takes_the_lock_along(pooled: Pooled) -> None:
    """The pooler ends the transaction."""
    engine = create_async_engine(plain(pooled.url), poolclass=NullPool)
    async with engine.connect() as connection:
        turn = ExitStack()
        await connection.run_sync(
            lambda sync: turn.enter_context(migrate.queue(sync, "sessions", None))
        )
        await connection.invalidate()
        turn.pop_all()
    await engine.dispose()

    await migrate.upgrade(pooled.direct, table="sessions", wait=timedelta(seconds=5))


@pytest.mark.parametrize("target", ["url", "engine", "autocommit", "block"])
async def test_an_upgrade_leaves_neither_lock_nor_settings(pooled: Pooled, target: str) -> None:
    """Whatever the upgrade is given, and however its connection commits."""
    commits = target in {"autocommit", "block"}
    level = "AUTOCOMMIT" if commits else "READ COMMITTED"
    engine = create_async_engine(
        plain(pooled.url), isolation_level=level, pool_size=1, max_overflow=0
    )

    for _ in range(2):
        match target:
            case "url":
                await migrate.upgrade(pooled.url)
            case "block":
                async with engine.begin() as connection:
                    await migrate.upgrade(connection)
            case _:
                await migrate.upgrade(engine)

    await migrate.check(pooled.direct)
    assert await ask(pooled.direct, LOCKS) == 0
    assert await ask(plain(pooled.url), LOCK_TIMEOUT) == 0
    async with engine.connect() as connection:
        assert await connection.run_sync(is_autocommit) is commits
    await engine.dispose()


async def test_upgrades_that_start_together_through_a_pooler_all_succeed(pooled: Pooled) -> None:
    """They share one connection of the server, one after the other."""
    async with asyncio.timeout(60):
        await asyncio.gather(*(migrate.upgrade(pooled.url) for _ in range(4)))

    await migrate.check(pooled.direct)


async def test_the_wait_behind_a_pooler_is_bounded_and_logged(
    pooled: Pooled, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the process of the server that holds the lock, and how to end it."""
    monkeypatch.setattr(upgrading, "_SILENT_S", 0)
    caplog.set_level(logging.WARNING, logger="sessionstore_sql.migrate")
    async with queue_held(pooled.direct, "sessionstore_sessions"):
        with pytest.raises(DatabaseError, match="pg_terminate_backend") as caught:
            await migrate.upgrade(pooled.url, wait=timedelta(seconds=0.3))

    assert caught.value.transient
    assert "for at most 0 s more" in caplog.records[0].getMessage()
    assert await ask(pooled.direct, LOCKS) == 0


def plain(url: URL) -> URL:
    """Return the URL with what SQLAlchemy's own engines take."""
    if url.get_driver_name() == "asyncpg":
        return url.set(query={"prepared_statement_cache_size": "0"})
    return url.set(query={})
