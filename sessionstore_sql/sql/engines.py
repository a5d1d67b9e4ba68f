"""From a URL to an engine that is tuned for its database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, NullPool, event
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql.sql.dialects import Dialect, dialect_named
from sessionstore_sql.sql.dialects.connecting import CONNECT_TIMEOUT_S
from sessionstore_sql.sql.direct import harmless_to_leases, pool_limit
from sessionstore_sql.sql.sockets import has_hung_up, keep_alive
from sessionstore_sql.sql.urls import normalise_url
from sessionstore_sql.telemetry import StoreDescription

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_ORIGIN = "sessionstore_origin"
"""The name of an execution option: an engine has no other place for what is to be known of it."""

_WAS_USED = "sessionstore_was_used"
"""The key, in the ``info`` of a pool's record, of whether the connection was checked out before."""

_TUNING: dict[str, Any] = {
    # One round trip to a statement: no BEGIN, no COMMIT, no ROLLBACK on return (hazard A2).
    "isolation_level": "AUTOCOMMIT",
    "skip_autocommit_rollback": True,
    "hide_parameters": True,
    # A few busy connections rather than many idle ones, and no wait without an end (A6, D4).
    "pool_size": 5,
    "max_overflow": 0,
    "pool_timeout": 10,
    "pool_use_lifo": True,
    "pool_recycle": 1_800,
}


def create_engine(url: str | URL, options: Mapping[str, Any] | None = None) -> AsyncEngine:
    """Return a new engine for ``url``: autocommit, a bounded pool, timeouts on every wait.

    No connection is made before the first statement.

    Args:
        url: As for ``SQLSessionStore``.
        options: For ``create_async_engine``, over ours. Its ``connect_args`` are merged with ours,
            settings of the server one by one. ``server_timeouts`` is the option of that name of a
            URL.

    Raises:
        TypeError, ValueError: As ``normalise_url``, or for ``options`` that cannot be, or a file
            that the URL names does not exist.
        ModuleNotFoundError: The driver is not installed; the message says which extra brings it.
    """
    given = _require_mapping("engine_options", options)
    url = normalise_url(_with_server_timeouts(url, given))
    dialect = dialect_named(url.get_backend_name())
    connector = dialect.connector
    tuned = {**_TUNING, **connector.engine_options(url, for_sessions=True)}
    if "url" in given:
        raise ValueError("the URL is not one of the engine_options")
    connect_args = _require_mapping("connect_args", given.pop("connect_args", None))
    connect_args = connector.merged(tuned["connect_args"], connect_args)
    commands = connector.commands(connect_args)
    if "poolclass" in given:
        tuned = {name: value for name, value in tuned.items() if not _is_pool_option(name)}
    with extra_named(url):
        engine = _made({**tuned, **given, "connect_args": connect_args})
    _keep_connections_alive(engine, dialect, url)
    _replace_closed_connections(engine, dialect)
    dialect.prepare_engine(engine.sync_engine)
    _execute_on_connect(engine, commands)
    engine.sync_engine.update_execution_options(**{_ORIGIN: _Origin(url)})
    return engine


def create_migration_engine(url: URL) -> AsyncEngine:
    """Return a new engine for ``url``: in transactions, without a pool and without timeouts.

    Args:
        url: As ``normalise_url`` returns it.

    Raises:
        ValueError: A file that the URL names does not exist.
        ModuleNotFoundError: The driver is not installed; the message says which extra brings it.
    """
    dialect = dialect_named(url.get_backend_name())
    options = dialect.connector.engine_options(url, for_sessions=False)
    commands = dialect.connector.commands(options["connect_args"])
    with extra_named(url):
        engine = create_async_engine(**options, poolclass=NullPool, hide_parameters=True)
    _keep_connections_alive(engine, dialect, url)
    _execute_on_connect(engine, commands)
    engine.sync_engine.update_execution_options(**{_ORIGIN: _Origin(url)})
    return engine


def extra_connect_s(engine: AsyncEngine) -> float:
    """Return how many seconds longer than usual ``engine`` may take to connect.

    That is what its URL says, or what several hosts take. An engine of the caller's may not.
    """
    origin = engine.sync_engine.get_execution_options().get(_ORIGIN)
    if not isinstance(origin, _Origin):
        return 0
    connector = dialect_named(origin.url.get_backend_name()).connector
    return max(0, connector.connect_limit_s(origin.url) - CONNECT_TIMEOUT_S)


def url_of(engine: AsyncEngine) -> URL:
    """Return the URL that ``engine`` was made for, with its options.

    ``engine.url`` lacks those that were read here. Of an engine of the caller's, it is the URL.
    """
    origin = engine.sync_engine.get_execution_options().get(_ORIGIN)
    return origin.url if isinstance(origin, _Origin) else engine.url


@contextmanager
def extra_named(url: URL) -> Iterator[None]:
    """Have a missing driver's ``ModuleNotFoundError`` say which extra brings it.

    Args:
        url: As ``normalise_url`` returns it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        return
    extra = dialect_named(url.get_backend_name()).drivers[url.get_driver_name()]
    raise ModuleNotFoundError(
        f"{missing} is not installed: pip install 'sessionstore-sql[{extra}]'", name=missing
    )


def dialect_of(engine: AsyncEngine) -> Dialect:
    """Return the dialect of an engine that someone else made.

    Raises:
        ValueError: The database is not supported.
    """
    return dialect_named(engine.dialect.name)


def describe(engine: AsyncEngine, table: str) -> StoreDescription:
    """Return what an observer is told about a store on ``engine``."""
    dialect = dialect_of(engine)
    return StoreDescription(
        system=engine.dialect.name,
        namespace=dialect.namespace(engine.url),
        table=table,
        status_code=dialect.status_code,
        pool_limit=pool_limit,
    )


def _made(options: dict[str, Any]) -> AsyncEngine:
    """Return the engine; what SQLAlchemy cannot take is a ``ValueError``, without its own."""
    try:
        return create_async_engine(**options)
    except NoSuchModuleError:
        message = "the URL or an option names a plugin of SQLAlchemy's that is not installed"
    except (ArgumentError, TypeError) as error:
        message = str(error)  # about the options: the URL is known to be usable
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001  # it uses them without looking
        message = f"SQLAlchemy cannot use the engine_options: {type(error).__name__}"
    raise ValueError(message)


def _require_mapping(name: str, given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} are a mapping, not {type(given).__name__}")
    return dict(given)


def _with_server_timeouts(url: str | URL, given: dict[str, Any]) -> str | URL:
    """Return ``url`` with an option that is given beside it."""
    mode = given.pop("server_timeouts", None)
    if mode is None:
        return url
    if not isinstance(mode, str):
        raise TypeError(f"server_timeouts is a str, not {type(mode).__name__}")
    return normalise_url(url).update_query_dict({"server_timeouts": mode})


def _execute_on_connect(engine: AsyncEngine, commands: Sequence[str]) -> None:
    """Have ``engine`` execute ``commands`` last of all on each new connection."""
    if not commands:
        return

    @event.listens_for(engine.sync_engine, "connect")
    def execute(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for command in commands:
            cursor.execute(command)
        cursor.close()


def _keep_connections_alive(engine: AsyncEngine, dialect: Dialect, url: URL) -> None:
    """Have the system probe connections that are idle, unless the URL says how libpq is to."""
    socket_of = dialect.socket_of
    is_given = any(name.startswith(("keepalives", "tcp_user_timeout")) for name in url.query)
    if socket_of is None or is_given:
        return

    @event.listens_for(engine.sync_engine, "connect")
    def probe(_connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        descriptor = socket_of(record.driver_connection)
        if descriptor is not None:
            keep_alive(descriptor)


def _replace_closed_connections(engine: AsyncEngine, dialect: Dialect) -> None:
    """Have the pool replace connections that the server has closed, before it hands them out.

    The store looks at each connection that it uses. This is for other users of ``store.engine``.
    """
    socket_of = dialect.socket_of
    if socket_of is None:
        return

    @event.listens_for(engine.sync_engine, "checkout")
    @harmless_to_leases
    def look(_connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        # A new connection is not replaced: SQLAlchemy would give up if that is closed, too.
        was_used = record.info.get(_WAS_USED, False)
        record.info[_WAS_USED] = True
        descriptor = socket_of(record.driver_connection) if was_used else None
        if descriptor is not None and has_hung_up(descriptor, dialect.unsolicited):
            raise InvalidatePoolError("the server has closed the connection")


class _Origin:
    """A URL that does not show in a ``repr``: the options of a URL can be secrets."""

    __slots__ = ("url",)

    def __init__(self, url: URL) -> None:
        self.url = url


def _is_pool_option(name: str) -> bool:
    return name.startswith("pool_") or name == "max_overflow"
