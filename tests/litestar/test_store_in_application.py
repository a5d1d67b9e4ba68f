"""``SQLStore`` in a Litestar application: its caches, its rate limits, its lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar, get
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.stores.registry import StoreRegistry
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.litestar import SQLStore

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Run an application, and a client that speaks to it in this event loop."""
    transport = httpx.ASGITransport(cast(Any, app))  # their types of ASGI differ
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="https://testserver") as client,
    ):
        yield client


async def test_responses_are_cached(url: URL, store: SQLSessionStore) -> None:
    """A handler with ``cache`` is called once for all visitors."""
    calls = []

    @get("/", cache=True, sync_to_thread=False)
    def handler() -> str:
        calls.append(1)
        return "answer"

    app = Litestar([handler], stores={"response_cache": SQLStore(url, namespace="responses")})
    async with client_of(app) as client:
        answers = [(await client.get("/")).text for _ in range(3)]

    assert answers == ["answer"] * 3
    assert len(calls) == 1


async def test_requests_are_limited(url: URL, store: SQLSessionStore) -> None:
    """The third request is rejected, in any process."""

    @get("/", sync_to_thread=False)
    def handler() -> str:
        return "answer"

    def application() -> Litestar:
        limit = RateLimitConfig(rate_limit=("minute", 2), store="limits")
        store = SQLStore(url, namespace="limits")
        return Litestar([handler], middleware=[limit.middleware], stores={"limits": store})

    async with client_of(application()) as first, client_of(application()) as second:
        codes = [(await each.get("/")).status_code for each in (first, second, first)]

    assert codes == [200, 200, 429]


async def test_a_store_is_closed_with_its_application(url: URL) -> None:
    """The engine that it made for itself is disposed."""
    cache = SQLStore(url, namespace="cache")
    app = Litestar([], stores={"cache": cache})

    async with app.lifespan():
        pool = cache._rows.engine.pool
        await cache.get("key")
        assert cache._rows.engine.pool is pool

    assert cache._rows.engine.pool is not pool


async def test_one_store_serves_every_name(url: URL, store: SQLSessionStore) -> None:
    """A registry asks for stores as they are needed: each is a namespace of one root."""
    root = SQLStore(url, namespace="shop")
    app = Litestar([], stores=StoreRegistry({"root": root}, default_factory=root.with_namespace))

    async with app.lifespan():
        await app.stores.get("carts").set("key", b"cart")
        await app.stores.get("prices").set("key", b"price")

        assert await app.stores.get("carts").get("key") == b"cart"
        assert await app.stores.get("prices").get("key") == b"price"
        await root.delete_all()
        assert await app.stores.get("carts").get("key") is None
