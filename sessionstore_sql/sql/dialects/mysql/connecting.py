"""How aiomysql and asyncmy connect to MySQL and MariaDB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from sessionstore_sql.sql import tls, tls_options
from sessionstore_sql.sql.dialects.connecting import (
    APPLICATION_NAME,
    CONNECT_TIMEOUT_S,
    Connector,
)
from sessionstore_sql.sql.dialects.mysql.creators import (
    CLIENT_SSL,
    AiomysqlCreator,
    AsyncmyCreator,
)
from sessionstore_sql.sql.url_options import (
    anything,
    application_name,
    boolean,
    one_of,
    seconds,
    utf8,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import URL

    from sessionstore_sql.sql.dialects.connecting import Host
    from sessionstore_sql.sql.dialects.mysql.creators import Creator
    from sessionstore_sql.sql.url_options import Reader

_SQL_MODE = re.compile(r"\w*(?:,\w+)*", re.ASCII)


def _sql_mode(value: str) -> str:
    """Read the names of modes, which the drivers put into a statement as they are."""
    names = value.strip("'\"").replace(" ", "")
    if _SQL_MODE.fullmatch(names):
        return f"'{names}'"
    raise ValueError("names of modes such as TRADITIONAL,ANSI_QUOTES; '' for none")


def _client_flag(value: str) -> str:
    """Read capabilities of the client."""
    if int(whole_number(value)) & CLIENT_SSL:  # the server would wait for TLS in vain
        raise ValueError(f"a whole number without {CLIENT_SSL}, as sslmode is for TLS")
    return whole_number(value)


_SHARED: dict[str, Reader] = {
    **tls_options.OPTIONS,
    "ssl_capath": anything,
    "ssl_cipher": anything,
    "application_name": application_name,
    "connect_timeout": seconds,
    "charset": utf8,
    "use_unicode": one_of("true", "1"),
    "sql_mode": _sql_mode,
    "init_command": anything,
    "local_infile": boolean,
    "client_flag": _client_flag,
    "unix_socket": anything,
}

_AIOMYSQL: dict[str, Reader] = {
    "auth_plugin": one_of(
        *("caching_sha2_password", "sha256_password"),
        *("mysql_native_password", "mysql_clear_password"),
    )
}

_ASYNCMY: dict[str, Reader] = {
    "read_timeout": seconds,
    "max_allowed_packet": whole_number,
    "binary_prefix": boolean,
    "stmt_cache_size": whole_number,
}


_OF_TLS = {*tls_options.OPTIONS, "ssl_capath", "ssl_cipher"}

_ARE_NOT_ARGUMENTS = {*_OF_TLS, "application_name", "use_unicode", "plugin"}

_FROM_TEXT: dict[Reader, Callable[[str], object]] = {
    boolean: "true".__eq__,
    seconds: float,
    whole_number: int,
    _client_flag: int,
}


class MySQLConnector(Connector):
    """Connects through aiomysql and asyncmy."""

    options: ClassVar[Mapping[str, Mapping[str, Reader]]] = {
        "aiomysql": {**_SHARED, **_AIOMYSQL},
        "asyncmy": {**_SHARED, **_ASYNCMY},
    }
    aliases: ClassVar[Mapping[str, str]] = {
        **tls_options.ALIASES,
        "program_name": "application_name",
    }

    def checked(
        self, options: dict[str, str | tuple[str, ...]]
    ) -> dict[str, str | tuple[str, ...]]:
        """Return the options with one that says what is wanted of TLS."""
        folded = tls_options.fold(options)
        if folded.get("sslmode") == "verify-ca" and not {"sslrootcert", "ssl_capath"} & set(folded):
            raise ValueError(
                "the database URL asks for verify-ca, which needs ssl_ca= and the file of a root "
                "certificate: anyone can get a certificate that the system trusts, for another host"
            )
        if folded.keys() & _OF_TLS:
            folded.setdefault("sslmode", "prefer")
        return folded

    def at(self, url: URL, hosts: Sequence[Host]) -> URL:
        """Return ``url`` for the host."""
        if len(hosts) > 1:
            raise ValueError(
                f"drivers of {url.get_backend_name()} take one host: name a proxy, such as "
                "HAProxy, that knows several"
            )
        if not hosts:
            return url
        (host,) = hosts
        if host.is_socket:
            return url.update_query_dict({"unix_socket": host.name})
        return url.set(host=host.name or None, port=host.port)

    def driver_url(self, url: URL) -> URL:
        """Return the URL without the options that SQLAlchemy would hand to the driver."""
        kept = {"plugin", "unix_socket"}
        return url.set(query={name: value for name, value in url.query.items() if name in kept})

    def engine_options(self, url: URL, *, for_sessions: bool) -> dict[str, Any]:  # noqa: ARG002
        """Return the URL without options, and the arguments of the driver."""
        options = {name: value for name, value in url.query.items() if isinstance(value, str)}
        tls.require_usable(options)
        readers = self.options[url.get_driver_name()]
        arguments = {
            name: _FROM_TEXT.get(readers[name], str)(value)
            for name, value in options.items()
            if name not in _ARE_NOT_ARGUMENTS
        }
        creator = _CREATORS[url.get_driver_name()]
        connect_args = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "program_name": options.get("application_name", APPLICATION_NAME),
            **arguments,
            "async_creator_fn": creator(tls.of_options(options)),
        }
        return {"url": self.driver_url(url), "connect_args": connect_args}

    def merged(self, ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return both; commands of both are executed."""
        merged = {**ours, **given}
        commands = [each["init_command"] for each in (ours, given) if each.get("init_command")]
        if commands:
            merged["init_command"] = commands
        return merged

    def commands(self, connect_args: dict[str, Any]) -> list[str]:
        """Return the ``init_command``, which has the last word over the session's settings."""
        given = connect_args.pop("init_command", None)
        if given is None:
            return []
        return given if isinstance(given, list) else [given]

    def connect_limit_s(self, url: URL) -> float:
        """Return the seconds that the URL, or we, allow."""
        given = url.query.get("connect_timeout")
        return float(given) if isinstance(given, str) else CONNECT_TIMEOUT_S


_CREATORS: dict[str, Callable[[tls.TLS | None], Creator]] = {
    "aiomysql": AiomysqlCreator,
    "asyncmy": AsyncmyCreator,
}
