"""The observer protocol: how a store reports its work for traces and metrics.

The store depends on no library for that. ``sessionstore_sql.otel`` implements the protocol for
OpenTelemetry. A store without an observer pays for an empty ``with`` in each operation, and for a
comparison with ``None`` where something rare happens, such as a batch or another attempt.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import QueuePool

Result = TypeVar("Result")
OriginT = TypeVar("OriginT", bound="Origin")

_log = logging.getLogger("sessionstore_sql.telemetry")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDescription:
    """What an observer is told about the store that it observes.

    Attributes:
        system: The kind of database, as SQLAlchemy names it: ``postgresql``.
        namespace: The name of the database; for SQLite, the path of its file. ``None``: the URL
            names none.
        table: The table of sessions, with its schema if one was given.
        status_code: Returns the code that the server or the driver gave to a driver's error, or
            ``None``.
        pool_limit: Returns the maximum number of connections in a pool, or ``None`` if the pool
            has none.
    """

    system: str
    namespace: str | None
    table: str
    status_code: Callable[[BaseException], str | None]
    pool_limit: Callable[[QueuePool], int | None]


@runtime_checkable
class Telemetry(Protocol):
    """What ``SQLSessionStore`` takes as ``telemetry``. One object may serve many stores.

    What its observers raise is logged by its class, and has no effect on the store.
    """

    def observer(self, engine: AsyncEngine, description: StoreDescription) -> Observer:
        """Return the observer of one store. It must not keep a reference to ``engine``."""
        ...


class Observer(Protocol):
    """Observes one store. It is given no session id and no state, but errors may contain them."""

    def operation(self, name: str) -> AbstractContextManager[object]:
        """Return a context for one operation. It is left with the exception the caller gets.

        Args:
            name: The name of the store's method, which is called in its caller's task.
        """
        ...

    def of_queue(self, operation: str) -> QueueObserver[Any]:
        """Return the observer of the batch queue of one operation."""
        ...

    def retrying(self, error: BaseException) -> None:
        """Record that an attempt failed with ``error``, and that another attempt follows."""
        ...

    def purged(self, count: int) -> None:
        """Record that ``count`` expired sessions were removed."""
        ...

    def account(self, kind: str, count: int) -> None:
        """Record what an operation did to ``count`` sessions of a user.

        A store with a pool calls this after the commit. A bound store calls it when its statements
        have succeeded, so the caller may roll them back afterwards.

        Args:
            kind: One of ``AccountEventKind``.
            count: At least 1.
        """
        ...


class QueueObserver(Protocol[OriginT]):
    """Observes the calls of one operation that wait to be answered in a batch."""

    def origin(self) -> OriginT | None:
        """Return the operation of the current task, whose call is queued now, if it is known."""
        ...

    def waited(self, seconds: Sequence[float]) -> None:
        """Record how long each of the calls has waited that are sent now."""
        ...

    def batch(self, origins: Sequence[OriginT | None]) -> AbstractContextManager[object]:
        """Return a context for one batch, which runs in a task of the queue."""
        ...


class Origin(Protocol):
    """The operation that a queued call belongs to."""

    async def resume(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Run ``call``, which was taken out of its batch, as part of its operation."""
        ...


class CarefulObserver:
    """An observer whose own failures are logged, and have no effect on the store.

    A write that is committed must neither be reported as failed nor be sent again, and every
    waiting caller must get its result.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def operation(self, name: str) -> AbstractContextManager[object]:
        """Return a context for one operation."""
        return _CarefulContext(partial(self._observer.operation, name))

    def of_queue(self, operation: str) -> QueueObserver[Any]:
        """Return the observer of the batch queue of one operation."""
        return _CarefulQueueObserver(self._observer.of_queue(operation))

    def retrying(self, error: BaseException) -> None:
        """Record another attempt."""
        with _failures_logged():
            self._observer.retrying(error)

    def purged(self, count: int) -> None:
        """Record a purge."""
        with _failures_logged():
            self._observer.purged(count)

    def account(self, kind: str, count: int) -> None:
        """Record what was done to a user's sessions."""
        with _failures_logged():
            self._observer.account(kind, count)


class _CarefulQueueObserver(Generic[OriginT]):
    def __init__(self, observer: QueueObserver[OriginT]) -> None:
        self._observer = observer

    def origin(self) -> OriginT | None:
        with _failures_logged():
            return self._observer.origin()
        return None

    def waited(self, seconds: Sequence[float]) -> None:
        with _failures_logged():
            self._observer.waited(seconds)

    def batch(self, origins: Sequence[OriginT | None]) -> AbstractContextManager[object]:
        return _CarefulContext(partial(self._observer.batch, origins))


class _CarefulContext:
    """The context of an observer. It is empty if the observer fails to make or to enter one."""

    __slots__ = ("_context", "_make")

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        self._make = make
        self._context: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        with _failures_logged():
            context = self._make()
            context.__enter__()
            self._context = context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._context is not None:
            with _failures_logged():
                self._context.__exit__(kind, error, traceback)


class _failures_logged:  # noqa: N801  # named as it reads in a with
    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        # Only its class: the text may quote what the observer was given.
        _log.error(
            "a telemetry observer failed with %s; the session store is not affected",
            type(error).__name__,
        )
        return True
