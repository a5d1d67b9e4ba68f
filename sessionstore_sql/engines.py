"""From a URL to an engine that is tuned for its database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql.dialects import Dialect, dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SPELLINGS = {"postgres": "postgresql"}

_TUNING: dict[str, Any] = {
    # One round trip to a statement: no BEGIN, no COMMIT, no ROLLBACK on return (hazard A2).
    "isolation_level": "AUTOCOMMIT",
    "skip_autocommit_rollback": True,
    "hide_parameters": True,
    # A few busy connections rather than many idle ones, and none that waits for ever (A6, D4).
    "pool_size": 5,
    "max_overflow": 0,
    "pool_timeout": 10,
    "pool_use_lifo": True,
    "pool_recycle": 1_800,
}


def normalise_url(url: str | URL) -> URL:
    """Return ``url`` with an async driver: ours where it names none.

    Raises:
        TypeError: ``url`` is neither text nor a SQLAlchemy ``URL``.
        ValueError: It cannot be parsed, or names a database or a driver that is not supported.
            The message shows neither password nor query.
    """
    parsed = _parse(url)
    backend, _, driver = parsed.drivername.partition("+")
    backend = _SPELLINGS.get(backend, backend)
    drivers = dialect_named(backend).drivers
    if driver and driver not in drivers:
        known = ", ".join(f"{backend}+{name}" for name in drivers)
        raise ValueError(f"the driver {driver!r} is not supported; these are: {known}")
    return parsed.set(drivername=f"{backend}+{driver or next(iter(drivers))}")


def create_engine(url: str | URL, options: Mapping[str, Any] | None = None) -> AsyncEngine:
    """Return a new engine for ``url``: autocommit, a bounded pool, timeouts on every wait.

    No connection is made before the first statement.

    Args:
        url: As for ``SQLSessionStore``.
        options: For ``create_async_engine``, over ours; its ``connect_args`` are merged.

    Raises:
        TypeError, ValueError: As ``normalise_url``.
        ModuleNotFoundError: The driver is not installed; the message says which extra brings it.
    """
    url = normalise_url(url)
    dialect = dialect_named(url.get_backend_name())
    tuned: dict[str, Any] = {**_TUNING, "url": url, **dialect.engine_options(url)}
    given = dict(options or {})
    connect_args = {
        name: value
        for name, value in tuned["connect_args"].items()
        if name == "options" or name not in url.query
    }
    tuned["connect_args"] = {**connect_args, **given.pop("connect_args", {})}
    if "poolclass" in given:
        tuned = {name: value for name, value in tuned.items() if not _is_pool_option(name)}
    with extra_named(url):
        engine = create_async_engine(**{**tuned, **given})
    dialect.prepare_engine(engine.sync_engine)
    return engine


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


def _parse(url: str | URL) -> URL:
    if isinstance(url, URL):
        return url
    if not isinstance(url, str):
        raise TypeError(f"a database is an AsyncEngine, a URL or a str, not {type(url).__name__}")
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        pass  # their messages show the URL, password and all
    raise ValueError("the database URL cannot be parsed; it reads like postgresql://host/database")


def _is_pool_option(name: str) -> bool:
    return name.startswith("pool_") or name == "max_overflow"
