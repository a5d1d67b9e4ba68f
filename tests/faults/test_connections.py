"""Connections that are lost: idle, with a statement under way, or never had."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
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
    UpdateTtlError,
)
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
    """An id that nobody has."""
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
    """What can be repeated is repeated on a new connection."""
    await server.kill(await server.connection_id(store.engine))

    await call.make(store, live, free)


async def test_one_lost_connection_takes_the_others_along(
    store: SQLSessionStore, server: Server
) -> None:
    """A server that went away took all of them: only one call has to find out."""
    async with store.engine.connect() as one, store.engine.connect() as other:
        killed = [await server.connection_id_of(each) for each in (one, other)]
    for each in killed:
        await server.kill(each)

    assert await store.load(SessionId.generate()) is None

    async with store.engine.connect() as one, store.engine.connect() as other:
        assert {await server.connection_id_of(each) for each in (one, other)}.isdisjoint(killed)


@pytest.mark.parametrize("call", ONCE, ids=str)
async def test_a_call_on_a_killed_connection_says_that_it_does_not_know(
    store: SQLSessionStore, server: Server, live: SessionId, free: SessionId, call: Call
) -> None:
    """What cannot be repeated succeeds, or its outcome is unknown; the next call succeeds."""
    await server.kill(await server.connection_id(store.engine))

    error = await error_of(call.make(store, live, free))

    if error is not None:
        assert (error.transient, error.outcome_unknown) == (True, True)
        assert await store.load(free) is None
        await call.make(store, live, free)

    assert await store.load(free) is not None


async def test_an_update_killed_under_way_is_repeated(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, live: SessionId
) -> None:
    """An extension whose connection is killed as it waits for a lock succeeds after all."""
    used = await server.connection_id(store.engine)

    async with host_engine.connect() as connection:
        await store.bind(connection).update(live, record(by="host"))
        task = asyncio.ensure_future(store.update_ttl(live, HOUR * 2))
        await server.until_waiting(used)
        await server.kill(used)
        await connection.commit()
    await task

    loaded = await store.load(live)
    assert loaded is not None
    assert loaded.ttl > HOUR
    assert loaded.state == {"by": "host"}


async def test_a_create_killed_under_way_has_an_unknown_outcome(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, free: SessionId
) -> None:
    """A create whose connection is killed as it waits says that nobody knows."""
    used = await server.connection_id(store.engine)

    async with host_engine.connect() as connection:
        await store.bind(connection).create(free, record())
        task = asyncio.ensure_future(store.create(free, record(text=STATE)))
        await server.until_waiting(used)
        await server.kill(used)
        with fails(CreateError, free, secrets=(STATE,)) as caught:
            await task
        await connection.rollback()

    assert caught.value.transient
    assert caught.value.outcome_unknown
    await store.create(free, record())


async def test_a_load_killed_under_way_is_repeated(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, live: SessionId
) -> None:
    """A load whose connection is killed as it waits for the table returns the session."""
    used = await server.connection_id(store.engine)
    lock = (
        "LOCK TABLE sessionstore_sessions IN ACCESS EXCLUSIVE MODE"
        if host_engine.dialect.name == "postgresql"
        else "LOCK TABLES sessionstore_sessions WRITE"
    )

    async with host_engine.connect() as connection:
        await connection.exec_driver_sql(lock)
        task = asyncio.ensure_future(store.load(live))
        await server.until_waiting(used)
        await server.kill(used)
        await connection.invalidate()  # LOCK TABLES outlives a rollback

    assert await task is not None


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
    """Whether the request or its answer is lost, a call succeeds or its outcome is unknown."""
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        store = await make_store(way)
        other = SessionId.generate()
        for _ in range(6):  # psycopg prepares a statement once it has seen it five times
            await store.create(other, record())
            await call.make(store, other, free)
            await asyncio.gather(store.delete(other), store.delete(free), return_exceptions=True)
        proxy.lose_requests, proxy.lose_answers = lost == "request", lost == "answer"

        error = await error_of(call.make(store, live, free))
        await store.aclose()

    if call in ONCE or (call.name, lost) == ("delete", "answer"):
        assert error is not None
        assert (error.transient, error.outcome_unknown) == (True, True)
    else:
        assert error is None


async def test_a_delete_that_finds_nothing_after_a_loss(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, live: SessionId
) -> None:
    """A delete that was carried out and not confirmed is not called unknown."""
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
    """A call gives up in the end; a read has an outcome, a write's is unknown."""
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
    """Nothing was sent, so the outcome is known, and a retry may help."""
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
    """A retry does not help."""
    store = await make_store(url.set(database="there_is_no_such_database"))

    with fails(LoadError, free) as caught:
        await store.load(free)

    assert not caught.value.transient


@pytest.mark.parametrize("call", [LOAD, DELETE_EXPIRED], ids=str)
async def test_killed_connections_leave_no_trace(
    store: SQLSessionStore, server: Server, live: SessionId, free: SessionId, call: Call
) -> None:
    """However often connections are killed, the pool keeps its size and works."""
    for _ in range(5):
        await server.kill(await server.connection_id(store.engine))
        await call.make(store, live, free)

    assert connections_in_use(store) == 0
    assert await deadline_of(store.engine, live) is not None


async def test_a_silent_network_keeps_nobody_waiting(
    url: URL, make_store: StoreMaker, live: SessionId, free: SessionId
) -> None:
    """A statement that nobody answers is given up, and so is its connection."""
    proxy = Proxy(url)
    async with proxy.running(url) as through:
        store = await make_store(through)
        await warm(store)
        store._executor.answer_timeout_s = 0.2
        proxy.is_silent = True

        with fails(CreateError, free, secrets=(STATE,)) as caught:
            await store.create(free, record(text=STATE))

        proxy.is_silent = False
        assert caught.value.transient
        assert caught.value.outcome_unknown
        assert await store.load(live) is not None
        await store.aclose()
