"""How asyncpg and psycopg connect to PostgreSQL."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sessionstore_sql.sql import tls, tls_options
from sessionstore_sql.sql.dialects.connecting import Connector, Host
from sessionstore_sql.sql.dialects.postgresql.arguments import (
    ARGUMENTS,
    CACHE_OPTIONS,
    host_timeout_s,
    without_named_in,
)
from sessionstore_sql.sql.url_options import (
    addresses,
    anything,
    application_name,
    authentication_methods,
    boolean,
    one_of,
    seconds,
    server_options,
    utf8,
    whole_number,
    whole_number_or_off,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL

    from sessionstore_sql.sql.url_options import Reader

_PORT = 5432
_WEAK = tls.MODES[:3]
_SESSION_ATTRS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")

_SHARED: dict[str, Reader] = {
    **tls_options.OPTIONS,
    "sslnegotiation": one_of("postgres", "direct"),
    "channel_binding": one_of("disable", "prefer", "require"),
    "application_name": application_name,
    "client_encoding": utf8,
    "connect_timeout": seconds,
    "options": server_options,
    "target_session_attrs": one_of(*_SESSION_ATTRS),
    "load_balance_hosts": one_of("disable", "random"),
    "server_timeouts": one_of("auto", "startup", "set", "off"),
    "passfile": anything,
    "krbsrvname": anything,
    "gsslib": one_of("gssapi", "sspi"),
}

_ASYNCPG: dict[str, Reader] = {
    "command_timeout": seconds,
    **dict.fromkeys(CACHE_OPTIONS, whole_number),
    "gssencmode": one_of("disable", "prefer"),  # it has none, which is what these allow
}

_SWITCH = one_of("0", "1")

_LIBPQ: dict[str, Reader] = {
    "gssencmode": one_of("disable", "prefer", "require"),
    **dict.fromkeys(("keepalives", "sslsni", "gssdelegation"), _SWITCH),
    **dict.fromkeys(
        ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        whole_number,
    ),
    "prepare_threshold": whole_number_or_off,
    "pgbouncer": boolean,  # Prisma's: true means that statements are not to be prepared
    "hostaddr": addresses,
    "require_auth": authentication_methods,
    **dict.fromkeys(
        ("min_protocol_version", "max_protocol_version"), one_of("3.0", "3.2", "latest")
    ),
    "sslcertmode": one_of("disable", "allow", "require"),
    **dict.fromkeys(("service", "requirepeer", "sslcrldir", "fallback_application_name"), anything),
}

_SOCKET = re.compile(r"\.s\.PGSQL\.([0-9]{1,5})")
"""The file of a socket in its folder."""


class PostgreSQLConnector(Connector):
    """Connects through asyncpg and psycopg."""

    options: ClassVar[Mapping[str, Mapping[str, Reader]]] = {
        "asyncpg": {**_SHARED, **_ASYNCPG},
        "psycopg": {**_SHARED, **_LIBPQ},
    }
    aliases: ClassVar[Mapping[str, str]] = {
        **tls_options.ALIASES,
        "timeout": "connect_timeout",
        "program_name": "application_name",
    }

    def checked(
        self, options: dict[str, str | tuple[str, ...]]
    ) -> dict[str, str | tuple[str, ...]]:
        """Return the options with one that says what is wanted of TLS."""
        folded = tls_options.fold(options)
        # They work with TLS only. asyncpg has no channel binding, so there it demands TLS and
        # nothing else.
        for name, value in (("channel_binding", "require"), ("sslnegotiation", "direct")):
            if folded.get(name) == value and folded.setdefault("sslmode", "require") in _WEAK:
                raise ValueError(
                    f"the database URL has {name}={value}, which needs sslmode=require, verify-ca "
                    "or verify-full"
                )
        folded.pop("client_encoding", None)  # it is what both drivers use anyway
        return folded

    def at(self, url: URL, hosts: Sequence[Host]) -> URL:
        """Return ``url`` for these hosts."""
        hosts = [_without_file(host) for host in hosts]
        addresses_ = url.query.get("hostaddr")
        if isinstance(addresses_, str) and addresses_.count(",") != max(1, len(hosts)) - 1:
            raise ValueError("hostaddr in the database URL is not one address for each host")
        if not hosts:
            return url
        if len(hosts) == 1:
            (host,) = hosts
            if host.is_socket:
                url = url.set(port=host.port)
                return url.update_query_dict({"host": host.name})
            return url.set(host=host.name or None, port=host.port)
        if not all(host.name for host in hosts):
            raise ValueError("the database URL has an empty host among several")
        # A standby answers too. Unless a server that takes writes is asked for, the store would
        # use a standby for as long as it comes first.
        query = {"target_session_attrs": "read-write", **url.query}
        query["host"] = tuple(_in_query(host) for host in hosts)
        return url.set(query=query)

    def driver_url(self, url: URL) -> URL:
        """Return the URL without the options that SQLAlchemy would hand to the driver."""
        query = {name: value for name, value in url.query.items() if name == "plugin"}
        hosts = _hosts_of(url)
        if hosts:
            query["host"] = ",".join(host.name for host in hosts)
        if len(hosts) > 1:
            query["port"] = ",".join(str(host.port) for host in hosts)
        return url.set(query=query)

    def engine_options(self, url: URL, *, for_sessions: bool) -> dict[str, Any]:
        """Return the URL without options, and the arguments of the driver."""
        options = {name: value for name, value in url.query.items() if isinstance(value, str)}
        for name in ("host", "plugin"):
            options.pop(name, None)
        verifies = options.get("sslmode") in {"verify-ca", "verify-full"}
        if verifies and "sslrootcert" not in options:
            options["sslrootcert"] = _default_root(options["sslmode"])
        tls.require_usable(options)
        if "sslcert" in options:  # libpq would look for the key in its own folder only
            options.setdefault("sslkey", options["sslcert"])
        hosts = _hosts_of(url)
        arguments = ARGUMENTS[url.get_driver_name()]
        return {
            "url": self.driver_url(url),
            "connect_args": arguments(options, len(hosts), for_sessions),
        }

    def merged(self, ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return both, with the settings of the server merged one by one."""
        merged = {**ours, **given}
        if isinstance(given.get("server_settings"), dict):
            settings = given["server_settings"]
            kept = ours.get("server_settings", {})
            kept = without_named_in(str(settings.get("options", "")), kept)
            merged["server_settings"] = {**kept, **settings}
        if isinstance(given.get("options"), str):
            # The server takes the last of two settings.
            merged["options"] = f"{ours.get('options', '')} {given['options']}".strip()
        return merged

    def connect_limit_s(self, url: URL) -> float:
        """Return the seconds for one host, times the number of hosts."""
        given = url.query.get("connect_timeout")
        hosts = len(_hosts_of(url))
        timeout_s = host_timeout_s(given if isinstance(given, str) else None, hosts)
        return max(1, hosts) * math.ceil(timeout_s)


def _without_file(host: Host) -> Host:
    """Return a socket's folder and port where the path is that of the socket itself."""
    folder, _, file = host.name.rpartition("/")
    socket = _SOCKET.fullmatch(file)
    if not host.is_socket or socket is None:
        return host
    return Host(folder or "/", int(socket[1]))


def _in_query(host: Host) -> str:
    name = f"[{host.name}]" if ":" in host.name or host.is_socket else host.name
    return f"{name}:{_PORT if host.port is None else host.port}"


def _hosts_of(url: URL) -> Sequence[Host]:
    """Return the hosts that a normalised URL has among its options."""
    given = url.query.get("host", ())
    if isinstance(given, str):  # the folder of a socket
        return [Host(given)]
    parts = [each.rpartition(":") for each in given]
    return [Host(name.strip("[]"), int(port)) for name, _, port in parts]


def _default_root(mode: str) -> str:
    """Return the root certificates that libpq takes, or the system's, where that is safe."""
    if given := os.environ.get("PGSSLROOTCERT"):
        return given
    try:
        file = Path.home() / ".postgresql" / "root.crt"
        if file.is_file():
            return str(file)
    except (OSError, RuntimeError):  # no home, or one that cannot be read
        pass
    if mode == "verify-full":
        return tls.SYSTEM
    raise ValueError(
        "the database URL has sslmode=verify-ca, which needs sslrootcert= and the file of a root "
        "certificate: anyone can get a certificate that the system trusts, for another host"
    )
