"""Connections to a database for migrations, from what the caller passes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.engines import create_migration_engine, extra_connect_s, url_of
from sessionstore_sql.sql.event_loop import CONNECT_TIMEOUT_S
from sessionstore_sql.sql.failures import connect_error_without_secrets, redact
from sessionstore_sql.sql.retrying import replace_if_closed
from sessionstore_sql.sql.urls import normalise_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


Target = AsyncEngine | AsyncConnection | URL | str
"""A database: an engine, a connection or a URL."""


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[AsyncConnection]:
    """Yield a connection to ``target``. A connection of the caller is left as it was.

    Raises:
        TypeError, ValueError: As ``upgrade``.
        sqlalchemy.exc.SQLAlchemyError, OSError: The database failed, also inside the context. The
            errors contain neither bound values nor a password.
    """
    if isinstance(target, AsyncEngine | AsyncConnection):
        dialect = dialect_named(target.dialect.name)
    else:
        target = require_lasting(normalise_url(target))
        dialect = dialect_named(target.get_backend_name())
    try:
        async with _connected(target) as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:
        failure = first_failure(error)
        cause = failure if isinstance(failure, SQLAlchemyError) else error
        redact(cause, dialect)
        if cause is error:
            raise
        raise cause from cause.__cause__


def first_failure(error: BaseException) -> BaseException:
    """Return what has ended the work on a connection, and not an error of using it further.

    Context managers of Alembic use it, as they end, whatever has happened.
    """
    while isinstance(error, PendingRollbackError) and error.__context__ is not None:
        error = error.__context__
    return error


@asynccontextmanager
async def _connected(target: AsyncEngine | AsyncConnection | URL) -> AsyncIterator[AsyncConnection]:
    if isinstance(target, AsyncConnection):
        begun = target.in_transaction()
        try:
            yield target
        finally:
            if not begun and target.in_transaction():
                await target.rollback()
    elif isinstance(target, AsyncEngine):
        async with AsyncExitStack() as stack:
            connection = await _entered(target, stack)
            # The pool may have one that the server closed while it was idle.
            dialect = dialect_named(target.dialect.name)
            await connection.run_sync(replace_if_closed, dialect)
            yield connection
    else:
        # Not the store's own engine, whose timeouts are too short for DDL. Connecting has the same
        # timeout.
        engine = create_migration_engine(target)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            yield await _opened(engine, stack)


async def _opened(engine: AsyncEngine, stack: AsyncExitStack) -> AsyncConnection:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S + extra_connect_s(engine)):
            return await _entered(engine, stack)
    except (SQLAlchemyError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever the driver raises for a wrong URL
        cause = connect_error_without_secrets(error, engine.url, url_of(engine))
    raise cause


async def _entered(engine: AsyncEngine, stack: AsyncExitStack) -> AsyncConnection:
    try:
        return await stack.enter_async_context(engine.connect())
    except Exception as error:
        # SQLAlchemy 2.0 lets through what asyncpg raises while it connects.
        if isinstance(error, SQLAlchemyError) or not hasattr(error, "sqlstate"):
            raise
        raise DBAPIError(None, None, error, hide_parameters=True) from error


def require_lasting(url: URL) -> URL:
    """Return ``url`` unless its database would vanish with the connection.

    Raises:
        ValueError: It is an in-memory database.
    """
    # The store's own engine opens an in-memory database at another URL, which can be shared.
    if not dialect_named(url.get_backend_name()).connector.is_lasting(url):
        raise ValueError(
            "an in-memory database would vanish with the connection that migrates it: pass the "
            "engine that will use it, store.engine"
        )
    return url
