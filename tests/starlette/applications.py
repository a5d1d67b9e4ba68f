"""Small applications, browsers that visit them, and a look at what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2 as httpx
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sessionstore_sql import SessionId, SessionRecord, SessionStorageBackend, SQLSessionStore
from sessionstore_sql.starlette import SessionMiddleware, invalidate, rotate

Endpoint = Callable[[Request], Awaitable[Response]]

COOKIE = "__Host-session"
TTL = timedelta(hours=10)
DUE = timedelta(hours=3)
"""How much time passes until a session is due to be extended."""


class RecordedStore:
    """Passes calls on to a store, and keeps their names."""

    def __init__(self, store: SessionStorageBackend) -> None:
        self.store = store
        self.calls: list[str] = []

    async def create(self, session_id: SessionId, record: SessionRecord) -> None:
        """Pass it on."""
        self.calls.append("create")
        await self.store.create(session_id, record)

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Pass it on."""
        self.calls.append("update")
        await self.store.update(session_id, record)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Pass it on."""
        self.calls.append("update_ttl")
        await self.store.update_ttl(session_id, ttl)

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Pass it on."""
        self.calls.append("load")
        return await self.store.load(session_id)

    async def delete(self, session_id: SessionId) -> None:
        """Pass it on."""
        self.calls.append("delete")
        await self.store.delete(session_id)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Pass it on."""
        self.calls.append("change_id")
        await self.store.change_id(old_id, new_id)

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Pass it on."""
        self.calls.append("delete_expired")
        return await self.store.delete_expired(batch_size)


class EndedMeanwhile(RecordedStore):
    """Ends each session, as another request might, as soon as it is loaded."""

    async def load(self, session_id: SessionId) -> SessionRecord | None:
        """Return the session as it was."""
        record = await super().load(session_id)
        await self.delete(session_id)
        return record


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
    """Let somebody be logged in from now on."""
    rotate(request)
    request.session["user"] = request.query_params["user"]
    return Response()


async def renew(request: Request) -> Response:
    """Ask for another id, and for nothing else."""
    rotate(request)
    return Response()


async def logout(request: Request) -> Response:
    """Let nobody be logged in any more."""
    invalidate(request)
    return Response()


async def switch(request: Request) -> Response:
    """Log out, and leave a message for who comes next."""
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


async def let_pass(store: SQLSessionStore, time: timedelta) -> None:
    """Let time pass for every session there is."""
    async with store.engine.begin() as connection:
        await connection.execute(
            text("UPDATE sessionstore_sessions SET deadline = deadline - :passed"),
            {"passed": time // timedelta(microseconds=1)},
        )


async def count(store: SQLSessionStore) -> int:
    """Return how many rows there are, live or not."""
    async with store.engine.connect() as connection:
        found = await connection.execute(text("SELECT COUNT(*) FROM sessionstore_sessions"))
        return int(found.scalar_one())
