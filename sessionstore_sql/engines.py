"""From a URL to an engine that is tuned for its database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql.dialects import Dialect, dialect_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_PORT = 65_535

_SPELLINGS = {"postgres": "postgresql"}

_HOST = r"[^:,@/?\[\]]+(?::\d+)?"
_SEVERAL_HOSTS = re.compile(
    r"(?P<before>[^:/?]+://(?:[^:@/?]*(?::[^@]*)?@)?)"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})+)"
    r"(?P<after>[/?].*)?",
    re.DOTALL,
)
"""Hosts and ports as libpq's URLs have them, which SQLAlchemy takes apart wrongly or not at all."""

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

    Several hosts, ``postgresql://one,two:5433/name``, become SQLAlchemy's ``?host=..&host=..``.

    Raises:
        TypeError: ``url`` is neither text nor a SQLAlchemy ``URL``.
        ValueError: It cannot be parsed, has a part that the driver cannot take, or names a database
            or a driver that is not supported, or several hosts where drivers take one. The message
            shows neither password nor query.
    """
    parsed, hosts = _parse(url)
    backend, _, driver = parsed.drivername.partition("+")
    backend = _SPELLINGS.get(backend, backend)
    drivers = dialect_named(backend).drivers
    if driver and driver not in drivers:
        known = ", ".join(f"{backend}+{name}" for name in drivers)
        raise ValueError(f"the driver {driver!r} is not supported; these are: {known}")
    normalised = parsed.set(drivername=f"{backend}+{driver or next(iter(drivers))}")
    if hosts is not None:
        normalised = _with_hosts(normalised, hosts)
    _require_usable(normalised)
    return normalised


def create_engine(url: str | URL, options: Mapping[str, Any] | None = None) -> AsyncEngine:
    """Return a new engine for ``url``: autocommit, a bounded pool, timeouts on every wait.

    No connection is made before the first statement.

    Args:
        url: As for ``SQLSessionStore``.
        options: For ``create_async_engine``, over ours; its ``connect_args`` are merged.

    Raises:
        TypeError, ValueError: As ``normalise_url``, or for ``options`` that cannot be.
        ModuleNotFoundError: The driver is not installed; the message says which extra brings it.
    """
    url = normalise_url(url)
    dialect = dialect_named(url.get_backend_name())
    tuned: dict[str, Any] = {**_TUNING, "url": url, **dialect.engine_options(url)}
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"engine_options are a mapping, not {type(options).__name__}")
    given = {} if options is None else dict(options)
    if "url" in given:
        raise ValueError("the URL is not one of the engine_options")
    connect_args = {
        name: value
        for name, value in tuned["connect_args"].items()
        if name == "options" or name not in url.query
    }
    tuned["connect_args"] = {**connect_args, **given.pop("connect_args", {})}
    if "poolclass" in given:
        tuned = {name: value for name, value in tuned.items() if not _is_pool_option(name)}
    with extra_named(url):
        engine = _made({**tuned, **given})
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


def _parse(url: str | URL) -> tuple[URL, Sequence[str] | None]:
    """Return the URL, and its hosts, with or without ports, where they are several."""
    if not isinstance(url, (URL, str)):
        raise TypeError(f"a database is an AsyncEngine, a URL or a str, not {type(url).__name__}")
    with suppress(ArgumentError, ValueError):  # their messages show the URL, password and all
        parsed = make_url(url)
        if (in_query := _hosts_in_query(parsed)) is not None:
            return in_query
        if "," not in (parsed.host or ""):
            return parsed, None
        if isinstance(url, URL):
            return parsed, (parsed.host or "").split(",")
    with suppress(ArgumentError, ValueError):
        several = _SEVERAL_HOSTS.fullmatch(str(url))
        if several is not None:
            parsed = make_url(several["before"] + (several["after"] or ""))
            return parsed, several["hosts"].split(",")
    raise ValueError("the database URL cannot be parsed; it reads like postgresql://host/database")


def _hosts_in_query(url: URL) -> tuple[URL, Sequence[str]] | None:
    """Return ``url`` and its hosts, where ``?host=`` names several, as SQLAlchemy takes them."""
    host, port = url.query.get("host"), url.query.get("port", "")
    if isinstance(host, tuple):
        # One with commas inside is left to the driver to refuse.
        return None if any("," in each for each in host) else (url, host)
    if host is None or "," not in host or isinstance(port, tuple):
        return None
    hosts, ports = host.split(","), port.split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        return None
    named = [
        f"{name}:{number}" if number else name for name, number in zip(hosts, ports, strict=True)
    ]
    return url.difference_update_query(["port"]), named


def _with_hosts(url: URL, hosts: Sequence[str]) -> URL:
    backend = url.get_backend_name()
    at_hosts = dialect_named(backend).at_hosts
    if at_hosts is None:
        raise ValueError(
            f"drivers of {backend} take one host: name a proxy, such as HAProxy, that knows several"
        )
    return at_hosts(url, hosts)


def _require_usable(url: URL) -> None:
    """Have the dialect take ``url`` apart, as it would for the first connection."""
    # Not left to the driver: it shows the port, or fails with an OverflowError.
    if url.port is not None and not 0 <= url.port <= _MAX_PORT:
        raise ValueError(f"the port in the database URL is at most {_MAX_PORT}")
    try:
        # As SQLAlchemy does it: what names a plugin is not for the driver.
        url.get_dialect()().create_connect_args(url.difference_update_query(["plugin"]))
    except ModuleNotFoundError:
        return  # no driver, which is told when one is needed
    except Exception:  # noqa: BLE001, S110  # each shows parts of the URL in its own way
        pass
    else:
        return
    raise ValueError(
        f"the database URL has a part that {url.drivername} cannot take: look at its host, its "
        "port and what follows the question mark"
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


def _is_pool_option(name: str) -> bool:
    return name.startswith("pool_") or name == "max_overflow"
