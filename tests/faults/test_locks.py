"""Waiting for locks: cancellation, timeouts and deadlocks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import Any

import anyio
import pytest
from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import (
    DatabaseError,
    DuplicateIdError,
    LoadError,
    SessionId,
    SQLSessionStore,
    UpdateError,
)
from sessionstore_sql.schema import session_table
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.stores import HOUR, StoreMaker, record
from tests.databases import TARGETS, Target
from tests.faults.calls import CHANGE_ID, DELETE, STATE, UPDATE, UPDATE_TTL, Call
from tests.faults.servers import Server, fails, on_connect, short_lock_timeout, warm
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio


def on(*targets: Target) -> pytest.MarkDecorator:
    """Return the mark of a test for these targets only."""
    return pytest.mark.parametrize("target", targets, indirect=True, ids=str)


on_servers = on(*SERVER_TARGETS)
on_postgresql = on(*(each for each in TARGETS if each.database == "postgresql"))
on_sqlite = on(*(each for each in TARGETS if each.database == "sqlite"))


def errors_of(store: SQLSessionStore) -> list[Any]:
    """Return a list that receives the driver's errors."""
    seen: list[Any] = []
    engine = store.engine.sync_engine
    event.listen(engine, "handle_error", lambda context: seen.append(context.original_exception))
    return seen


@on_servers
@pytest.mark.parametrize("call", [UPDATE, UPDATE_TTL, DELETE, CHANGE_ID], ids=str)
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_a_call_is_cancelled_as_it_waits(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, call: Call, how: str
) -> None:
    """A cancelled call leaks no connection and changes no other session."""
    live, other, free = (SessionId.generate() for _ in range(3))
    await store.create(live, record(kept=True))
    await store.create(other, record(other=True))
    scope = anyio.CancelScope()

    async def make() -> None:
        with scope:
            await call.make(store, live, free)

    async with host_engine.connect() as connection:
        await store.bind(connection).update_ttl(live, HOUR)
        task = asyncio.ensure_future(make())
        await server.until_waiting(task)
        if how == "task":
            task.cancel()
        else:
            scope.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == (how == "task")
        assert scope.cancelled_caught == (how == "scope")
        assert connections_in_use(store) == 0
        await connection.rollback()

    loaded = await store.load(other)
    assert loaded is not None
    assert loaded.state == {"other": True}
    left = [await store.load(live), await store.load(free)]
    assert all(each is None or each.state in ({"kept": True}, {"text": STATE}) for each in left)
    await asyncio.gather(*(store.load(other) for _ in range(20)))
    assert connections_in_use(store) == 0


async def test_a_locked_row_is_waited_for_no_longer_than_the_timeout(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine, target: Target
) -> None:
    """The error is transient, and nothing was changed."""
    live = SessionId.generate()
    await store.create(live, record(kept=True))
    hasty = await make_store()
    on_connect(hasty.engine, short_lock_timeout(target.database))

    async with host_engine.connect() as connection:
        await store.bind(connection).update_ttl(live, HOUR)
        with fails(UpdateError, live, secrets=(STATE,)) as caught:
            await hasty.update(live, record(text=STATE))
        await connection.rollback()

    assert caught.value.transient
    assert not caught.value.outcome_unknown
    loaded = await hasty.load(live)
    assert loaded is not None
    assert loaded.state == {"kept": True}


@on_servers
async def test_a_deadlock_is_retried_inside(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server
) -> None:
    """A call that the database aborts because of a deadlock is retried, and succeeds."""
    errors = errors_of(store)

    while True:
        old_id, new_id = SessionId.generate(), SessionId.generate()
        await store.create(old_id, record(kept=True))
        async with host_engine.connect() as connection:
            bound = store.bind(connection)
            for _ in range(30):  # MySQL aborts the transaction that has changed less
                await bound.create(SessionId.generate(), record())
            await bound.create(new_id, record())
            task = asyncio.ensure_future(store.change_id(old_id, new_id))
            await server.until_waiting(task)
            # PostgreSQL aborts the one that looks for a deadlock first, which may be the host.
            with suppress(DatabaseError):
                await bound.update_ttl(old_id, HOUR)
            await connection.rollback()
        await task
        if errors:
            break

    assert len(errors) == 1
    assert await store.load(new_id) is not None
    assert await store.load(old_id) is None


@on_postgresql
async def test_a_serialization_failure_is_retried_inside(
    make_store: StoreMaker,
    url: URL,
    store: SQLSessionStore,
    host_engine: AsyncEngine,
    server: Server,
) -> None:
    """With serializable isolation, a call that conflicts is retried, and succeeds."""
    live = SessionId.generate()
    await store.create(live, record())
    engine = create_async_engine(url, isolation_level="SERIALIZABLE")
    on_connect(engine, "SET default_transaction_isolation = serializable")
    serializable = await make_store(engine)
    errors = errors_of(serializable)
    await warm(serializable)

    async with host_engine.connect() as connection:
        await store.bind(connection).update(live, record(by="host"))
        task = asyncio.ensure_future(serializable.update(live, record(by="us")))
        await server.until_waiting(task)
        await connection.commit()
    await task

    assert [error.sqlstate for error in errors] == ["40001"]
    loaded = await store.load(live)
    assert loaded is not None
    assert loaded.state == {"by": "us"}
    await engine.dispose()


async def test_an_exhausted_pool(make_store: StoreMaker) -> None:
    """A call that gets no connection from the pool fails with a transient error."""
    store = await make_store(engine_options={"pool_size": 1, "pool_timeout": 0.05})
    session_id = SessionId.generate()

    async with store.engine.connect():
        with fails(LoadError, session_id) as caught:
            await store.load(session_id)

    assert caught.value.transient
    assert not caught.value.outcome_unknown
    assert await store.load(session_id) is None


@on_sqlite
async def test_sqlite_waits_for_another_process(store: SQLSessionStore, url: URL) -> None:
    """A call waits while another process writes, and then succeeds."""
    session_id = SessionId.generate()
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.readline()\n"
        "connection.execute('COMMIT')\n"
        "connection.close()\n"
    )
    with subprocess.Popen(  # noqa: ASYNC220  # its output is read once, immediately
        [sys.executable, "-c", program, str(url.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        sent = asyncio.Event()
        event.listen(
            store.engine.sync_engine, "before_cursor_execute", lambda *_: sent.set(), once=True
        )
        task = asyncio.ensure_future(store.create(session_id, record()))
        await sent.wait()
        assert await store.load(session_id) is None
        assert not task.done()
        writer.stdin.write("\n")
        writer.stdin.flush()
        await task

    assert await store.load(session_id) is not None


@on_sqlite
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit from 3.12 on")
async def test_sqlite_commits_without_autocommit(
    make_store: StoreMaker, store: SQLSessionStore, url: URL
) -> None:
    """A call commits on an engine whose connections are always in a transaction."""
    engine = create_async_engine(url, connect_args={"autocommit": False})
    shared = await make_store(engine)
    session_id, new_id = SessionId.generate(), SessionId.generate()

    await shared.create(session_id, record(kept=True))
    await shared.update_ttl(session_id, HOUR)
    await shared.change_id(session_id, new_id)

    assert await store.load(new_id) is not None
    await store.delete(new_id)
    assert await shared.load(new_id) is None
    await engine.dispose()


async def test_sqlite_in_memory_outlives_a_cancelled_call() -> None:
    """A call that is cancelled at any moment leaves no lock on the table or its rows."""
    async with SQLSessionStore("sqlite://") as store:
        async with store.engine.begin() as connection:
            await connection.run_sync(session_table().create)
        session_id = SessionId.generate()
        await store.create(session_id, record(kept=True))

        for steps in range(40):
            task = asyncio.ensure_future(store.update_ttl(session_id, HOUR))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            # Connected again, so that the next is not cancelled as it connects: aiosqlite would
            # leave that connection to the garbage collector.
            loaded = await store.load(session_id)
            assert loaded is not None
            assert loaded.state == {"kept": True}

        assert connections_in_use(store) == 0


async def test_the_caller_repeats_a_transaction_of_his_own(
    store: SQLSessionStore, host_engine: AsyncEngine, target: Target
) -> None:
    """In the caller's transaction, a lock timeout is an error without a retry."""
    live = SessionId.generate()
    await store.create(live, record())
    hasty = create_async_engine(host_engine.url)
    on_connect(hasty, short_lock_timeout(target.database))

    async with host_engine.connect() as connection, hasty.connect() as waiting:
        await store.bind(connection).update_ttl(live, HOUR)
        with pytest.raises(DatabaseError) as caught:
            await store.bind(waiting).update_ttl(live, HOUR)
        await waiting.rollback()
        await connection.rollback()

    assert caught.value.transient
    assert not caught.value.outcome_unknown
    await hasty.dispose()


@on_servers
async def test_a_create_cancelled_as_it_waits_can_be_made_again(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server
) -> None:
    """Creating and deleting one id concurrently leaves it live or unknown."""
    session_id = SessionId.generate()

    async with host_engine.connect() as connection:
        await store.bind(connection).create(session_id, record(by="host"))
        task = asyncio.ensure_future(store.create(session_id, record(by="us")))
        await server.until_waiting(task)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await connection.rollback()

    with suppress(DuplicateIdError):
        await store.create(session_id, record(by="us"))
    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"by": "us"}
    assert connections_in_use(store) == 0
