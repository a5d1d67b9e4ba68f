"""Connections that are lost while idle or in use, or that cannot be opened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    CreateError,
    DatabaseError,
    DeleteError,
    LoadError,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
    UpdateTtlError,
)
from sessionstore_sql.sql import leases
from tests.concurrency.rows import SERVER_TARGETS, deadline_of
from tests.concurrency.stores import HOUR, StoreMaker, record
from tests.faults.calls import ALL, DELETE_EXPIRED, LOAD, ONCE, REPEATED, STATE, Call
from tests.faults.proxy import Proxy
from tests.faults.servers import Server, fails, warm
from tests.stores import connections_in_use

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str),
]


@pytest.fixture
async def live(store: SQLSessionStore) -> SessionId:
    """The id of a live session."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    return session_id


@pytest.fixture
def free() -> SessionId:
    """An unknown id."""
    return SessionId.generate()


async def error_of(call: Awaitable[Any]) -> DatabaseError | None:
    """Return the error that ``call`` raises, if it does."""
    try:
        await call
    except DatabaseError as error:
        return error
    return None


@pytest.mark.parametrize("call", REPEATED, ids=str)
async def test_a_call_outlives_a_connection_killed_in_the_pool(
    store: SQLSessionStore, server: Server, live: SessionId, free: SessionId, call: Call
) -> None:
    """A repeatable call is repeated on a new connection."""
    await server.kill_all()

    await call.make(store, live, free)


async def test_one_lost_connection_takes_the_others_along(
    store: SQLSessionStore, server: Server
) -> None:
    """After a restart of the server, one failed call is enough to replace all connections."""
    async with store.engine.connect() as one, store.engine.connect() as other:
        killed = [await server.connection_id_of(each) for each in (one, other)]
    await server.kill(*killed)

    assert await store.load(SessionId.generate()) is None

    async with store.engine.connect() as one, store.engine.connect() as other:
        assert {await server.connection_id_of(each) for each in (one, other)}.isdisjoint(killed)


@pytest.mark.parametrize("call", ONCE, ids=str)
async def test_a_call_on_a_killed_connection_says_that_it_does_not_know(
    store: SQLSessionStore, server: Server, live: SessionId, free: SessionId, call: Call
) -> None:
    """A call that cannot be repeated succeeds or has an unknown outcome; the next succeeds."""
    await server.kill_all()

    error = await error_of(call.make(store, live, free))

    if error is not None:
        assert (error.transient, error.outcome_unknown) == (True, True)
        assert await store.load(free) is None
        await call.make(store, live, free)

    assert await store.load(free) is not None


async def test_an_update_killed_while_it_runs_is_repeated(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, live: SessionId
) -> None:
    """An extension succeeds although its connection is killed while it waits for a lock."""
    async with host_engine.connect() as connection:
        await store.bind(connection).update(live, record(by="host"))
        task = asyncio.ensure_future(store.update_ttl(live, HOUR * 2))
        await server.kill(await server.until_waiting(task))
        await connection.commit()
    await task

    loaded = await store.load(live)
    assert loaded is not None
    assert loaded.ttl > HOUR
    assert loaded.state == {"by": "host"}


async def test_a_create_killed_while_it_runs_has_an_unknown_outcome(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, free: SessionId
) -> None:
    """A create whose connection is killed while it waits has an unknown outcome."""
    async with host_engine.connect() as connection:
        await store.bind(connection).create(free, record())
        task = asyncio.ensure_future(store.create(free, record(text=STATE)))
        await server.kill(await server.until_waiting(task))
        with fails(CreateError, free, secrets=(STATE,)) as caught:
            await task
        await connection.rollback()

    assert caught.value.transient
    assert caught.value.outcome_unknown
    await store.create(free, record())


async def test_a_load_killed_while_it_runs_is_repeated(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, live: SessionId
) -> None:
    """A load whose connection is killed while it waits for the table returns the session."""
    lock = (
        "LOCK TABLE sessionstore_sessions IN ACCESS EXCLUSIVE MODE"
        if host_engine.dialect.name == "postgresql"
        else "LOCK TABLES sessionstore_sessions WRITE"
    )

    async with host_engine.connect() as connection:
        await connection.exec_driver_sql(lock)
        task = asyncio.ensure_future(store.load(live))
        await server.kill(await server.until_waiting(task))
        await connection.invalidate()  # LOCK TABLES outlives a rollback

    assert await task is not None


@pytest.fixture
def lasting_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that are not returned on a busy machine: each way of sending prepares its own."""
    monkeypatch.setattr(leases, "INTERVAL_S", 60)


@pytest.mark.usefixtures("lasting_leases")
@pytest.mark.parametrize("call", ALL, ids=str)
@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_loss_on_the_way(  # noqa: PLR0913, PLR0917  # fixtures
    url: URL,
    make_store: StoreMaker,
    live: SessionId,
    free: SessionId,
    call: Call,
    lost: str,
) -> None:
    """If a request or its response is lost, the call succeeds or has an unknown outcome."""
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        store = await make_store(way)
        other = SessionId.generate()
        for _ in range(6):  # psycopg prepares a statement once it has seen it five times
            await store.create(other, record())
            await call.make(store, other, free)
            for each in (other, free):  # one after the other, so all on one connection
                with suppress(UnknownIdError):
                    await store.delete(each)
        proxy.lose_requests, proxy.lose_answers = lost == "request", lost == "answer"

        error = await error_of(call.make(store, live, free))
        await store.aclose()

    if call in ONCE or (call.name, lost) == ("delete", "answer"):
        assert error is not None
        assert (error.transient, error.outcome_unknown) == (True, True)
    else:
        assert error is None


@pytest.mark.usefixtures("lasting_leases")
async def test_a_delete_that_finds_nothing_after_a_loss(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, live: SessionId
) -> None:
    """A delete that was executed but not confirmed does not report an unknown id."""
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        lossy = await make_store(way)
        for _ in range(6):
            other = SessionId.generate()
            await store.create(other, record())
            await lossy.delete(other)
        proxy.lose_answers = 1

        with fails(DeleteError, live) as caught:
            await lossy.delete(live)
        await lossy.aclose()

    assert caught.value.transient
    assert caught.value.outcome_unknown
    assert await store.load(live) is None


async def test_every_connection_is_lost(url: URL, make_store: StoreMaker, live: SessionId) -> None:
    """A call gives up after a timeout; the outcome of a write is then unknown."""
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        store = await make_store(way)
        for _ in range(6):
            await store.load(live)
            await store.update_ttl(live, HOUR)
        proxy.lose_requests = 1_000

        with fails(LoadError, live) as loading:
            await store.load(live)
        proxy.lose_requests = 0
        await warm(store)
        proxy.lose_requests = 1_000
        with fails(UpdateTtlError, live) as extending:
            await store.update_ttl(live, HOUR)
        proxy.lose_requests = 0

        assert (loading.value.transient, loading.value.outcome_unknown) == (True, False)
        assert (extending.value.transient, extending.value.outcome_unknown) == (True, True)
        assert await store.load(live) is not None
        await store.aclose()


@pytest.mark.parametrize("call", ALL, ids=str)
async def test_a_server_that_is_not_there(
    url: URL, make_store: StoreMaker, free: SessionId, call: Call
) -> None:
    """If no connection can be opened, the error is transient and the outcome known."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    store = await make_store(url.set(host="127.0.0.1", port=port))

    with fails(call.error, free, secrets=(STATE,)) as caught:
        await call.make(store, free, free)

    assert caught.value.transient
    assert not caught.value.outcome_unknown
    assert connections_in_use(store) == 0


async def test_a_wrong_password(url: URL, make_store: StoreMaker, free: SessionId) -> None:
    """The error does not show the password."""
    password = "s3cr3t-pa55word"
    store = await make_store(url.set(username="nobody_here", password=password))

    with fails(CreateError, free, secrets=(password, STATE)) as caught:
        await store.create(free, record(text=STATE))

    assert not caught.value.transient
    assert not caught.value.outcome_unknown


async def test_a_database_that_does_not_exist(
    url: URL, make_store: StoreMaker, free: SessionId
) -> None:
    """The error is not transient."""
    store = await make_store(url.set(database="there_is_no_such_database"))

    with fails(LoadError, free) as caught:
        await store.load(free)

    assert not caught.value.transient


@pytest.mark.parametrize("call", [LOAD, DELETE_EXPIRED], ids=str)
async def test_killed_connections_leave_no_trace(
    store: SQLSessionStore, server: Server, live: SessionId, free: SessionId, call: Call
) -> None:
    """The pool keeps its size and works after many killed connections."""
    for _ in range(5):
        await server.kill_all()
        await call.make(store, live, free)

    assert connections_in_use(store) == 0
    assert await deadline_of(store.engine, live) is not None


async def test_a_silent_network_does_not_block_calls(
    url: URL, make_store: StoreMaker, live: SessionId, free: SessionId
) -> None:
    """A statement without an answer times out, and its connection is closed."""
    proxy = Proxy(url)
    async with proxy.running(url) as through:
        store = await make_store(through)
        await warm(store)
        timeout, store._pool.answer_timeout_s = store._pool.answer_timeout_s, 0.2
        proxy.is_silent = True

        with fails(CreateError, free, secrets=(STATE,)) as caught:
            await store.create(free, record(text=STATE))

        proxy.is_silent = False
        store._pool.answer_timeout_s = timeout
        assert caught.value.transient
        assert caught.value.outcome_unknown
        assert await store.load(live) is not None
        await store.aclose()
