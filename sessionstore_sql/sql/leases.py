"""Connections that are kept while calls follow each other.

To check a connection out of SQLAlchemy's pool and to return it takes longer than a statement does.
So a connection on which a call succeeded is kept: it is *leased*. The next call awaits the driver
on it, without a greenlet. A lease that was not used for a moment is returned to the pool, and so is
one that has lasted for long: the pool replaces old connections when it hands them out.

Other users of the pool never wait for long. The last connection of a pool is never leased. If the
pool has no other left, or a call of the store waits for one, leases are returned immediately. If an
engine has event listeners or SQL logging, its connections are not leased: the listeners would be
called less often than the application expects.
"""

from __future__ import annotations

from asyncio import wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.pool import QueuePool

from sessionstore_sql.sql.compiled import Line
from sessionstore_sql.sql.direct import can_lease, in_worker
from sessionstore_sql.sql.sockets import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable

    from sqlalchemy import Connection
    from sqlalchemy.pool import Pool

    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.senders import Channel

MAX_LEASES = 4
"""Maximum number of connections that are leased in one event loop."""

INTERVAL_S = 0.01
"""Seconds between two checks of the leases. One that was not used in between is returned, so an
application waits at most so long for a connection that the store does not use."""

MAX_INTERVALS = 100
"""Number of checks after which a lease is returned although it is in use."""


class Lease(Line):
    """A connection that is kept for the next calls.

    Attributes:
        is_over: Whether it is to be returned as soon as no call uses it.
        is_used: Whether a call has used it since the last check.
        pool: The pool that it belongs to.
        intervals: How many checks it has passed.
        watch: Looks at its socket. ``None``: the database has none.
    """

    def __init__(self, connection: Connection, channel: Channel, watch: Watch | None) -> None:
        super().__init__(connection, channel)
        self.is_over = False
        self.is_used = True
        self.watch = watch
        self.pool: Pool = connection.engine.pool
        self.intervals = 0

    def has_hung_up(self) -> bool:
        """Return whether the server has closed the connection."""
        return self.watch is not None and self.watch.has_hung_up()


class Leases:
    """The leases of one event loop.

    Attributes:
        free: Those that no call uses. The last one was used last.
        ending: Those that tasks return to the pool.
        waiting: How many calls wait for a connection of the pool.
        is_suspended: Whether no connection is leased at present.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.free: list[Lease] = []
        self.waiting = 0
        self.is_suspended = False
        self._loop = loop
        self._all: set[Lease] = set()
        self.ending: dict[asyncio.Task[None], Lease] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._guard: AsyncGenerator[None, None] | None = None

    def keep(self, connection: Connection, dialect: Dialect) -> bool:
        """Lease a connection on which a call has succeeded, if that is possible."""
        pool = connection.engine.pool
        if (
            self.waiting
            or self.is_suspended
            or len(self._all) >= MAX_LEASES
            or connection.invalidated
            or not isinstance(pool, QueuePool)
            or pool.checkedout() >= pool.size()
            or not can_lease(connection)
        ):
            return False
        driver = connection.connection.driver_connection
        assert driver is not None
        channel = dialect.channel_of(driver)
        if channel is None:
            return False
        watch = None
        if dialect.socket_of is not None:
            watch = Watch(dialect.socket_of, driver, dialect.unsolicited)
        lease = Lease(connection, channel, watch)
        self._all.add(lease)
        self.free.append(lease)
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL_S, self._check)
        if self._guard is None:
            self._guard = self._until_the_loop_ends()
            with suppress(StopIteration):
                self._guard.asend(None).send(None)
        return True

    def retire(self) -> None:
        """Have every lease returned as soon as no call uses it."""
        for lease in self._all:
            lease.is_over = True

    async def end(self, lease: Lease, mark: Callable[[Connection], object] | None = None) -> None:
        """Return the connection of a lease to the pool.

        Args:
            lease: A lease that no call uses any more, and that is not free.
            mark: Called with the connection before; it may invalidate the connection.
        """
        await in_worker(lambda: self._close(lease, mark))

    async def release(self) -> None:
        """Return the connections of all leases that no call uses, and wait for that."""
        while self.free:
            await self.end(self.free.pop())
        for task, lease in list(self.ending.items()):
            await wait([task])
            if lease in self._all:  # the task was cancelled before it could begin
                await self.end(lease)
        if not self._all:
            await self._stop()

    def _close(self, lease: Lease, mark: Callable[[Connection], object] | None) -> None:
        connection = lease.connection
        self._all.discard(lease)
        try:
            if mark is not None:
                mark(connection)
            # If the engine was disposed, nothing else would close the connection.
            is_useless = connection.engine.pool is not lease.pool or lease.has_hung_up()
            if is_useless and not connection.invalidated:
                connection.invalidate()
        finally:
            connection.close()

    def _check(self) -> None:
        """Return the leases that were not used, or that others need."""
        for lease in list(self._all):
            lease.intervals += 1
            pool: Any = lease.pool
            if lease.intervals >= MAX_INTERVALS or pool.checkedout() >= pool.size():
                lease.is_over = True
            if lease in self.free and (lease.is_over or not lease.is_used):
                self.free.remove(lease)
                task = self._loop.create_task(self.end(lease))
                self.ending[task] = lease
                task.add_done_callback(self.ending.pop)
            lease.is_used = False
        self._timer = None
        if self._all:
            self._timer = self._loop.call_later(INTERVAL_S, self._check)

    async def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.aclose()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """Return the leases when the loop is about to end, even if the store was not closed.

        ``asyncio.run`` and its like finish all asynchronous generators in the end.
        """
        try:
            yield
        finally:
            self._guard = None
            await self.release()
