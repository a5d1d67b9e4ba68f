"""Litestar: this package's sessions, and its own."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, MediaType, Request, get, post
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.redis import RedisStore

from benchmarks.databases import Target
from benchmarks.web.applications import Served
from benchmarks.web.backends import redis_for, store_on
from benchmarks.workload import STATE, TTL, TTL_SECONDS


@asynccontextmanager
async def alone(_target: Target) -> AsyncIterator[Served]:
    """The application without sessions, with a dict in their place."""
    yield Served(_site(middleware=[_no_sessions]))


@asynccontextmanager
async def on_redis(target: Target) -> AsyncIterator[Served]:
    """Its middleware and its store."""
    async with redis_for(target) as (client, prefix):
        store = RedisStore(client, namespace=prefix)
        config = ServerSideSessionConfig(max_age=TTL_SECONDS)
        app = _site(middleware=[config.middleware], stores={"sessions": store})
        yield Served(app, redis=client)


@asynccontextmanager
async def ours(target: Target) -> AsyncIterator[Served]:
    """This package's middleware."""
    from sessionstore_sql.litestar import SQLSessionConfig

    async with store_on(target) as store:
        config = SQLSessionConfig(store=store, max_age=TTL)
        yield Served(_site(middleware=[config.middleware]), engine=store.engine)


def _no_sessions(app: Any) -> Any:
    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = dict(STATE)
        await app(scope, receive, send)

    return with_state


@post("/start", status_code=200, media_type=MediaType.TEXT)
async def _start(request: Request[Any, Any, Any]) -> str:
    request.set_session(dict(STATE))
    return ""


@get("/read", media_type=MediaType.TEXT)
async def _read(request: Request[Any, Any, Any]) -> str:
    return str(request.session["user_id"])


@post("/write", status_code=200, media_type=MediaType.TEXT)
async def _write(request: Request[Any, Any, Any]) -> str:
    request.session["flash"] = [secrets.token_hex(8)]
    return str(request.session["user_id"])


def _site(**options: Any) -> Litestar:
    return Litestar([_start, _read, _write], **options)
