"""The SQLSTATE of a login that psycopg reports as rejected, without its code.

libpq knows the code and shows it in verbose messages. psycopg cannot make them verbose, so a second
connection is made with libpq's functions, and the code is read from its error. Connections that
succeed never come here.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
from functools import cache
from itertools import chain
from pathlib import Path
from socket import SOCK_STREAM
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_VERBOSE = 2
"""Of libpq's PGVerbosity."""

_CODE = re.compile(r":\s+((?=[A-Z]*[0-9])[0-9A-Z]{5}): ")
"""In a verbose message, after the severity, which is translated and can be FATAL or PANIC."""

_ARGUMENTS_OF_PSYCOPG = (
    "autocommit",
    "prepare_threshold",
    "context",
    "row_factory",
    "cursor_factory",
)
"""Arguments of ``AsyncConnection.connect`` that are no options of libpq."""

_VARIABLES = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT"}


async def rejection_codes(*args: Any, deadline: float, **kwargs: Any) -> list[str]:
    """Return the SQLSTATEs of the errors with which servers reject a login.

    One connection is made to each address, and closed. There are no codes if psycopg's libpq is not
    found, the login succeeds now, no server answers before the deadline, or anything else fails.

    Args:
        args: Those of ``AsyncConnection.connect``.
        deadline: Of the event loop's clock.
        kwargs: Like ``args``.
    """
    try:
        set_verbosity = _verbosity_function()
        if set_verbosity is None:
            return []
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415  # an extra

        options = {
            name: value for name, value in kwargs.items() if name not in _ARGUMENTS_OF_PSYCOPG
        }
        params = conninfo_to_dict(*args, **options)
        async with asyncio.timeout_at(deadline):
            places = await _places(params)
    except Exception:  # noqa: BLE001  # the caller has an error to report
        return []
    codes = (_codes_at({**params, **place}, set_verbosity, deadline) for place in places)
    return list(chain.from_iterable(await asyncio.gather(*codes)))


async def _codes_at(
    params: Mapping[str, Any], set_verbosity: Callable[[Any, int], object], deadline: float
) -> list[str]:
    """Return the codes of one address: libpq may try with TLS and without."""
    from psycopg import conninfo, pq  # noqa: PLC0415  # an extra

    try:
        async with asyncio.timeout_at(deadline):
            pgconn = pq.PGconn.connect_start(conninfo.make_conninfo("", **params).encode())
            return await _codes_of(pgconn, set_verbosity)
    except Exception:  # noqa: BLE001  # the caller has an error to report
        return []


async def _codes_of(
    pgconn: Any,  # noqa: ANN401  # a class of an extra
    set_verbosity: Callable[[Any, int], object],
) -> list[str]:
    """Wait until the connection is made or has failed, and close it."""
    from psycopg.pq import ConnStatus, PollingStatus  # noqa: PLC0415  # an extra

    loop = asyncio.get_running_loop()
    waits = {
        PollingStatus.READING: (loop.add_reader, loop.remove_reader),
        PollingStatus.WRITING: (loop.add_writer, loop.remove_writer),
    }
    try:
        set_verbosity(pgconn.pgconn_ptr, _VERBOSE)
        while pgconn.status != ConnStatus.BAD:
            wait = waits.get(PollingStatus(pgconn.connect_poll()))
            if wait is None:
                break
            add, remove = wait
            is_ready = asyncio.Event()
            socket = pgconn.socket  # libpq may open another one
            add(socket, is_ready.set)
            try:
                await is_ready.wait()
            finally:
                remove(socket)
        return _CODE.findall(pgconn.error_message.decode(errors="replace"))
    finally:
        pgconn.finish()


async def _places(params: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """Return host, address and port of each server: libpq would block while it looks them up."""
    given = {
        name: str(params.get(name) or os.environ.get(variable, "")).split(",")
        for name, variable in _VARIABLES.items()
    }
    count = max(len(given["host"]), len(given["hostaddr"]))
    hosts, addresses, ports = (each * count if len(each) == 1 else each for each in given.values())
    places: list[dict[str, str | None]] = []
    for host, address, port in zip(hosts, addresses, ports, strict=True):
        found = [address]
        if host and not address and not host.startswith(("/", "@")):
            found = await _resolved(host)
        places += [
            # An empty option would hide that of a service file.
            {"host": host or None, "hostaddr": each or None, "port": port or None}
            for each in found
        ]
    return places


async def _resolved(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@cache
def _verbosity_function() -> Callable[[Any, int], object] | None:
    """Return ``PQsetErrorVerbosity`` of the libpq that psycopg uses; ``None`` if it is unknown."""
    for name in _libraries():
        try:
            # One that is loaded: another libpq has other structures.
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
            function = library.PQsetErrorVerbosity
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_void_p, ctypes.c_int]
        return function
    return None


def _libraries() -> Iterator[str]:
    from psycopg import pq  # noqa: PLC0415  # an extra

    if not hasattr(os, "RTLD_NOLOAD"):
        return
    if pq.__impl__ != "binary":
        yield from ("libpq.so.5", "libpq.5.dylib")
        return
    import psycopg_binary  # noqa: PLC0415  # likewise

    package = Path(psycopg_binary.__file__).parent
    for folder in (package.with_name("psycopg_binary.libs"), package / ".dylibs"):
        yield from map(str, sorted(folder.glob("libpq[-.]*")))
