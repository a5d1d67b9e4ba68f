"""Making connections to PostgreSQL: several hosts, and poolers that reject settings."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from sessionstore_sql.sql.dialects.connecting import CONNECT_TIMEOUT_S
from sessionstore_sql.sql.dialects.postgresql.errors import (
    REJECTIONS,
    deciding_code,
    is_unlisted_rejection,
)
from sessionstore_sql.sql.dialects.postgresql.login import rejection_codes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from sessionstore_sql.sql.tls import TLS

_log = logging.getLogger("sessionstore_sql.connecting")

_REJECTED_TLS = "rejected SSL upgrade"
"""What asyncpg says of a server that does not offer TLS."""


class _Creator(ABC):
    """Makes connections, without our timeouts where a pooler rejects them.

    Neon's and other managed PgBouncers reject every startup parameter that they do not know. The
    client's own time limits remain; so the store works there, and says once what it lacks.
    """

    def __init__(self, mode: str, timeouts: Mapping[str, str]) -> None:
        """Use ``timeouts`` as ``mode``, which is the option ``server_timeouts``, says."""
        self._mode = mode
        self._timeouts = timeouts
        self._is_rejected = False

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new connection of the driver.

        It takes what the driver's own function takes, and raises what that raises.
        """
        # Others may find out while this connection is being made.
        was_rejected = self._is_rejected
        if was_rejected:
            kwargs = self.without_timeouts(kwargs)
        try:
            connection = await self.connect(*args, **kwargs)
        except Exception as error:
            is_ours = self._mode == "auto" and not was_rejected and bool(self._timeouts)
            if not (is_ours and any(each in str(error) for each in REJECTIONS)):
                raise
        else:
            if self._mode == "set" and self._timeouts:
                await self._with_timeouts(connection)
            return connection
        connection = await self.connect(*args, **self.without_timeouts(kwargs))
        if not self._is_rejected:
            self._is_rejected = True
            self._report_rejection()
        return connection

    def _report_rejection(self) -> None:
        _log.warning(
            "the pooler in front of PostgreSQL rejects lock_timeout and statement_timeout, so "
            "the server does not limit how long a session's statement waits; the client still "
            "does. To set them on the server: ALTER ROLE .. SET lock_timeout = '3s'"
        )

    async def _with_timeouts(self, connection: Any) -> None:
        try:
            await self.set_timeouts(connection)
        except BaseException:
            self.abort(connection)
            raise

    @abstractmethod
    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new connection."""

    @abstractmethod
    def without_timeouts(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the driver's arguments without our timeouts."""

    @abstractmethod
    async def set_timeouts(self, connection: Any) -> None:
        """Set our timeouts by a statement, as session-mode poolers pass on."""

    @abstractmethod
    def abort(self, connection: Any) -> None:
        """Close a connection without waiting for anything."""

    @property
    def statement(self) -> str:
        """What sets the timeouts."""
        return "; ".join(f"SET {name} = {value}" for name, value in self._timeouts.items())


class AsyncpgCreator(_Creator):
    """Makes connections of asyncpg: tries the hosts one by one, each within its own timeout.

    asyncpg has one timeout for all hosts together: a silent one would leave none for the next.
    """

    def __init__(
        self,
        mode: str,
        timeouts: Mapping[str, str],
        *,
        system_tls: TLS | None = None,
        shuffles: bool = False,
    ) -> None:
        """Use ``system_tls`` where the system's root certificates are to be used."""
        super().__init__(mode, timeouts)
        self._system_tls = system_tls
        self._shuffles = shuffles

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection to the first host that fits."""
        import asyncpg  # noqa: PLC0415  # an extra

        if self._system_tls is not None and kwargs.get("ssl") is None:
            kwargs = {**kwargs, "ssl": _with_alpn(self._system_tls.context())}
        try:
            if isinstance(kwargs.get("host"), list):
                return await self._connect_to_one_of_several(*args, **kwargs)
            return await asyncpg.connect(*args, **kwargs)
        except ConnectionError as error:
            if _REJECTED_TLS not in str(error):
                raise
            # It is not as if the server could not be reached: trying again does not help.
            raise asyncpg.InterfaceError(f"{error}: it does not offer TLS") from error

    async def _connect_to_one_of_several(self, *args: Any, **kwargs: Any) -> Any:
        import asyncpg  # noqa: PLC0415  # an extra

        passes_on = (OSError, asyncpg.CannotConnectNowError)
        unreachable: Exception | None = None
        unfit: Exception | None = None
        for host, port, wanted in self._attempts(kwargs):
            place = {"host": host, "port": port, "target_session_attrs": wanted}
            try:
                return await asyncpg.connect(*args, **{**kwargs, **place})
            except asyncpg.TargetServerAttributeNotMatched as error:
                unfit = error
            except passes_on as error:
                unreachable = error
        raise unreachable or unfit or OSError("there is no host to connect to")

    def _attempts(self, kwargs: Mapping[str, Any]) -> Iterable[tuple[str, int, str]]:
        places = list(zip(kwargs["host"], kwargs["port"], strict=True))
        if self._shuffles:
            random.shuffle(places)
        wanted = kwargs.get("target_session_attrs") or "any"
        passes = ["standby", "any"] if wanted == "prefer-standby" else [wanted]
        return [(host, port, each) for each in passes for host, port in places]

    def without_timeouts(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments with the other settings of the server."""
        settings = kwargs.get("server_settings") or {}
        kept = {
            name: value for name, value in settings.items() if self._timeouts.get(name) != value
        }
        return {**kwargs, "server_settings": kept}

    async def set_timeouts(self, connection: Any) -> None:
        """Set them in one round trip."""
        await connection.execute(self.statement)

    def abort(self, connection: Any) -> None:
        """Close the socket."""
        connection.terminate()


class PsycopgCreator(_Creator):
    """Makes connections of psycopg, which tries several hosts by itself."""

    def __init__(self, mode: str, timeouts: Mapping[str, str], ours: str) -> None:
        """Know ``ours`` among the options."""
        super().__init__(mode, timeouts)
        self._ours = ours

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection to the first host that fits.

        The error of a rejected login has its SQLSTATE if the text does not tell what it means and
        the code can be found within the time limit for the connection.
        """
        import psycopg  # noqa: PLC0415  # an extra

        started = asyncio.get_running_loop().time()
        try:
            return await psycopg.AsyncConnection.connect(*args, **kwargs)
        except psycopg.OperationalError as error:
            if is_unlisted_rejection(error):
                codes = await rejection_codes(*args, deadline=started + _limit_s(kwargs), **kwargs)
                if code := deciding_code(codes):
                    error.sqlstate = code
            raise

    def without_timeouts(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments with the caller's options."""
        return {**kwargs, "options": str(kwargs.get("options", "")).replace(self._ours, "").strip()}

    async def set_timeouts(self, connection: Any) -> None:
        """Set them outside of a transaction, or its end would unset them."""
        before = connection.autocommit
        await connection.set_autocommit(True)
        await connection.execute(self.statement)
        await connection.set_autocommit(before)

    def abort(self, connection: Any) -> None:
        """Close the socket."""
        connection.pgconn.finish()


def _limit_s(kwargs: Mapping[str, Any]) -> float:
    """Return the seconds that psycopg has for all hosts together."""
    hosts = 1 + str(kwargs.get("host", "")).count(",")
    return hosts * float(kwargs.get("connect_timeout") or CONNECT_TIMEOUT_S)


def _with_alpn(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["postgresql"])
    return context
