"""What watches a store at work, as the store sees it.

The store knows no library for traces and metrics; ``sessionstore_sql.otel`` is one who watches.
Where nobody does, its operations are those of the class, and what happens seldom, such as a batch
or another attempt, costs one comparison with ``None``.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.dialects import Dialect

Result = TypeVar("Result")
OriginT = TypeVar("OriginT", bound="Origin")


@runtime_checkable
class Telemetry(Protocol):
    """What ``SQLSessionStore`` takes: it watches any number of stores."""

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
