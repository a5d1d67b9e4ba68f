"""A small application, and browsers that visit it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import httpx
from litestar import Litestar, MediaType, Request, get
from litestar.handlers import BaseRouteHandler

from sessionstore_sql import SessionId, SessionStorageBackend
from sessionstore_sql.litestar import SQLSessionConfig, invalidate, rotate

AnyRequest = Request[Any, Any, Any]

COOKIE = "__Host-session"
TTL = timedelta(hours=10)
DUE = timedelta(hours=3)
"""How much time passes until a session is due to be extended."""


@get("/show")
async def show(request: AnyRequest) -> dict[str, Any]:
    """Answer with the session."""
    return request.session


@get("/put")
async def put(request: AnyRequest) -> None:
    """Store the query, value by value."""
    request.session.update(request.query_params)


@get("/add")
async def add(request: AnyRequest) -> None:
    """Add to a list inside the session."""
    request.session.setdefault("cart", []).append(request.query_params["item"])


@get("/login")
async def login(request: AnyRequest) -> None:
    """Log the user in."""
    rotate(request)
    request.session["user"] = request.query_params["user"]


@get("/renew")
async def renew(request: AnyRequest) -> None:
    """Ask for another id, and for nothing else."""
    rotate(request)


@get("/logout")
async def logout(request: AnyRequest) -> None:
    """Log the user out."""
    invalidate(request)


@get("/switch")
async def switch(request: AnyRequest) -> None:
    """Log out, and store a message in a new session."""
    invalidate(request)
    request.session["message"] = "you are logged out"


@get("/empty")
async def empty(request: AnyRequest) -> None:
    """Take everything out of the session."""
    request.session.clear()


@get("/clear")
async def clear(request: AnyRequest) -> None:
    """End the session as Litestar's users do."""
    request.clear_session()


@get("/clear-and-set")
async def clear_and_set(request: AnyRequest) -> None:
    """End the session as Litestar's users do, and begin another."""
    request.clear_session()
    request.set_session({"message": "you are logged out"})


@get("/untouched", media_type=MediaType.TEXT)
async def untouched() -> str:
    """Answer without a look at the session."""
    return "answer"


HANDLERS = (
    *(show, put, add, login, renew, logout, switch),
    *(empty, clear, clear_and_set, untouched),
)


def application(store: SessionStorageBackend, *more: BaseRouteHandler, **options: Any) -> Litestar:
    """Return an application with the handlers above and ``more``."""
    config = SQLSessionConfig(store=store, **{"max_age": int(TTL.total_seconds())} | options)
    return Litestar(
        [*HANDLERS, *more],
        middleware=[config.middleware],
        openapi_config=None,
        logging_config=None,  # Litestar's takes the log away from pytest
    )


@asynccontextmanager
async def browser(app: Litestar, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with a cookie jar of its own, on a host with TLS."""
    transport = httpx.ASGITransport(cast(Any, app), **options)  # their types of ASGI differ
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        yield client


def id_in(client: httpx.AsyncClient) -> SessionId:
    """Return the id in the client's jar."""
    return SessionId(client.cookies[COOKIE])
