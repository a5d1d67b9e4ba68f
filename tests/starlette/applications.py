"""Small applications, browsers that visit them, and a look at what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2 as httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sessionstore_sql import SessionId, SessionStorageBackend
from sessionstore_sql.starlette import SessionMiddleware, invalidate, rotate

Endpoint = Callable[[Request], Awaitable[Response]]

COOKIE = "__Host-session"
TTL = timedelta(hours=10)
DUE = timedelta(hours=3)
"""How much time passes until a session is due to be extended."""


async def show(request: Request) -> Response:
    """Answer with the session."""
    return JSONResponse(dict(request.session))


async def put(request: Request) -> Response:
    """Store the query, value by value."""
    request.session.update(request.query_params)
    return Response()


async def add(request: Request) -> Response:
    """Add to a list inside the session."""
    request.session.setdefault("cart", []).append(request.query_params["item"])
    return Response()


async def login(request: Request) -> Response:
    """Log the user in."""
    rotate(request)
    request.session["user"] = request.query_params["user"]
    return Response()


async def renew(request: Request) -> Response:
    """Ask for another id, and for nothing else."""
    rotate(request)
    return Response()


async def logout(request: Request) -> Response:
    """Log the user out."""
    invalidate(request)
    return Response()


async def switch(request: Request) -> Response:
    """Log out, and store a message in a new session."""
    invalidate(request)
    request.session["message"] = "you are logged out"
    return Response()


async def clear(request: Request) -> Response:
    """Empty the session as Starlette's users do."""
    request.session.clear()
    return Response()


async def untouched(request: Request) -> Response:
    """Answer without a look at the session."""
    return Response()


ENDPOINTS: dict[str, Endpoint] = {
    endpoint.__name__: endpoint
    for endpoint in (show, put, add, login, renew, logout, switch, clear, untouched)
}


def application(store: SessionStorageBackend, *more: Endpoint, **options: Any) -> Starlette:
    """Return an application with the endpoints above and ``more``, each at its name."""
    endpoints = ENDPOINTS | {endpoint.__name__: endpoint for endpoint in more}
    return Starlette(
        routes=[Route(f"/{name}", endpoint) for name, endpoint in endpoints.items()],
        middleware=[Middleware(SessionMiddleware, store=store, **{"max_age": TTL} | options)],
    )


@asynccontextmanager
async def browser(app: ASGIApp, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with a cookie jar of its own, on a host with TLS."""
    transport = httpx.ASGITransport(app, **options)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        yield client


def id_in(client: httpx.AsyncClient) -> SessionId:
    """Return the id in the client's jar."""
    return SessionId(client.cookies[COOKIE])
