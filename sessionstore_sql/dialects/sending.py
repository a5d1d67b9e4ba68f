"""How a statement's text reaches the driver: past SQLAlchemy's execution, where nobody listens.

What SQLAlchemy does for one execution beside what the driver does costs several times as much as
the database's own work: it looks for the text among those it has compiled, at the type of each
parameter, for listeners and for a transaction, and makes objects of what it found. On a
connection that commits each statement by itself, none of that can be told from outside, unless
somebody listens or logs: then, SQLAlchemy executes. Connections and errors are its own either way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.pool import PoolProxiedConnection


Result = TypeVar("Result")

Bound: TypeAlias = "dict[str, Any] | tuple[Any, ...]"
"""What a text binds, by name or by position."""


class Sender(Protocol):
    """Sends a text and what it binds to the driver, and raises what the driver does."""

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        ...

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows were changed, of a statement that returns none."""
        ...


class CursorSender:
    """Sends with a cursor, as SQLAlchemy does."""

    def fetch(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        cursor = connection.cursor()
        cursor.execute(text, bound)
        rows = cursor.fetchall()
        cursor.close()
        return rows

    def change(self, connection: PoolProxiedConnection, text: str, bound: Bound) -> int:
        """Return how many rows were changed."""
        cursor = connection.cursor()
        cursor.execute(text, bound)
        count = cursor.rowcount
        cursor.close()
        return count


BY_CURSOR = CursorSender()


def is_autocommit(connection: Connection) -> bool:
    """Whether each statement on ``connection`` commits by itself.

    Asked of the connection itself: how the engine was configured says little (hazard A1).
    """
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    if not connection.dialect.detect_autocommit_setting(dbapi_connection):
        return False
    # sqlite3 of Python 3.12 on, made with autocommit=False, is in a transaction all the time.
    return not getattr(connection.connection.driver_connection, "in_transaction", False)


def goes_directly(connection: Connection) -> bool:
    """Whether a statement may go past SQLAlchemy: it changes nothing, and nobody would notice."""
    try:
        if not is_autocommit(connection):
            return False
    except Exception:  # noqa: BLE001  # of a connection that was closed: SQLAlchemy says it well
        return False
    if connection.get_execution_options().get("schema_translate_map"):
        return False  # a text names one schema, and each connection may name another one
    if connection.engine.logger.isEnabledFor(logging.INFO):
        return False
    # The first are listeners of this connection or of all there are: to find them where they are
    # joined to the engine's takes as long as all the rest. Errors are told either way, and what
    # commits by itself is never told of.
    told = connection.engine.dispatch
    return not (
        connection._has_events  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        or told.before_cursor_execute
        or told.after_cursor_execute
        or told.begin
        or told.rollback
        or told.before_execute
        or told.after_execute
        or connection.dialect.dispatch.do_execute
    )


def send_directly(
    connection: Connection,
    send: Callable[[PoolProxiedConnection, str, Bound], Result],
    text: str,
    bound: Bound,
) -> Result:
    """Return what ``send``, of a ``Sender``, returns.

    Raises:
        DBAPIError: What SQLAlchemy makes of the driver's errors.
    """
    proxied = connection.connection
    try:
        return send(proxied, text, bound)
    except BaseException as error:  # noqa: BLE001  # one that is cancelled spoils the connection
        _fail(connection, error, text)


def fetch_text(connection: Connection, text: str, bound: tuple[Any, ...]) -> Sequence[Any]:
    """Return the rows of a text that no statement of SQLAlchemy's was made for."""
    if goes_directly(connection):
        return send_directly(connection, BY_CURSOR.fetch, text, bound)
    return connection.exec_driver_sql(text, bound).all()


def change_text(connection: Connection, text: str, bound: tuple[Any, ...]) -> int:
    """Return how many rows such a text changed."""
    if goes_directly(connection):
        return send_directly(connection, BY_CURSOR.change, text, bound)
    return connection.exec_driver_sql(text, bound).rowcount


def _fail(connection: Connection, error: BaseException, text: str) -> NoReturn:
    """Raise what SQLAlchemy would, and do as it does: tell listeners, and part with connections."""
    # Of what is not the driver's, it would make a StatementError if it had the text.
    is_drivers = isinstance(error, connection.dialect.loaded_dbapi.Error)
    # No function of a public name does that.
    connection._handle_dbapi_exception(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        error, text if is_drivers else None, None, None, None
    )
