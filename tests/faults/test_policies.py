"""Servers whose operators forbid what is often a mistake."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from tests.concurrency.rows import SERVER_TARGETS, back_date, row_count
from tests.concurrency.stores import HOUR, StoreMaker, record
from tests.faults.calls import CREATE, STATE, WRITES, Call
from tests.faults.servers import fails, on_connect

pytestmark = pytest.mark.anyio

MYSQL, MARIADB = (
    [target for target in SERVER_TARGETS if target.database == database]
    for database in ("mysql", "mariadb")
)
SNAPSHOTS = "SET SESSION innodb_snapshot_isolation = ON"


@pytest.mark.parametrize("target", MYSQL + MARIADB, indirect=True, ids=str)
async def test_safe_updates_change_nothing(store: SQLSessionStore, make_store: StoreMaker) -> None:
    """The server rejects changes that use no key, as a purge of several rows seemed to do."""
    connect_args = {"init_command": "SET SESSION sql_safe_updates = ON"}
    other = await make_store(engine_options={"connect_args": connect_args})
    ids = [SessionId.generate() for _ in range(20)]

    await asyncio.gather(*(other.create(each, record()) for each in ids))
    await asyncio.gather(*(other.update(each, record(new=True)) for each in ids))
    await asyncio.gather(*(other.update_ttl(each, HOUR) for each in ids))
    await asyncio.gather(*(other.delete(each) for each in ids[:5]))
    await back_date(store.engine, ids[5:10])
    await asyncio.gather(*(other.create(each, record()) for each in ids[5:10]))
    await back_date(store.engine, ids[10:])

    assert await other.count_expired() == 10
    assert await other.delete_expired() == 10
    assert await row_count(store.engine) == 5


@pytest.mark.parametrize("target", MARIADB, indirect=True, ids=str)
@pytest.mark.parametrize("call", WRITES, ids=str)
async def test_a_write_to_a_row_that_changed_ends_the_callers_transaction(
    store: SQLSessionStore, url: URL, call: Call
) -> None:
    """With innodb_snapshot_isolation, MariaDB rolls back all of it, and the error says so."""
    session_id, mine, free = (SessionId.generate() for _ in range(3))
    await store.create(session_id, record(kept=True))
    engine = create_async_engine(url, poolclass=NullPool)
    on_connect(engine, SNAPSHOTS)

    async with engine.connect() as connection:
        bound = store.bind(connection)
        await bound.create(mine, record())
        assert await bound.load(session_id) is not None
        await store.update_ttl(session_id, HOUR)
        with fails(call.error, session_id, free, secrets=(STATE,)) as caught:
            await call.make(bound, session_id, session_id if call is CREATE else free)
        await connection.commit()
    await engine.dispose()

    assert caught.value.transient
    assert "READ COMMITTED" in str(caught.value)
    assert await store.load(mine) is None


@pytest.mark.parametrize("target", MARIADB, indirect=True, ids=str)
async def test_at_read_committed_it_does_not_happen(
    store: SQLSessionStore, make_store: StoreMaker, url: URL
) -> None:
    """Neither in the caller's transaction, nor in the store's own calls."""
    session_id = SessionId.generate()
    own = await make_store(engine_options={"connect_args": {"init_command": SNAPSHOTS}})
    await own.create(session_id, record())
    engine = create_async_engine(url, isolation_level="READ COMMITTED", poolclass=NullPool)
    on_connect(engine, SNAPSHOTS)

    async with engine.connect() as connection:
        bound = store.bind(connection)
        assert await bound.load(session_id) is not None
        await own.update_ttl(session_id, HOUR)
        await bound.update(session_id, record(by="us"))
        await connection.commit()
    await engine.dispose()

    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"by": "us"}


@pytest.mark.parametrize("target", MYSQL, indirect=True, ids=str)
async def test_tables_have_the_primary_keys_that_a_server_demands(url: URL) -> None:
    """The migrations work although the server rejects tables without one."""
    engine = create_async_engine(url, poolclass=NullPool)
    on_connect(engine, "SET SESSION sql_require_primary_key = ON")

    await migrate.upgrade(engine, table="with_key")

    await migrate.check(engine, table="with_key")
    await migrate.downgrade(engine, "base", table="with_key")
    async with engine.connect() as connection:
        await connection.execute(text("DROP TABLE with_key_version"))
    await engine.dispose()


@pytest.mark.parametrize("target", MYSQL + MARIADB, indirect=True, ids=str)
@pytest.mark.parametrize("is_shared", [False, True], ids=["own engine", "host's engine"])
async def test_safe_updates_keep_no_session_of_a_user(
    make_store: StoreMaker, url: URL, is_shared: bool
) -> None:
    """All of them end, also in a table of a few rows, which is not read by its key."""
    safe = {"init_command": "SET SESSION sql_safe_updates = ON"}
    engine = create_async_engine(url, connect_args=safe)
    store = (
        await make_store(engine)
        if is_shared
        else await make_store(engine_options={"connect_args": safe})
    )
    for _ in range(6):
        await store.sign_in(None, SessionId.generate(), record(), subject="ada", max_sessions=4)

    assert await store.revoke("ada") == 4
    assert await row_count(store.engine) == 0
    await engine.dispose()
