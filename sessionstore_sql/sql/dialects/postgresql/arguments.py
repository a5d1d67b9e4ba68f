"""The arguments of asyncpg and psycopg, from the options of a URL."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sessionstore_sql.sql import tls
from sessionstore_sql.sql.dialects.connecting import APPLICATION_NAME, CONNECT_TIMEOUT_S
from sessionstore_sql.sql.dialects.postgresql.creators import AsyncpgCreator, PsycopgCreator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCK_TIMEOUT_MS = 3_000
STATEMENT_TIMEOUT_MS = 10_000
ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_MS / 1000 + 2

_SHORTEST_TIMEOUT_S = 2
"""libpq's: it takes a shorter one for this."""

_TIMEOUTS = {
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
}

CACHE_OPTIONS = (
    *("statement_cache_size", "max_cached_statement_lifetime", "max_cacheable_statement_size"),
    "prepared_statement_cache_size",
)
"""Whole numbers that asyncpg, or SQLAlchemy's dialect for it, takes."""

_TLS_OF_ASYNCPG = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
"""What asyncpg reads from a DSN only, as libpq does."""

_SETTING = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=")
"""Of ``options``: the name of a setting that they make."""


def host_timeout_s(given: str | None, hosts: int) -> float:
    """Return the seconds for one host: a silent one leaves time for the others."""
    if given is not None:
        return float(given)
    return max(_SHORTEST_TIMEOUT_S, CONNECT_TIMEOUT_S / max(1, hosts))


def _given_options(options: Mapping[str, str]) -> str:
    """Return the settings of the URL, or those of libpq's variable, which asyncpg does not read."""
    return options.get("options") or os.environ.get("PGOPTIONS", "")


def _timeouts_in(given: str, mode: str) -> dict[str, str]:
    """Return our timeouts, without those that the ``options`` of the URL set themselves."""
    return {} if mode == "off" else without_named_in(given, _TIMEOUTS)


def without_named_in(options: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that ``options`` does not make: the server would take ours over those."""
    named = {name.lower().replace("-", "_") for name in _SETTING.findall(options)}
    return {name: value for name, value in settings.items() if name not in named}


def _arguments_of_asyncpg(
    options: dict[str, str], hosts: int, for_sessions: bool
) -> dict[str, Any]:
    settings = {
        "application_name": options.get("application_name")
        or os.environ.get("PGAPPNAME")
        or APPLICATION_NAME
    }
    if given := _given_options(options):
        settings["options"] = given
    mode = options.get("server_timeouts", "auto") if for_sessions else "off"
    timeouts = _timeouts_in(given, mode)
    connect_args: dict[str, Any] = {
        "timeout": host_timeout_s(options.get("connect_timeout"), hosts),
        "server_settings": settings if mode == "set" else {**settings, **timeouts},
        "async_creator_fn": AsyncpgCreator(
            mode,
            timeouts,
            system_tls=tls.of_options(options)
            if options.get("sslrootcert") == tls.SYSTEM
            else None,
            shuffles=options.get("load_balance_hosts") == "random",
        ),
    }
    if for_sessions:
        connect_args["command_timeout"] = float(options.get("command_timeout", ANSWER_TIMEOUT_S))
    if in_dsn := {name: options[name] for name in _TLS_OF_ASYNCPG if name in options}:
        # asyncpg reads these only where libpq's users write them, and the files anew each time.
        connect_args["dsn"] = f"postgresql://?{urlencode(in_dsn)}"
    if options.get("sslnegotiation") == "direct":
        connect_args["direct_tls"] = True
    for name in ("target_session_attrs", "passfile", "krbsrvname", "gsslib"):
        if name in options:
            connect_args[name] = options[name]
    for name in CACHE_OPTIONS:
        if name in options:
            connect_args[name] = int(options[name])
    return connect_args


def _arguments_of_psycopg(
    options: dict[str, str], hosts: int, for_sessions: bool
) -> dict[str, Any]:
    mode = options.pop("server_timeouts", "auto")
    if not for_sessions:
        mode = "off"
    given = _given_options(options)
    options.pop("options", None)
    ours = " ".join(f"-c {name}={value}" for name, value in _TIMEOUTS.items())
    sent = given if mode in {"off", "set"} else f"{ours} {given}".rstrip()
    threshold = "off" if options.pop("pgbouncer", None) == "true" else None
    threshold = options.pop("prepare_threshold", threshold)
    timeout_s = host_timeout_s(options.get("connect_timeout"), hosts)
    connect_args: dict[str, Any] = {
        "fallback_application_name": APPLICATION_NAME,
        **options,
        "connect_timeout": math.ceil(timeout_s),
        "async_creator_fn": PsycopgCreator(mode, _timeouts_in(given, mode), ours),
    }
    if threshold is not None:
        connect_args["prepare_threshold"] = None if threshold == "off" else int(threshold)
    if sent:
        connect_args["options"] = sent  # the server takes the last of two settings
    return connect_args


ARGUMENTS: dict[str, Callable[[dict[str, str], int, bool], dict[str, Any]]] = {
    "asyncpg": _arguments_of_asyncpg,
    "psycopg": _arguments_of_psycopg,
}
"""Functions of the options, the number of hosts, and whether the connection is for sessions."""
