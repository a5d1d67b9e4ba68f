"""Starlette: this package's sessions, its own, and starsessions'."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.databases import Target
from benchmarks.web.applications import Served
from benchmarks.web.backends import redis_for, store_on
from benchmarks.workload import STATE, TTL, TTL_SECONDS


@asynccontextmanager
async def alone(_target: Target) -> AsyncIterator[Served]:
    """The application without sessions, with a dict in their place."""
    yield Served(_site(Middleware(_NoSessions)))


@asynccontextmanager
async def ours(target: Target, **options: Any) -> AsyncIterator[Served]:
    """This package's middleware."""
    from sessionstore_sql.starlette import SessionMiddleware as OurMiddleware

    async with store_on(target) as store:
        middleware = Middleware(OurMiddleware, store=store, max_age=TTL, **options)
        yield Served(_site(middleware), engine=store.engine)


@asynccontextmanager
async def ours_extending(target: Target) -> AsyncIterator[Served]:
    """This package's middleware; every request extends its session."""
    async with ours(target, renewal_threshold=1) as served:
        yield served


@asynccontextmanager
async def ours_signed_in(target: Target) -> AsyncIterator[Served]:
    """This package's middleware, with sessions that belong to users."""
    async with ours(target, subject_of=lambda state: state.get("user_id")) as served:
        yield served


@asynccontextmanager
async def signed_cookies(_target: Target) -> AsyncIterator[Served]:
    """Starlette's own middleware."""
    key = secrets.token_hex()
    yield Served(_site(Middleware(SessionMiddleware, secret_key=key, max_age=TTL_SECONDS)))


@asynccontextmanager
async def starsessions_on_redis(target: Target) -> AsyncIterator[Served]:
    """Its middleware and its store."""
    from starsessions.stores.redis import RedisStore

    async with redis_for(target) as (client, prefix):
        store = RedisStore(connection=client, prefix=prefix)
        yield Served(_starsessions(store), redis=client)


@asynccontextmanager
async def starsessions_on_ours(target: Target) -> AsyncIterator[Served]:
    """Its middleware and this package's store."""
    from sessionstore_sql.starsessions import SQLStore

    async with store_on(target) as store:
        yield Served(_starsessions(SQLStore(store)), engine=store.engine)


class _NoSessions:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = dict(STATE)
        await self._app(scope, receive, send)


async def _start(request: Request) -> PlainTextResponse:
    request.session.update(STATE)
    return PlainTextResponse("")


async def _read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.session["user_id"]))


async def _write(request: Request) -> PlainTextResponse:
    request.session["flash"] = [secrets.token_hex(8)]
    return PlainTextResponse(str(request.session["user_id"]))


def _site(*middleware: Middleware) -> Starlette:
    routes = [
        Route("/start", _start, methods=["POST"]),
        Route("/read", _read),
        Route("/write", _write, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=list(middleware))


def _starsessions(store: Any) -> Starlette:
    from starsessions import SessionAutoloadMiddleware
    from starsessions import SessionMiddleware as TheirMiddleware

    return _site(
        Middleware(TheirMiddleware, store=store, lifetime=TTL_SECONDS),
        Middleware(SessionAutoloadMiddleware),
    )
