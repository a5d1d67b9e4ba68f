"""What watches a store at work, as the store sees it.

The store knows no library for traces and metrics; ``sessionstore_sql.otel`` is one who watches.
Where nobody does, its operations are those of the class, and what happens seldom, such as a batch
or another attempt, costs one comparison with ``None``.
"""

from __future__ import annotations

import logging
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.dialects import Dialect

Result = TypeVar("Result")
OriginT = TypeVar("OriginT", bound="Origin")

_log = logging.getLogger(__name__)


@runtime_checkable
class Telemetry(Protocol):
    """What ``SQLSessionStore`` takes: it watches any number of stores.

    What it raises while it watches is logged, by its class, and changes nothing of what it watches.
    """

    def observer(self, engine: AsyncEngine, dialect: Dialect, table: str) -> Observer:
        """Return who is to watch a store; it must not keep ``engine`` alive."""
        ...


class Observer(Protocol):
    """Watches one store. What it is told holds no id and no state, but errors may."""

    def operation(self, name: str) -> AbstractContextManager[object]:
        """Enclose an operation, in its caller's task; it is left with what the caller gets."""
        ...

    def of_lane(self, operation: str) -> LaneObserver[Any]:
        """Return who is to watch the calls of an operation that wait for each other."""
        ...

    def retrying(self, error: BaseException) -> None:
        """Note that an attempt ended in ``error`` of the driver's, and another one follows."""
        ...

    def purged(self, count: int) -> None:
        """Note that so many expired sessions were removed."""
        ...


class LaneObserver(Protocol[OriginT]):
    """Watches the calls of one operation that wait for each other."""

    def origin(self) -> OriginT | None:
        """Return whose call it is that begins to wait, if it is known; asked in its own task."""
        ...

    def waited(self, seconds: Sequence[float]) -> None:
        """Note how long the calls have waited that are made now."""
        ...

    def batch(self, origins: Sequence[OriginT | None]) -> AbstractContextManager[object]:
        """Enclose the making of a batch, in a task of nobody's."""
        ...


class Origin(Protocol):
    """The operation that a waiting call belongs to."""

    async def resume(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make the call, which has left its batch, as a part of its operation again."""
        ...


def watch(backend: object, operations: Iterable[str], observer: Observer) -> None:
    """Have ``observer`` watch the operations of one backend from now on.

    They are replaced in the instance: one that nobody watches has nothing to ask.
    """
    for name in operations:
        setattr(backend, name, _watched(getattr(backend, name), observer.operation))


def _watched(
    operation: Callable[..., Awaitable[Result]],
    enclose: Callable[[str], AbstractContextManager[object]],
) -> Callable[..., Coroutine[Any, Any, Result]]:
    name = operation.__name__

    @wraps(operation)
    async def watched(*args: Any, **kwargs: Any) -> Result:
        with enclose(name):
            return await operation(*args, **kwargs)

    return watched


class CarefulObserver:
    """An observer whose own failures are logged, and change nothing of what it watches.

    What has been committed by then must not be reported as failed, nor made again; and who waits
    for an answer must get it.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def operation(self, name: str) -> AbstractContextManager[object]:
        """Enclose an operation."""
        return _CarefulContext(partial(self._observer.operation, name))

    def of_lane(self, operation: str) -> LaneObserver[Any]:
        """Return who is to watch a lane."""
        return _CarefulLaneObserver(self._observer.of_lane(operation))

    def retrying(self, error: BaseException) -> None:
        """Note another attempt."""
        with _failures_logged():
            self._observer.retrying(error)

    def purged(self, count: int) -> None:
        """Note a purge."""
        with _failures_logged():
            self._observer.purged(count)


class _CarefulLaneObserver(Generic[OriginT]):
    def __init__(self, observer: LaneObserver[OriginT]) -> None:
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
    """What an observer encloses something with, or nothing, where that fails."""

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
        # By its class alone: an error may come from what it was told, and show it.
        _log.error("who watches the session store failed: %s", type(error).__name__)
        return True
