"""Compiled SQL straight to the driver, bypassing SQLAlchemy's execution layer.

For each execution, SQLAlchemy looks up the compiled text, the type of each parameter, event
listeners and the transaction, and makes objects of the result. That costs several times what the
database's own work does. On a connection that commits each statement by itself, nothing of it is
visible from outside unless an event listener is registered or statements are logged. In these
cases SQLAlchemy executes. Connections, and what errors are turned into, are SQLAlchemy's in both.

This is the only module that uses names that SQLAlchemy does not document. If a release lacks one
of them, statements are executed through SQLAlchemy's public API, which is slower:

============================  ==========================================================
Missing name                  What is used instead
============================  ==========================================================
``__sqlalchemy_greenlet_..``  ``AsyncConnection.run_sync``, in a task of its own
``_has_events``,              ``Connection.execute``
``dispatch``, ``logger``,
``_handle_dbapi_exception``
``Pool._invalidate``          ``Connection.invalidate``, for one connection at a time
``QueuePool._max_overflow``   the limit of the pool is reported as unknown
============================  ==========================================================
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from greenlet import getcurrent, greenlet
from sqlalchemy import util
from sqlalchemy.exc import InvalidRequestError

from sessionstore_sql.sql.cancellation import finished, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool, PoolProxiedConnection, QueuePool

    from sessionstore_sql.sql.senders import Bound

Result = TypeVar("Result")
Listener = TypeVar("Listener", bound="Callable[..., object]")

_HARMLESS = "is_harmless_to_leases"
"""The attribute of our own listeners, which need not be called while a connection is leased."""


class _Worker(greenlet):
    """Runs synchronous code in which SQLAlchemy can wait for coroutines."""

    __sqlalchemy_greenlet_provider__ = True


async def on_connection(
    engine: AsyncEngine,
    work: Callable[[Connection], Result],
    keep: Callable[[Connection], bool] | None = None,
) -> Result:
    """Check a connection out of the pool, and return what ``work`` returns for it.

    If the caller is cancelled, SQLAlchemy closes the connection, and nothing interrupts it in that.
    A second cancellation would leave a connection behind that nothing closes, and with aiosqlite a
    task that never ends.

    Args:
        engine: The engine.
        work: Called with the connection.
        keep: Called with the connection when the work is done. If it returns true, the connection
            is not returned to the pool, and its new owner has to do that.
    """
    if not _TAKES_OUR_WORKERS:
        return await _on_connection_in_task(engine, work)
    return await in_worker(lambda: _connect_and_work(engine, work, keep))


async def in_worker(work: Callable[[], Result], *, is_cancelled: bool = False) -> Result:
    """Return what ``work`` returns, in which SQLAlchemy can wait for coroutines.

    Args:
        work: The work.
        is_cancelled: Whether the caller has been cancelled before, so that nothing more is to
            interrupt the work.
    """
    current = getcurrent()
    worker = _Worker(work, current)
    worker.gr_context = current.gr_context
    awaited = worker.switch()
    while not worker.dead:
        try:
            value = await (uninterrupted(awaited) if is_cancelled else awaited)
        except BaseException as error:  # noqa: BLE001  # the worker raises it
            is_cancelled = is_cancelled or isinstance(error, asyncio.CancelledError)
            awaited = worker.throw(error)
        else:
            awaited = worker.switch(value)
    result: Result = awaited
    return result


def _connect_and_work(
    engine: AsyncEngine,
    work: Callable[[Connection], Result],
    keep: Callable[[Connection], bool] | None,
) -> Result:
    connection = engine.sync_engine.connect()
    is_kept = False
    try:
        result = work(connection)
        is_kept = keep is not None and keep(connection)
    finally:
        if not is_kept:
            connection.close()
    return result


async def _on_connection_in_task(
    engine: AsyncEngine, work: Callable[[Connection], Result]
) -> Result:
    """Do the same with SQLAlchemy's public API."""

    async def run() -> Result:
        async with engine.connect() as connection:
            return await connection.run_sync(work)

    return await finished(run())


def _takes_our_workers() -> bool:
    """Whether SQLAlchemy takes our greenlets for its own."""
    wait = getattr(util, "await_", None) or getattr(util, "await_only", None)
    if wait is None:
        return False
    awaited, worker = object(), _Worker(wait)
    try:
        is_passed_on = worker.switch(awaited) is awaited
        worker.switch()
    except InvalidRequestError:
        return False
    return is_passed_on


_TAKES_OUR_WORKERS = _takes_our_workers()


def is_autocommit(connection: Connection) -> bool:
    """Whether each statement on ``connection`` commits by itself.

    The connection itself is asked, as the engine's configuration says little (hazard A1).
    """
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    if not connection.dialect.detect_autocommit_setting(dbapi_connection):
        return False
    # Drivers of MySQL return what the server has said, which is wrong if autocommit = 0 is its
    # default. What was asked of the driver is right.
    if getattr(connection.connection.driver_connection, "autocommit_mode", True) is False:
        return False
    # With autocommit=False, sqlite3 of Python 3.12 and later is always in a transaction.
    return not getattr(connection.connection.driver_connection, "in_transaction", False)


def can_bypass(connection: Connection) -> bool:
    """Whether a statement can be sent past SQLAlchemy without a difference to be seen."""
    if connection.in_transaction():
        return False
    if connection.get_execution_options().get("schema_translate_map"):
        return False  # the text names one schema, and the connection may ask for another
    try:
        return not _is_observed(connection) and is_autocommit(connection)
    except Exception:  # noqa: BLE001  # a missing name, or a closed connection: SQLAlchemy handles it
        return False


def _is_observed(connection: Connection) -> bool:
    """Whether SQLAlchemy logs statements, or has an event listener for them."""
    if connection.engine.logger.isEnabledFor(logging.INFO):
        return True
    listeners = connection.engine.dispatch
    # _has_events: a listener of this connection, or of all connections or engines. Collecting
    # these together with the engine's own takes as long as everything else here. Listeners for
    # errors are called in any case, and a connection in autocommit has no commits to listen to.
    return bool(
        connection._has_events  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        or listeners.before_cursor_execute
        or listeners.after_cursor_execute
        or listeners.begin
        or listeners.rollback
        or listeners.before_execute
        or listeners.after_execute
        or connection.dialect.dispatch.do_execute
        or not hasattr(connection, "_handle_dbapi_exception")
    )


def send(
    connection: Connection,
    method: Callable[[PoolProxiedConnection, str, Bound], Result],
    text: str,
    bound: Bound,
) -> Result:
    """Return what ``method``, a method of a ``Sender``, returns.

    Raises:
        DBAPIError: SQLAlchemy's error in place of the driver's.
    """
    proxied = connection.connection
    try:
        return method(proxied, text, bound)
    except BaseException as error:  # noqa: BLE001  # cancellation invalidates the connection too
        _raise_as_sqlalchemy_does(connection, error, text)


def can_lease(connection: Connection) -> bool:
    """Whether a connection can be kept, and its driver be awaited, without a difference to be seen.

    That includes the listeners that are called when a connection is taken from the pool, or
    returned.
    """
    try:
        adapted = cast("Any", connection.connection.dbapi_connection)
        # Names of prepared statements that the caller gives, as some poolers need them.
        name_of_statement = getattr(adapted, "_prepared_statement_name_func", None)
        is_named = name_of_statement is not None and (
            name_of_statement() is not None or adapted._prepared_statement_cache is None  # noqa: SLF001
        )
        return (
            _TAKES_OUR_WORKERS
            and not is_named
            and hasattr(adapted, "_handle_exception")
            and is_unobserved(connection)
            and can_bypass(connection)
        )
    except AttributeError:  # a missing name
        return False


def harmless_to_leases(listener: Listener) -> Listener:
    """Have connections be leased although ``listener`` is called when one is checked out."""
    setattr(listener, _HARMLESS, True)
    return listener


def is_unobserved(connection: Connection) -> bool:
    """Whether no listener sees that a connection is kept, or a statement on it."""
    pool = connection.engine.pool.dispatch
    return not (
        _is_observed(connection)
        or connection.engine.dispatch.engine_connect
        or _has_others(pool.checkout)
        or pool.checkin
        or pool.reset
    )


def _has_others(listeners: Iterable[object]) -> bool:
    # A loop, which takes a fraction of the time of a generator: every call of the store asks.
    for each in listeners:  # noqa: SIM110
        if not hasattr(each, _HARMLESS):
            return True
    return False


async def raise_for_driver(connection: Connection, error: BaseException, text: str) -> NoReturn:
    """Raise SQLAlchemy's error for an error that the driver raised when it was awaited."""
    is_cancelled = isinstance(error, asyncio.CancelledError)
    await in_worker(lambda: _raise_again(connection, error, text), is_cancelled=is_cancelled)
    raise AssertionError("an error was not raised")


def _raise_again(connection: Connection, error: BaseException, text: str) -> NoReturn:
    adapted = cast("Any", connection.connection.dbapi_connection)
    try:
        try:
            raise error  # noqa: TRY301  # a greenlet has exceptions of its own
        except Exception as drivers:  # noqa: BLE001
            adapted._handle_exception(drivers)  # noqa: SLF001  # raises, for asyncpg another one
    except BaseException as raised:  # noqa: BLE001
        _raise_as_sqlalchemy_does(connection, raised, text)
    raise error


def _raise_as_sqlalchemy_does(connection: Connection, error: BaseException, text: str) -> NoReturn:
    """Wrap ``error``, call the listeners for errors, and invalidate a lost connection."""
    # SQLAlchemy would make a StatementError of any other exception if it got the text.
    is_drivers = isinstance(error, connection.dialect.loaded_dbapi.Error)
    connection._handle_dbapi_exception(  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        error, text if is_drivers else None, None, None, None
    )


def invalidate_pool(connection: Connection, error: BaseException) -> None:
    """Have this connection, and those of its pool that are as old, replaced before the next use.

    The others have prepared the same statements. Of the drivers, only asyncpg can prepare anew,
    and only if SQLAlchemy executes (hazard A4).
    """
    if connection.invalidated:
        return
    invalidate = getattr(connection.engine.pool, "_invalidate", None)
    if invalidate is None:
        connection.invalidate(error)
    else:
        invalidate(connection.connection, error)


def invalidate_idle(pool: Pool) -> None:
    """Have the connections that are in the pool replaced before the next use."""
    invalidate = getattr(pool, "_invalidate", None)
    if invalidate is not None:
        invalidate(None)


def pool_limit(pool: QueuePool) -> int | None:
    """Return the maximum number of connections that ``pool`` opens; ``None`` if it is unknown."""
    overflow: int | None = getattr(pool, "_max_overflow", None)
    return None if overflow is None or overflow < 0 else pool.size() + overflow
