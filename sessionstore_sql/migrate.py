"""The migrations from Python: inside a running event loop, and from an installed package.

From a shell, ``sessionstore-sql upgrade`` does the same, with the extra ``cli``; so does ``alembic
upgrade head`` in a checkout, while anywhere else it needs an alembic.ini of two lines,
``[alembic]`` and ``script_location = sessionstore_sql:migrations``.

Beside the host's own Alembic, nothing gets in the way of anything: the revision is noted in a
table of our own, ``<table>_version``. The host's env.py should only keep ``--autogenerate`` from
dropping what the host's models don't know:

    context.configure(..., include_name=migrate.exclude_session_tables())

Inside the host's history, the host's Alembic does it all, with our revisions as a branch of
their own, labelled ``sessionstore``. The host's alembic.ini says where they are, and the host's
metadata has the table, to be compared:

    path_separator = newline
    version_locations =
        %(here)s/migrations/versions
        sessionstore_sql:migrations/versions

    session_table(metadata=Base.metadata)  # from sessionstore_sql.schema

    alembic upgrade heads                  # or sessionstore@head

There ``config.attributes["table"]`` and ``["schema"]`` name the table, if it isn't the default
one. The functions below are not for such a database: they look for a history of our own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, MetaData
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.engines import extra_named, normalise_url
from sessionstore_sql.errors import SessionStoreError
from sessionstore_sql.execution import CONNECT_TIMEOUT_S
from sessionstore_sql.failures import HOW_TO_UPGRADE, redact, stumbled
from sessionstore_sql.schema import (
    DEFAULT_TABLE,
    require_names,
    session_table,
    version_table_name,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import ModuleType

Target = AsyncEngine | AsyncConnection | URL | str
"""A database: an engine or a connection to it, or its URL."""

_alembic_in_use = threading.Lock()
"""Alembic's context is the process's (hazard L1): two upgrades at once, in whatever loops and
threads, would run each other's revisions."""

_POLL_S = 0.02


class MigrationError(SessionStoreError):
    """The table in the database is not the one that this version of the package works with."""


async def upgrade(
    target: Target,
    revision: str = "head",
    *,
    table: str = DEFAULT_TABLE,
    schema: str | None = None,
) -> None:
    """Bring the table up to ``revision``, making it if need be; the rows are kept.

    Upgrades of a table that start together, on however many machines, queue up, and all but the
    first find nothing left to do. On PostgreSQL and SQLite, a revision that fails changes
    nothing. On MySQL and MariaDB every statement of DDL commits; a revision that stopped half-way
    is resumed by the next upgrade.

    Args:
        target: An engine: a connection of its pool is used, whose timeouts are lifted for the
            time of the migration. A URL, as for ``SQLSessionStore``: an engine is made and
            disposed, and a server that doesn't answer is given up after 12 seconds. A connection:
            where a transaction is open on it, the migration is part of it, for you to commit
            (and, on PostgreSQL and SQLite, other upgrades wait until you do); but MySQL and
            MariaDB can't do that, and what the transaction held is committed at once. Where none
            is open, the migration commits what it does.
        revision: Where to go, as Alembic names it.
        table: The name of the table. Nearly any text, as it is quoted.
        schema: The schema it is in, which must exist; ``None`` for the connection's own.

    Raises:
        TypeError, ValueError: An argument is of a wrong type, or names what is not supported; or
            the URL is that of an in-memory database, which would vanish with the connection.
        ModuleNotFoundError: The driver of the URL is not installed.
        alembic.util.CommandError: There is no such revision, or another table has the name.
        sqlalchemy.exc.SQLAlchemyError, OSError: The database, or the way to it, failed.
    """
    await _run(command.upgrade, target, revision, table, schema)


async def downgrade(
    target: Target, revision: str, *, table: str = DEFAULT_TABLE, schema: str | None = None
) -> None:
    """Take the table back to ``revision``; ``"base"`` drops it, and all sessions with it.

    What stays then is the empty ``<table>_version``, which is Alembic's to make and not to drop.

    Args:
        target: As for ``upgrade``, which it also queues with.
        revision: Where to go, as Alembic names it.
        table: The name of the table.
        schema: The schema it is in.

    Raises:
        Exception: As ``upgrade``.
    """
    await _run(command.downgrade, target, revision, table, schema)


async def current(
    target: Target, *, table: str = DEFAULT_TABLE, schema: str | None = None
) -> str | None:
    """Return the revision that the table is at, or ``None`` where no migration has run.

    It only reads, and doesn't wait for upgrades that are under way.

    Raises:
        Exception: As ``upgrade``.
    """
    table, schema = require_names(table, schema)
    async with connect(target) as connection:
        return await connection.run_sync(_current, table, schema)


async def check(target: Target, *, table: str = DEFAULT_TABLE, schema: str | None = None) -> None:
    """Make sure that the table is the one that this version of the package works with.

    For a service to find out when it starts, and not with its first request. It only reads.

    Raises:
        MigrationError: It is at another revision, or differs from what the revisions make:
            a column or an index was changed by hand. The message says what, and what to do.
        Exception: As ``upgrade``.
    """
    table, schema = require_names(table, schema)
    async with connect(target) as connection:
        await connection.run_sync(_check, table, schema)


def script_location() -> str:
    """Return the directory of env.py and the revisions: the package's, or a checkout's."""
    package = Path(__file__).parent
    installed = package / "migrations"
    return str(installed if installed.is_dir() else package.parent / "migrations")


def alembic_config() -> Config:
    """Return a configuration of Alembic that knows the revisions, and no database."""
    config = Config()
    config.set_main_option("script_location", script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def exclude_session_tables(
    table: str = DEFAULT_TABLE, *, schema: str | None = None
) -> Callable[[str | None, str, Mapping[Any, str | None]], bool]:
    """Return an ``include_name`` for the ``context.configure`` of a host's env.py.

    It keeps both our tables out of the host's ``--autogenerate`` and ``check``, which would drop
    what the host's models don't know. A host that has an ``include_name`` calls both.

    Args:
        table: The name of the table.
        schema: The schema it is in.
    """
    table, schema = require_names(table, schema)
    ours = {table, version_table_name(table)}
    # Alembic says None for the connection's own schema, which the host may have named.
    schemas = {None, schema}

    def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
        return not (
            type_ == "table" and name in ours and parent_names.get("schema_name") in schemas
        )

    return include_name


def autogenerate_options(
    table: str, schema: str | None, *, default_schema: str | None = None
) -> dict[str, Any]:
    """Return what Alembic's context needs to see our tables and nothing else.

    Args:
        table: The name of the table.
        schema: The schema it is in.
        default_schema: The connection's own, which Alembic calls ``None``.
    """
    metadata = MetaData()
    indexes = {
        index.name for index in session_table(table, schema=schema, metadata=metadata).indexes
    }
    misread: set[str | None] = set()

    def include_name(name: str | None, type_: str, _parents: Mapping[str, str | None]) -> bool:
        if type_ == "schema":
            return (name or default_schema) == (schema or default_schema)
        if type_ == "index" and name not in indexes:
            # SQLAlchemy 2.1.9 leaves a backtick doubled that is part of an index's name on MySQL.
            meant = (name or "").replace("``", "`")
            misread.update({meant} & indexes)
            return meant not in indexes
        return type_ != "table" or name == table

    def include_object(_: object, name: str | None, type_: str, *_others: Any) -> bool:
        return type_ != "index" or name not in misread

    return {
        "target_metadata": metadata,
        "version_table": version_table_name(table),
        "version_table_schema": schema,
        "include_schemas": schema is not None,
        "include_name": include_name,
        "include_object": include_object,
    }


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[AsyncConnection]:
    """Give a connection to ``target``, and leave that of a caller's as it was found.

    Raises:
        TypeError, ValueError: As ``upgrade``.
        sqlalchemy.exc.SQLAlchemyError, OSError: Of the database, in the context too: without the
            bound values and the password that drivers keep in their errors.
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
        redact(error, dialect)
        raise


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
        async with target.connect() as connection:
            yield connection
    else:
        # Not the store's own engine: its timeouts are for sessions, not for DDL. But as there, a
        # server that says nothing is not waited for.
        with extra_named(target):
            engine = create_async_engine(target, poolclass=NullPool, hide_parameters=True)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            yield await _opened(engine, stack)


async def _opened(engine: AsyncEngine, stack: AsyncExitStack) -> AsyncConnection:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await stack.enter_async_context(engine.connect())
    except (SQLAlchemyError, OSError):
        raise
    except Exception as error:
        if hasattr(error, "sqlstate"):  # asyncpg's, which SQLAlchemy 2.0 lets through
            raise
        cause = stumbled(error, engine.url)
    raise cause


def require_lasting(url: URL) -> URL:
    """Return ``url`` unless its database would be gone with the connection.

    Raises:
        ValueError: It is an in-memory database.
    """
    # An engine of the store's opens an in-memory database at another URL, one to share.
    if "url" in dialect_named(url.get_backend_name()).engine_options(url):
        raise ValueError(
            "an in-memory database would vanish with the connection that migrates it: pass the "
            "engine that will use it, store.engine"
        )
    return url


@contextmanager
def assertions_as_refusals(revision: str) -> Iterator[None]:
    """Have Alembic's assertions about a revision's name, such as ``@``, say that there is none."""
    try:
        yield
    except AssertionError as error:
        raise CommandError(f"there is no revision {revision!r}") from error


def queue(connection: Connection, table: str, schema: str | None) -> AbstractContextManager[None]:
    """Hold the database's lock for migrations of ``table``; see migrations/locking.py."""
    locked: AbstractContextManager[None] = _locking().queue(connection, table, schema)
    return locked


async def _run(
    alembic_command: Callable[[Config, str], None],
    target: Target,
    revision: str,
    table: str,
    schema: str | None,
) -> None:
    table, schema = require_names(table, schema)
    if not isinstance(revision, str):
        raise TypeError(f"a revision is a str, not {type(revision).__name__}")
    async with (
        connect(target) as connection,
        # In this order: who waits in the queue doesn't keep the rest of the process from Alembic.
        _in_turn(connection, table, schema),
        _alone_in_process(),
    ):
        await connection.run_sync(_run_alembic, alembic_command, revision, table, schema)


def _run_alembic(
    connection: Connection,
    alembic_command: Callable[[Config, str], None],
    revision: str,
    table: str,
    schema: str | None,
) -> None:
    config = alembic_config()
    config.attributes.update(connection=connection, in_turn=True, table=table, schema=schema)
    with assertions_as_refusals(revision):
        alembic_command(config, revision)


@asynccontextmanager
async def _in_turn(
    connection: AsyncConnection, table: str, schema: str | None
) -> AsyncIterator[None]:
    """Hold ``queue``, which is for synchronous code, from asynchronous code."""
    turn: list[AbstractContextManager[None]] = []

    def enter(sync_connection: Connection) -> None:
        turn.append(queue(sync_connection, table, schema))
        turn[0].__enter__()

    await connection.run_sync(enter)
    try:
        yield
    except BaseException as error:
        failure = (type(error), error, error.__traceback__)
        await connection.run_sync(lambda _: turn[0].__exit__(*failure))
        raise
    await connection.run_sync(lambda _: turn[0].__exit__(None, None, None))


@asynccontextmanager
async def _alone_in_process() -> AsyncIterator[None]:
    # Polled: an asyncio.Lock is one loop's, and to block would stop the loop of who holds it.
    while not _alembic_in_use.acquire(blocking=False):  # noqa: ASYNC110  # no Event of asyncio crosses threads
        await asyncio.sleep(_POLL_S)
    try:
        yield
    finally:
        _alembic_in_use.release()


def _current(connection: Connection, table: str, schema: str | None) -> str | None:
    return _context(connection, table, schema).get_current_revision()


def _check(connection: Connection, table: str, schema: str | None) -> None:
    context = _context(connection, table, schema)
    revision = context.get_current_revision()
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision != head:
        raise MigrationError(
            f"the table {table!r} is at revision {revision or 'base'}, and this version of "
            f"sessionstore_sql works with {head}: {HOW_TO_UPGRADE}"
        )
    if differences := compare_metadata(context, context.opts["target_metadata"]):
        raise MigrationError(
            f"the table {table!r} is at revision {head}, and yet differs from what the revisions "
            f"make, so it was changed by hand; to be put right: {_described(differences)}"
        )


def _described(differences: Iterable[Any]) -> str:
    """Name each difference and what it is about: ``add_index sessionstore_sessions_..``."""
    parts = []
    for difference in differences:
        # Changes to a column come as a list, everything else as it is.
        for kind, *things in difference if isinstance(difference, list) else [difference]:
            names = [getattr(thing, "name", thing) for thing in things]
            parts.append(" ".join([kind, *(name for name in names if isinstance(name, str))]))
    return ", ".join(parts)


def _context(connection: Connection, table: str, schema: str | None) -> MigrationContext:
    """Return a context that is no global one, and so needs no lock."""
    default_schema = connection.dialect.default_schema_name
    options = autogenerate_options(table, schema, default_schema=default_schema)
    return MigrationContext.configure(connection, opts=options)


@cache
def _locking() -> ModuleType:
    """Return migrations/locking.py, which in a checkout lies outside of the package."""
    path = Path(script_location()) / "locking.py"
    spec = importlib.util.spec_from_file_location("sessionstore_sql.migrations.locking", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
