"""A clock that tests move by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that stands still until a test moves it. Calling it returns the time.

        clock = ManualClock()
        store = MemorySessionStore(clock=clock)
        ...
        clock.advance(timedelta(hours=2))  # the sessions of two hours have expired

    Args:
        start: A time with a time zone; now, if it is left out.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = datetime.now(UTC) if start is None else start

    def __call__(self) -> datetime:
        """Return the time."""
        return self._now

    def advance(self, duration: timedelta) -> None:
        """Move the clock by ``duration``; by a negative one, back."""
        self._now += duration
