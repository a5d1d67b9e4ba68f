"""Making connections to MySQL and MariaDB: TLS that is demanded, offered or neither.

Both drivers take an ``SSLContext``, and no mode. aiomysql then goes on without TLS where the server
offers none, so a proxy in between could leave it out. asyncmy fails, even if TLS is only preferred.
And the timeouts of both end with the TCP handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from sessionstore_sql.sql.tls import TLS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

CLIENT_SSL = 0x800
"""Of the server's capabilities: it offers TLS."""

_MAY_DEMAND_TLS = {3159, 1045}
"""What a server says that takes no connection without TLS: MySQL, where
``require_secure_transport`` is on; MariaDB, and both where the user has ``REQUIRE SSL``."""

_TLS_FAILED = 2026
_CLEAR_PASSWORD = b"mysql_clear_password"  # the name of a way to log in

_PREFERRED = TLS("prefer")


class Creator(ABC):
    """Makes connections as the options of a URL ask for them.

    Where nothing is asked for, a connection over a network uses TLS if the server offers it, as
    that of MySQL's own client does. A connection on this machine uses TLS only if the server
    demands it: no other machine can listen in, and TLS makes each call slower.
    """

    def __init__(self, tls: TLS | None) -> None:
        """Use ``tls``; ``None`` where nothing is asked for."""
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._files: object = None

    async def __call__(self, **kwargs: Any) -> Any:
        """Return a new connection of the driver.

        It takes what the driver's own function takes, and raises what that raises, or
        ``TimeoutError``.
        """
        if isinstance(password := kwargs.get("password"), str):
            # Both drivers encode it as Latin-1. Servers and other clients have it in UTF-8.
            kwargs["password"] = password.encode().decode("latin-1")
        async with asyncio.timeout(kwargs.get("connect_timeout")):
            return await self._made(kwargs)

    async def _made(self, kwargs: dict[str, Any]) -> Any:
        given = kwargs.get("ssl")
        if given is not None:  # the caller's own
            return await self._opened(kwargs, requires_tls=bool(given))
        tls = self._tls
        if tls is None:
            tls = TLS("allow") if _is_on_this_machine(kwargs) else _PREFERRED
        if tls.mode == "disable":
            return await self._opened(kwargs, requires_tls=False)
        if tls.mode == "allow":
            return await self._made_with_tls_on_demand(tls, kwargs)
        try:
            with_tls = {**kwargs, "ssl": self._context_of(tls)}
            return await self._opened(with_tls, requires_tls=tls.is_required)
        except Exception as error:
            if tls.is_required or not _is_of_tls(error):
                raise
        return await self._opened(kwargs, requires_tls=False)

    async def _made_with_tls_on_demand(self, tls: TLS, kwargs: dict[str, Any]) -> Any:
        connection = self.new(kwargs, requires_tls=False)
        try:
            await self.open(connection)
        except Exception as error:
            offers_tls = getattr(connection, "server_capabilities", 0) & CLIENT_SSL
            if not offers_tls or not error.args or error.args[0] not in _MAY_DEMAND_TLS:
                raise
        else:
            return connection
        return await self._opened({**kwargs, "ssl": self._context_of(tls)}, requires_tls=True)

    async def _opened(self, kwargs: Mapping[str, Any], *, requires_tls: bool) -> Any:
        connection = self.new(kwargs, requires_tls=requires_tls)
        await self.open(connection)
        return connection

    def _context_of(self, tls: TLS) -> ssl.SSLContext:
        """Return the context, a new one if a certificate has been replaced."""
        files = tls.state()
        if self._context is None or files != self._files:
            self._context, self._files = tls.context(), files
        return self._context

    @abstractmethod
    def new(self, kwargs: Mapping[str, Any], *, requires_tls: bool) -> Any:
        """Return a connection that is not open; it opens without TLS only if it may."""

    @abstractmethod
    async def open(self, connection: Any) -> None:
        """Connect, and log in."""


class AiomysqlCreator(Creator):
    """Makes connections of aiomysql."""

    def new(self, kwargs: Mapping[str, Any], *, requires_tls: bool) -> Any:
        """Return a connection that is not open."""
        from aiomysql.connection import Connection, OperationalError  # noqa: PLC0415  # an extra

        connection = _secured(Connection, OperationalError)(**kwargs)
        connection.requires_tls = requires_tls
        return connection

    async def open(self, connection: Any) -> None:
        """Connect, and log in, as ``aiomysql.connect`` does."""
        try:
            await connection._connect()  # noqa: SLF001  # there is no public name
        except BaseException:
            connection.close()  # which it does not do itself if it is cancelled
            raise


class AsyncmyCreator(Creator):
    """Makes connections of asyncmy."""

    def new(self, kwargs: Mapping[str, Any], *, requires_tls: bool) -> Any:
        """Return a connection that is not open."""
        from asyncmy.connection import Connection  # noqa: PLC0415  # an extra
        from asyncmy.errors import OperationalError  # noqa: PLC0415  # likewise

        connection = _secured(Connection, OperationalError)(**kwargs)
        connection.requires_tls = requires_tls
        return connection

    async def open(self, connection: Any) -> None:
        """Connect, and log in."""
        await connection.connect()


@cache
def _secured(driver_class: Any, error_class: type[Exception]) -> Any:
    """Return the driver's class, which looks at what the server offers before it logs in."""
    return type("SecuredConnection", (_Secured, driver_class), {"error_class": error_class})


class _Secured:
    """What is done before and after a driver's own methods.

    Both drivers call ``_request_authentication`` when the server has introduced itself,
    ``_process_auth`` when it asks for the password in another way than expected, and ``autocommit``
    when they have logged in.
    """

    error_class: type[Exception]
    requires_tls: bool
    server_capabilities: int
    server_version: str
    query: Callable[[str], Awaitable[object]]
    knows_autocommit: bool = False
    _host: str
    _secure: bool
    _ssl_context: ssl.SSLContext | None
    _unix_socket: str | None

    async def _request_authentication(self) -> None:
        if self._ssl_context is not None and not self.server_capabilities & CLIENT_SSL:
            if self.requires_tls:
                raise self.error_class(_TLS_FAILED, "the server does not offer TLS")
            _give_up_tls(self)
        asked_for: str = getattr(self, "_client_auth_plugin", "")  # aiomysql's auth_plugin
        if asked_for.encode() == _CLEAR_PASSWORD and self._ssl_context is None:
            self._require_this_machine()
        try:
            await super()._request_authentication()  # type: ignore[misc]
        except ssl.SSLCertVerificationError as error:
            # aiomysql does not say why it cannot connect.
            raise self.error_class(_TLS_FAILED, f"TLS failed: {error.verify_message}") from error

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name == _CLEAR_PASSWORD and not self._secure:
            self._require_this_machine()
        return await super()._process_auth(plugin_name, auth_packet)  # type: ignore[misc]

    async def autocommit(self, value: bool) -> None:
        """Turn autocommit on or off.

        The drivers send nothing if the server has said that it is so. MySQL whose configuration has
        ``autocommit = 0`` says that it is on, until a statement has turned it on.
        """
        if not self.knows_autocommit and "mariadb" not in self.server_version.lower():
            await self.query("SET SESSION autocommit = 1")
        self.knows_autocommit = True
        await super().autocommit(value)  # type: ignore[misc]

    def _require_this_machine(self) -> None:
        if not self._unix_socket and not _is_local(self._host):
            raise self.error_class(
                _TLS_FAILED, "the password would be sent in clear text: the server needs TLS"
            )

    def close(self) -> None:
        """Close the socket. With TLS, aiomysql would begin to end it, and not wait for that."""
        writer = getattr(self, "_writer", None)
        if writer is not None and writer.transport.get_extra_info("ssl_object") is not None:
            writer.transport.abort()
        super().close()  # type: ignore[misc]


def _give_up_tls(connection: Any) -> None:
    connection._ssl_context = None  # noqa: SLF001  # that of both drivers
    for flags in ("client_flag", "_client_flag"):
        if hasattr(connection, flags):
            setattr(connection, flags, getattr(connection, flags) & ~CLIENT_SSL)


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__
    return False


def _is_on_this_machine(kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("unix_socket")) or _is_local(kwargs.get("host") or "localhost")


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
