"""Time limits of which one timer keeps watch.

As ``asyncio.timeout``, without its timer: one for each call would be set and cancelled with it,
and stay in the event loop's heap until it would have rung. That is a tenth of what a call costs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

INTERVAL = 0.5
"""Seconds between two looks, and so how late a limit may be noticed."""


class TimeLimits:
    """The limits of what is under way in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[TimeLimit, float] = {}
        self._alarm: asyncio.TimerHandle | None = None

    def of_this_task(self) -> TimeLimit:
        """Return a limit for what the present task does; it ends nothing until it is set."""
        return TimeLimit(self)

    def set(self, limit: TimeLimit, seconds: float) -> None:
        """Have ``limit`` expire so many seconds from now, whatever was set before."""
        self._due[limit] = self._loop.time() + seconds
        if self._alarm is None:
            self._alarm = self._loop.call_later(INTERVAL, self._look)

    def forget(self, limit: TimeLimit) -> None:
        """Have ``limit`` never expire."""
        self._due.pop(limit, None)

    def _look(self) -> None:
        now = self._loop.time()
        for limit in [limit for limit, due in self._due.items() if due <= now]:
            self.forget(limit)
            limit.expire()
        self._alarm = self._loop.call_later(INTERVAL, self._look) if self._due else None


class TimeLimit:
    """Cancels its task when it expires, which leaves the ``with`` as ``TimeoutError``."""

    __slots__ = ("_cancelled", "_cancelling", "_limits", "_task")

    def __init__(self, limits: TimeLimits) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._limits = limits
        self._task = task
        self._cancelling = task.cancelling()
        self._cancelled = 0

    def set(self, seconds: float) -> None:
        """Expire so many seconds from now."""
        self._limits.set(self, seconds)

    def expire(self) -> None:
        """Cancel the task: again, if somebody swallowed that and has set the limit anew."""
        self._cancelled += 1
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._limits.forget(self)
        for _ in range(self._cancelled):
            self._task.uncancel()
        # If someone else has cancelled the task as well, that is what it is to hear of.
        is_ours = self._cancelled > 0 and self._task.cancelling() <= self._cancelling
        if is_ours and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc
