"""Connections that died while they were in the pool: the first call afterwards succeeds."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore, migrate
from sessionstore_sql.sql.engines import dialect_of
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.stores import StoreMaker, record
from tests.faults.calls import ALL, Call
from tests.faults.proxy import Proxy
from tests.faults.servers import Server
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

on_servers = pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)

CONNECTIONS = 3

each_operation = pytest.mark.parametrize("call", ALL, ids=str)


@pytest.fixture
async def proxy(url: URL) -> AsyncIterator[tuple[Proxy, URL]]:
    """A network between the store and the server."""
    proxy = Proxy(url)
    async with proxy.running(url) as through:
        yield proxy, through


async def fill_pool(engine: AsyncEngine, server: Server) -> list[int]:
    """Let the pool have several idle connections; return the server's ids of them."""
    connections = [await engine.connect() for _ in range(CONNECTIONS)]
    ids = [await server.connection_id_of(each) for each in connections]
    for each in connections:
        await each.close()
    return ids


async def live_session(store: SQLSessionStore) -> SessionId:
    """Return the id of a new session."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    return session_id


def descriptor_of(store: SQLSessionStore, driver_connection: object) -> int | None:
    """Return the file descriptor of a connection's socket."""
    socket_of = dialect_of(store.engine).socket_of
    assert socket_of is not None
    return socket_of(driver_connection)


def kill_unnoticed(url: URL, connection_ids: list[int]) -> None:
    """End connections while this thread, and the event loop in it, stands still."""

    async def kill() -> None:
        server = Server(url)
        for each in connection_ids:
            await server.kill(each)
        await server.close()

    thread = threading.Thread(target=asyncio.run, args=(kill(),))
    thread.start()
    thread.join()


@on_servers
@each_operation
@pytest.mark.parametrize("coalesce", [True, False], ids=["coalesced", "direct"])
async def test_every_operation_survives_connections_that_the_server_closed(
    make_store: StoreMaker, server: Server, url: URL, call: Call, coalesce: bool
) -> None:
    """Nothing is sent on such a connection, although the driver has not heard of its end."""
    store = await make_store(coalesce=coalesce)
    session_id = await live_session(store)
    kill_unnoticed(url, await fill_pool(store.engine, server))

    await call.make(store, session_id, SessionId.generate())

    assert connections_in_use(store) == 0


@on_servers
@each_operation
async def test_every_operation_survives_connections_whose_end_the_driver_has_seen(
    store: SQLSessionStore, server: Server, call: Call
) -> None:
    """Likewise, after the event loop has read what the server said last."""
    session_id = await live_session(store)
    for each in await fill_pool(store.engine, server):
        await server.kill(each)

    await call.make(store, session_id, SessionId.generate())

    assert connections_in_use(store) == 0


@on_servers
@each_operation
async def test_so_it_does_on_an_engine_of_the_application(
    store: SQLSessionStore, server: Server, url: URL, call: Call
) -> None:
    """The store adds no listener to it, and looks at its connections all the same."""
    engine = create_async_engine(url)
    hosted = SQLSessionStore(engine)
    session_id = await live_session(store)
    kill_unnoticed(url, await fill_pool(engine, server))

    await call.make(hosted, session_id, SessionId.generate())

    assert connections_in_use(hosted) == 0
    await engine.dispose()


@on_servers
async def test_other_users_of_the_stores_engine_get_open_connections(
    store: SQLSessionStore, server: Server, url: URL
) -> None:
    """The pool looks at them, too."""
    kill_unnoticed(url, await fill_pool(store.engine, server))

    for _ in range(CONNECTIONS):
        async with store.engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1


@on_servers
@pytest.mark.parametrize("is_hosted", [False, True], ids=["own", "hosted"])
async def test_a_check_survives_connections_that_the_server_closed(
    store: SQLSessionStore, server: Server, url: URL, is_hosted: bool
) -> None:
    """Applications check the table again and again, to tell whether they are ready."""
    engine = create_async_engine(url) if is_hosted else store.engine
    kill_unnoticed(url, await fill_pool(engine, server))

    await migrate.check(engine)

    await engine.dispose()


@on_servers
async def test_a_store_leases_connections_although_its_pool_looks_at_them(
    store: SQLSessionStore,
) -> None:
    """No listener of the application's is called for it."""
    await store.load(SessionId.generate())

    assert connections_in_use(store) == 0
    assert store.engine.pool.checkedout() == 1  # type: ignore[attr-defined]


@on_servers
@each_operation
async def test_every_operation_survives_a_network_that_closed_connections(
    make_store: StoreMaker, server: Server, proxy: tuple[Proxy, URL], call: Call
) -> None:
    """As load balancers do after some minutes, silently of the server's."""
    network, through = proxy
    store = await make_store(through)
    session_id = await live_session(store)
    await fill_pool(store.engine, server)
    network.cut()
    await network.until_cut()
    network.is_cut = False

    await call.make(store, session_id, SessionId.generate())

    assert connections_in_use(store) == 0


@on_servers
async def test_connections_that_vanished_cost_one_wait(
    make_store: StoreMaker, server: Server, proxy: tuple[Proxy, URL]
) -> None:
    """A firewall dropped them silently: after one call, all of them are replaced."""
    network, through = proxy
    store = await make_store(through)
    session_id = await live_session(store)
    await fill_pool(store.engine, server)
    network.forget()
    executor: Any = store._executor
    executor.answer_timeout_s = 0.3

    with pytest.raises(DatabaseError) as caught:
        await store.load(session_id)
    assert caught.value.transient
    for _ in range(CONNECTIONS):
        assert await store.load(session_id) is not None


@on_servers
async def test_connections_are_probed_while_they_are_idle(store: SQLSessionStore) -> None:
    """So that firewalls keep them, and the system notices those that are dead."""
    async with store.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        descriptor = descriptor_of(store, raw.driver_connection)
        assert descriptor is not None
        opened = socket.socket(fileno=descriptor)
        idle_s = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        is_on = opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        opened.detach()

    assert (is_on, idle_s) == (1, 60)


@pytest.mark.parametrize(
    "target",
    [each for each in SERVER_TARGETS if each.drivername.endswith("psycopg")],
    indirect=True,
    ids=str,
)
async def test_the_url_may_say_how_they_are_probed(
    store: SQLSessionStore, make_store: StoreMaker, url: URL
) -> None:
    """The options of libpq, which psycopg takes, come first."""
    other = await make_store(url.update_query_dict({"keepalives_idle": "17"}))
    async with other.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        descriptor = descriptor_of(store, raw.driver_connection)
        assert descriptor is not None
        opened = socket.socket(fileno=descriptor)
        idle_s = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        opened.detach()

    assert idle_s == 17
