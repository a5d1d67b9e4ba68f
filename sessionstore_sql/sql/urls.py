"""Reading a database URL: one form for what libpq, SQLAlchemy and providers write.

SQLAlchemy takes a URL with several hosts, or with an IPv6 address among them, apart wrongly or not
at all, and hands the options on to the driver unread. So the hosts are read here, and the options
by the dialect.

No message shows a part of the URL, and no error of a library, which does, is chained to ours.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.connecting import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.dialects.connecting import Connector

_MAX_PORT = 65_535

_SPELLINGS = {"postgres": "postgresql"}

_URL = re.compile(
    r"(?P<before>[\w+]+://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^/?]*)(?P<after>[/?].*)?", re.DOTALL
)
"""As SQLAlchemy finds the parts, but for the hosts."""

_HOST = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,20}))?"
)

_NAME = re.compile(r"[\w.-]*")
"""A host. Anything else would be looked up in vain, and may be a part of a password."""

_STRAY = re.compile(r"^\s|[\x00-\x1f\x7f]|\s$")
"""What a file or a shell may have left in a URL, where it belongs to nothing."""

_PORT = re.compile(r"[0-9]{1,20}")

_PARTS = {
    "user": "username",
    "username": "username",
    "password": "password",
    "passwd": "password",
    "dbname": "database",
    "database": "database",
    "db": "database",
}
"""Options that name a part of the URL, as libpq has them, and the part."""

_SOCKETS = ("unix_socket", "socket")


def normalise_url(url: str | URL) -> URL:
    """Return ``url`` with an async driver, ours where it names none, and with checked options.

    Several hosts, ``postgresql://one,two:5433/name``, become ``?host=one:5432&host=two:5433``.
    Options get libpq's names where it has them: ``?ssl-mode=REQUIRED`` becomes
    ``?sslmode=require``.

    Raises:
        TypeError: ``url`` is neither text nor a SQLAlchemy ``URL``.
        ValueError: It cannot be parsed, has a part or an option that the driver cannot take, or
            names a database or a driver that is not supported, or several hosts where drivers take
            one. The message shows neither password nor value of an option.
    """
    parsed, hosts = _parsed(url)
    backend, _, driver = parsed.drivername.partition("+")
    backend = _SPELLINGS.get(backend, backend)
    dialect = dialect_named(backend)
    if driver and driver not in dialect.drivers:
        known = ", ".join(f"{backend}+{name}" for name in dialect.drivers)
        raise ValueError(f"the driver {driver!r} is not supported; these are: {known}")
    named = parsed.set(drivername=f"{backend}+{driver or next(iter(dialect.drivers))}")
    connector = dialect.connector
    if connector.has_hosts:
        named, hosts = _placed(named, hosts)
    for host in hosts:
        # Not left to the driver: it shows the port, or fails with an OverflowError.
        # It also takes 0 for no port at all.
        if host.port is not None and not 1 <= host.port <= _MAX_PORT:
            raise ValueError(f"the port in the database URL is from 1 to {_MAX_PORT}")
    normalised = connector.normalised(named, hosts)
    _require_usable(normalised, connector)
    return normalised


def require_files(url: URL) -> None:
    """Raise ``ValueError`` if a file that ``url`` names is missing, or is no certificate.

    Args:
        url: As ``normalise_url`` returns it.
    """
    dialect_named(url.get_backend_name()).connector.engine_options(url, for_sessions=False)


def _parsed(url: str | URL) -> tuple[URL, Sequence[Host]]:
    """Return the URL without its hosts, and the hosts."""
    if not isinstance(url, (URL, str)):
        raise TypeError(f"a database is an AsyncEngine, a URL or a str, not {type(url).__name__}")
    parsed, hosts = _taken_apart(url)
    if parsed is None or hosts is None:
        raise ValueError(
            "the database URL cannot be parsed; it reads like "
            "postgresql://user:password@host/database, with other characters than letters and "
            "digits percent-encoded: %40 for @"
        )
    texts = [parsed.username, parsed.password, parsed.database, *(host.name for host in hosts)]
    for name, value in parsed.query.items():
        texts += [name, value] if isinstance(value, str) else [name, *value]
    if not all(map(_can_be_sent, texts)):
        raise ValueError("the database URL has a character that no driver can send, such as NUL")
    return parsed, hosts


def _taken_apart(url: str | URL) -> tuple[URL | None, Sequence[Host] | None]:
    """Return the URL without its hosts, and the hosts; ``None`` if they cannot be parsed."""
    if isinstance(url, URL):
        return url._replace(host=None, port=None), _hosts_in(url.host or "", url.port)
    if _STRAY.search(url):
        raise ValueError(
            "the database URL begins or ends with a blank, or has a line break or another control "
            "character in it"
        )
    if (parts := _URL.fullmatch(url)) is None:
        return None, None
    after = parts["after"] or ""
    place, _, query = after.partition("?")
    if parts["hosts"] and "@" in place:  # what is before it is the rest of a password
        return None, None
    # The messages of SQLAlchemy and Python show the URL, password and all.
    with suppress(ArgumentError, ValueError):
        unquote(url, errors="strict")
        parsed = make_url(parts["before"] + place)
        return parsed.set(query=_options_in(query)), _hosts_in(parts["hosts"], None, in_url=True)
    return None, None


def _options_in(query: str) -> dict[str, str | tuple[str, ...]]:
    """Return the options, with those that have no value, which SQLAlchemy leaves out."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: tuple(each) if len(each) > 1 else each[0] for name, each in found.items()}


def _can_be_sent(text: str | None) -> bool:
    try:
        return text is None or b"\0" not in text.encode()
    except UnicodeEncodeError:  # bytes of an environment variable that are not UTF-8
        return False


def _hosts_in(text: str, port: int | None, *, in_url: bool = False) -> Sequence[Host] | None:
    """Return the hosts that commas separate; ``None``: they cannot be parsed.

    Args:
        text: One host or several, each with its port or without.
        port: The port of those without.
        in_url: Whether an IPv6 address has to be in brackets, as its end could be a port.
    """
    if not text and port is None:
        return []
    hosts: list[Host] = []
    for token in text.split(","):
        if token.startswith("/") or (not in_url and _is_ipv6(token)):
            hosts.append(Host(token, port))
            continue
        if (parts := _HOST.fullmatch(token)) is None:
            return None
        is_bracketed = parts["name"] is None
        name = unquote(parts["bracketed"] if is_bracketed else parts["name"])
        is_valid = _is_ipv6(name) if is_bracketed else _NAME.fullmatch(name) is not None
        if not is_valid and not name.startswith("/"):
            return None
        hosts.append(Host(name, int(parts["port"]) if parts["port"] else port))
    return hosts


def _is_ipv6(text: str) -> bool:
    with suppress(ValueError):
        return ip_address(text).version == 6  # noqa: PLR2004  # as it says
    return False


def _placed(url: URL, hosts: Sequence[Host]) -> tuple[URL, Sequence[Host]]:
    """Return the URL without the options that say where the database is, and the hosts."""
    query = dict(url.query)
    parts: dict[str, str] = {}
    for name, part in _PARTS.items():
        match query.pop(name, None):
            case None:
                pass
            case "":
                raise ValueError(f"the database URL has the option {name} without a value")
            case str(value):
                parts[part] = value
            case _:
                raise ValueError(f"the database URL has the option {name} twice")
    url = url.set(
        username=parts.get("username"),
        password=parts.get("password"),
        database=parts.get("database"),
    )
    ports = _several(query.pop("port", ()))
    places = [_several(query.pop(name, ())) for name in ("host", *_SOCKETS)]
    given = [each for place in places for each in place]
    if not all(each.startswith("/") for place in places[1:] for each in place):
        raise ValueError("unix_socket in the database URL is a path that begins with a slash")
    if sum(map(bool, places)) > 1:
        raise ValueError("the database URL names a host and a socket after the question mark")
    if given:
        port = hosts[0].port if len(hosts) == 1 else None
        found = [_hosts_in(each, port) for each in given]
        if not all(given) or any(each is None or len(each) != 1 for each in found):
            raise ValueError("the database URL names a host, after the question mark, wrongly")
        hosts = [each[0] for each in found if each is not None]
    if ports:
        hosts = _with_ports(hosts or [Host("")], ports)
    return url.set(query=query), hosts


def _several(value: str | tuple[str, ...]) -> list[str]:
    """Return what an option has, given once, with commas, or several times."""
    if isinstance(value, str):
        return value.split(",")
    if any("," in each for each in value):
        raise ValueError("the database URL names several hosts in two ways at once")
    return list(value)


def _with_ports(hosts: Sequence[Host], ports: Sequence[str]) -> Sequence[Host]:
    """Return the hosts with the ports of ``?port=``: one for each, or one for all."""
    if len(ports) == 1:
        ports = [*ports] * len(hosts)
    numbers = [int(each) for each in ports if _PORT.fullmatch(each)]
    if len(numbers) != len(hosts):
        raise ValueError("the database URL has a port that is no number, or not one for each host")
    return [Host(host.name, number) for host, number in zip(hosts, numbers, strict=True)]


def _require_usable(url: URL, connector: Connector) -> None:
    """Have SQLAlchemy take ``url`` apart, as it would for the first connection."""
    try:
        # As SQLAlchemy does it: what names a plugin is not for the driver.
        driver_url = connector.driver_url(url).difference_update_query(["plugin"])
        driver_url.get_dialect()().create_connect_args(driver_url)
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
