"""``stats --watch``: how sessions, purge and connections change, until the operator stops it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from sessionstore_sql.cli.drawing import MIN_WIDTH, Fact, facts
from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import CommandFailedError, failures_explained
from sessionstore_sql.cli.masking import Mask
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.wording import number, span
from sessionstore_sql.sql.engines import create_engine
from sessionstore_sql.statistics import collect_activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from sessionstore_sql.cli.options import Place
    from sessionstore_sql.statistics import Activity, Count

_pause = asyncio.sleep

_WINDOW = timedelta(minutes=1)
"""Changes are those of the last minute."""


class _View(Protocol):
    """Shows each measurement."""

    def show(self, activity: Activity) -> None:
        """Show a measurement."""
        ...

    def show_failure(self, message: str) -> None:
        """Show that a measurement failed and is repeated."""
        ...


async def watch_sessions(
    place: Place, interval: timedelta, *, to_json: Callable[[Activity, Place], str] | None
) -> ExitCode:
    """Show measurements until the task is cancelled.

    If the database becomes unreachable or busy later than at the first measurement, that is shown
    and the measurement is repeated.

    Args:
        place: The database and the table.
        interval: The time between two measurements.
        to_json: Formats a measurement as a line of JSON. ``None``: print text.

    Raises:
        CommandFailedError: The first measurement failed, or one that need not be repeated.
    """
    async with failures_explained(place):
        engine = create_engine(place.url, {"pool_size": 1})
    try:
        with _view(place, interval, to_json) as view:
            is_first = True
            while True:
                try:
                    async with failures_explained(place):
                        activity = await collect_activity(engine, **place.names)
                except CommandFailedError as error:
                    if is_first or error.exit_code is not ExitCode.TRY_AGAIN:
                        raise
                    view.show_failure(_masked(str(error)))
                else:
                    is_first = False
                    view.show(activity)
                await _pause(interval.total_seconds())
    finally:
        await engine.dispose()


class History:
    """The measurements of the last minute, and what they say about the purge."""

    def __init__(self) -> None:
        self._measured: deque[Activity] = deque()
        self._progress: datetime | None = None
        """When expired sessions were last seen to be deleted, or the first measurement."""
        self._is_purging = False

    def add(self, activity: Activity) -> None:
        """Add a measurement."""
        last = self._measured[-1] if self._measured else None
        self._is_purging = last is not None and _deleted_between(last, activity)
        if self._progress is None or self._is_purging:
            self._progress = activity.taken_at
        self._measured.append(activity)
        while activity.taken_at - self._measured[0].taken_at > _WINDOW:
            self._measured.popleft()

    def change(self, count: Callable[[Activity], Count]) -> str:
        """Return how much a count has changed, per minute. An estimate has no useful change."""
        first, last = self._measured[0], self._measured[-1]
        seconds = (last.taken_at - first.taken_at).total_seconds()
        if seconds <= 0 or count(first).estimated or count(last).estimated:
            return ""
        per_minute = round((count(last).sessions - count(first).sessions) * 60 / seconds)
        return f"{per_minute:+,}/min"

    @property
    def purge(self) -> str:
        """What the measurements say about the purge."""
        last = self._measured[-1]
        if not last.expired.sessions:
            return "up to date"
        if self._is_purging:
            return "running"
        assert self._progress is not None
        idle = last.taken_at - self._progress
        return f"no progress for {span(idle)}" if idle else "not seen yet"


def _deleted_between(before: Activity, after: Activity) -> bool:
    """Whether expired sessions were deleted between two measurements.

    Meanwhile, others may have expired. So it also counts if the oldest expired session is gone.
    """
    if after.expired.sessions < before.expired.sessions:
        return True
    if before.oldest_expired is None or after.oldest_expired is None:
        return False
    return before.taken_at - before.oldest_expired < after.taken_at - after.oldest_expired


@contextmanager
def _view(
    place: Place, interval: timedelta, to_json: Callable[[Activity, Place], str] | None
) -> Iterator[_View]:
    if to_json is not None:
        yield _JSONLines(place, to_json)
        return
    output = Output(MIN_WIDTH)
    output.head(place)
    if not output.is_interactive:
        yield _Lines(output)
        return
    with Live(console=output, auto_refresh=False) as live:
        yield _Screen(live, interval)


class _JSONLines:
    """Prints a line of JSON for each measurement. Failures go to standard error."""

    def __init__(self, place: Place, to_json: Callable[[Activity, Place], str]) -> None:
        self._place = place
        self._to_json = to_json
        self._output = Output()

    def show(self, activity: Activity) -> None:
        self._output.write(self._to_json(activity, self._place))

    def show_failure(self, message: str) -> None:
        click.echo(message, err=True)


class _Lines:
    """Prints a line of text for each measurement."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._history = History()

    def show(self, activity: Activity) -> None:
        self._history.add(activity)
        parts = [
            f"{line.label} {line.value}" + (f" ({line.remark})" if line.remark else "")
            for line in _facts(activity, self._history)
        ]
        self._output.say(f"{_clock(activity.taken_at)}: {', '.join(parts)}")

    def show_failure(self, message: str) -> None:
        self._output.say(f"{_clock(datetime.now(UTC))}: {message}")


class _Screen:
    """Redraws a table of the numbers on a terminal."""

    def __init__(self, live: Live, interval: timedelta) -> None:
        self._live = live
        self._interval = interval
        self._history = History()
        self._table: RenderableType = ""

    def show(self, activity: Activity) -> None:
        self._history.add(activity)
        self._table = facts(_facts(activity, self._history))
        self._draw(
            f"{_clock(activity.taken_at)}, every {self._interval.total_seconds():g} s; Ctrl-C ends",
            "dim",
        )

    def show_failure(self, message: str) -> None:
        self._draw(f"{_clock(datetime.now(UTC))}: {message}", "yellow")

    def _draw(self, footer: str, style: str) -> None:
        self._live.update(Group("", self._table, "", Text(footer, style=style)), refresh=True)


def _facts(activity: Activity, history: History) -> list[Fact]:
    lines = [
        _count("live", activity.live, history.change(lambda each: each.live)),
        _count("expired", activity.expired, history.change(lambda each: each.expired)),
    ]
    if activity.oldest_expired is not None:
        lines.append(Fact("oldest expired", f"{span(activity.oldest_expired)} ago"))
    lines.append(Fact("purge", history.purge))
    if (found := activity.connections) is not None:
        remark = f"{found.active} active, {found.waiting} waiting for a lock"
        lines.append(Fact("connections", f"{found.open} of {found.limit}", remark))
    return lines


def _count(label: str, count: Count, change: str) -> Fact:
    return Fact(label, number(count.sessions), "estimated" if count.estimated else change)


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _masked(message: str) -> str:
    mask = click.get_current_context().find_object(Mask)
    return message if mask is None else mask(message)
