"""How connection pools are used."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SQLSessionStore
from tests.stores import require_returned
from tests.telemetry.exported import CONNECTIONS, MOST_CONNECTIONS, Exported, by

pytestmark = pytest.mark.anyio

STATE = "db.client.connection.state"
POOL = "db.client.connection.pool.name"


def in_state(exported: Exported) -> dict[str, int]:
    """Return how many connections are in which state."""
    return by(exported.points(CONNECTIONS), STATE)


async def test_connections_are_counted_by_their_state(
    watched: SQLSessionStore, url: URL, exported: Exported
) -> None:
    """At the moment of the question; the pool is named after its place."""
    await watched.load(SessionId.generate())
    assert in_state(exported) == {"used": 1, "idle": 0}  # leased

    await require_returned(watched.engine)
    assert in_state(exported) == {"used": 0, "idle": 1}

    async with watched.engine.connect():
        assert in_state(exported) == {"used": 1, "idle": 0}

    (most,) = exported.points(MOST_CONNECTIONS)
    assert most.value == 5
    name = most.attributes[POOL]
    assert name == (f"{url.host}:{url.port}/{url.database}" if url.host else url.database)
    assert {point.attributes[POOL] for point in exported.points(CONNECTIONS)} == {name}


async def test_a_pool_without_a_place_is_named_after_the_database(exported: Exported) -> None:
    """What else its engine knows is in a function of its own."""
    engine = create_async_engine("mariadb+aiomysql://")
    SQLSessionStore(engine, telemetry=exported.telemetry())

    assert {point.attributes[POOL] for point in exported.points(CONNECTIONS)} == {"mariadb"}
    await engine.dispose()


async def test_a_shared_pool_is_counted_once(sqlite_url: URL, exported: Exported) -> None:
    """However many stores share an engine, and however many objects watch them."""
    engine = create_async_engine(sqlite_url, pool_size=3, max_overflow=2)
    stores = [SQLSessionStore(engine, telemetry=exported.telemetry()) for _ in range(2)]
    for store in stores:
        await store.load(SessionId.generate())

    assert in_state(exported) == {"used": 0, "idle": 1}
    (most,) = exported.points(MOST_CONNECTIONS)
    assert most.value == 5
    await engine.dispose()


async def test_pools_of_one_place_are_summed(
    sqlite_url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """Two engines for one database have one name."""
    for _ in range(2):
        store = await opened(sqlite_url)
        await store.load(SessionId.generate())
        await require_returned(store.engine)

    assert in_state(exported) == {"used": 0, "idle": 2}
    (most,) = exported.points(MOST_CONNECTIONS)
    assert most.value == 10


@pytest.mark.parametrize("options", [{"pool_size": 0}, {"max_overflow": -1}])
async def test_a_pool_without_a_bound_has_no_most(
    sqlite_url: URL, exported: Exported, options: dict[str, Any]
) -> None:
    """There is none to compare with."""
    engine = create_async_engine(sqlite_url, **options)
    store = SQLSessionStore(engine, telemetry=exported.telemetry())
    await store.load(SessionId.generate())

    assert exported.points(MOST_CONNECTIONS) == []
    await engine.dispose()


async def test_where_there_is_no_pool_nothing_is_counted(
    sqlite_url: URL, exported: Exported
) -> None:
    """A connection for each statement."""
    async with SQLSessionStore(
        sqlite_url, telemetry=exported.telemetry(), engine_options={"poolclass": NullPool}
    ) as store:
        await store.load(SessionId.generate())

        assert exported.points(CONNECTIONS) == []


async def test_a_store_is_not_kept_alive(sqlite_url: URL, exported: Exported) -> None:
    """The engine is not kept alive either, and its pool is no longer counted."""
    store = SQLSessionStore(sqlite_url, telemetry=exported.telemetry())
    await store.load(SessionId.generate())
    await store.aclose()
    assert in_state(exported) == {"used": 0, "idle": 0}
    alive: list[weakref.ref[Any]] = [weakref.ref(store), weakref.ref(store.engine.sync_engine)]

    del store
    gc.collect()

    assert [each() for each in alive] == [None, None]
    assert exported.points(CONNECTIONS) == []


async def test_providers_measure_only_what_is_theirs(sqlite_url: URL, exported: Exported) -> None:
    """A store with another provider is another's."""
    from sessionstore_sql.otel import OpenTelemetry

    other = OpenTelemetry(meter_provider=NoOpMeterProvider())
    async with SQLSessionStore(sqlite_url, telemetry=other) as store:
        exported.telemetry()
        await store.load(SessionId.generate())

        assert exported.points(CONNECTIONS) == []
