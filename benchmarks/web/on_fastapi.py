"""FastAPI: crudauth's sessions."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from benchmarks.databases import Target
from benchmarks.web.applications import Served
from benchmarks.workload import STATE, TTL_SECONDS


@asynccontextmanager
async def alone(_target: Target) -> AsyncIterator[Served]:
    """The application without sessions, with a trivial dependency."""
    app = FastAPI()
    Current = Annotated[dict[str, Any], Depends(_no_session)]  # noqa: N806  # a type

    async def start() -> PlainTextResponse:
        return PlainTextResponse("")

    async def read(session: Current) -> PlainTextResponse:
        return PlainTextResponse(str(session["user_id"]))

    app.post("/start")(start)
    app.get("/read")(read)
    app.post("/write")(read)
    yield Served(app)


@asynccontextmanager
async def crudauth(target: Target) -> AsyncIterator[Served]:
    """The calls that crudauth's transport makes for a session."""
    from crudauth import DatabaseStore, SessionManager

    engine = create_async_engine(target.url, pool_size=target.pool, max_overflow=0)
    database = DatabaseStore(async_sessionmaker(engine, expire_on_commit=False))
    await database.create_tables()
    manager = SessionManager(
        database.storage(expiration=TTL_SECONDS),
        session_timeout_minutes=TTL_SECONDS // 60,
        key_secret=secrets.token_hex(),
    )
    try:
        yield Served(_site(manager), engine=engine)
    finally:
        await engine.dispose()


def _no_session() -> dict[str, Any]:
    return dict(STATE)


def _site(manager: Any) -> FastAPI:
    app = FastAPI()

    async def current(request: Request) -> Any:
        session = await manager.validate_session(request.cookies.get(manager.session_cookie_name))
        if session is None:
            raise HTTPException(401)
        return session

    Current = Annotated[Any, Depends(current)]  # noqa: N806  # a type

    async def start(request: Request) -> PlainTextResponse:
        # Each session has its own user, because the sessions of a user are limited.
        user = secrets.randbits(60)
        session_id, token = await manager.create_session(request, user, metadata=dict(STATE))
        response = PlainTextResponse("")
        manager.set_session_cookies(response, session_id, token)
        return response

    async def read(session: Current) -> PlainTextResponse:
        return PlainTextResponse(str(session.metadata["user_id"]))

    async def write(request: Request, session: Current) -> PlainTextResponse:
        def change(data: Any) -> None:
            data.metadata["flash"] = [secrets.token_hex(8)]

        await manager.modify_session(request.cookies[manager.session_cookie_name], change)
        return PlainTextResponse(str(session.metadata["user_id"]))

    app.post("/start")(start)
    app.get("/read")(read)
    app.post("/write")(write)
    return app
