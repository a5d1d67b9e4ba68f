"""The command that removes expired sessions: a bar on a terminal, a few lines in a log."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import click
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.command_line.explaining import (
    failures_explained,
    is_failure,
    require_database,
)
from sessionstore_sql.command_line.interruption import Interruption, run
from sessionstore_sql.command_line.options import Place, duration, place_options
from sessionstore_sql.command_line.output import Output
from sessionstore_sql.command_line.wording import number, sessions, share, span
from sessionstore_sql.dialects import Failure
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.purging import BATCH_SIZE, PAUSE, PurgeEnd, delete_expired_in_batches
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINE_EVERY_S = 10.0

_ENDS = {
    None: "Then it failed.",
    PurgeEnd.NOTHING_LEFT: "Nothing expired is left.",
    PurgeEnd.OUT_OF_TIME: "Time is up; more may be left.",
    PurgeEnd.STOPPED: "More may be left.",
    PurgeEnd.ELSEWHERE: "Another purge is at work, and goes on.",
}


@click.command(short_help="Remove the expired sessions.")
@place_options
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=BATCH_SIZE,
    show_default=True,
    help="How many sessions one transaction removes at the most.",
)
@click.option(
    "--pause",
    type=duration,
    metavar="DURATION",
    default=f"{PAUSE // timedelta(milliseconds=1)}ms",
    show_default=True,
    help="How long to leave the database alone between batches, and never less than a batch took. "
    "0: not at all.",
)
@click.option(
    "--max-time",
    type=duration,
    metavar="DURATION",
    help="Begin no batch after so much time; what is left is for the next purge.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
def purge(
    place: Place, batch_size: int, pause: timedelta, max_time: timedelta | None, dry_run: bool
) -> ExitCode:
    """Remove the expired sessions, oldest first, in batches.

    Each batch is committed by itself, and finds its sessions by an index, so it may run beside the
    application and be interrupted at any time: the next one goes on with what is left. SIGINT and
    SIGTERM end it after the batch under way, a second one at once. Where another purge is at work,
    on whatever machine, it leaves the rest to that one.
    """

    async def work(interruption: Interruption) -> ExitCode:
        require_database(place)
        with failures_explained(place):
            async with SQLSessionStore(place.url, **place.names) as store:
                if dry_run:
                    due = await store.count_expired()
                    output = Output()
                    output.head(place)
                    output.say(f"{sessions(due, 'expired')} would be removed.")
                    return ExitCode.DONE
                due_or_unknown = await _due(store, place)
                shown = _Purge(place, due_or_unknown, batch_size, interruption)
                with shown.progress() as advance:
                    report = await delete_expired_in_batches(
                        store,
                        batch_size=batch_size,
                        pause=pause,
                        max_time=max_time,
                        stop=interruption.requested,
                        exclusively=True,
                        on_batch=advance,
                    )
                    shown.end = report.end
        return interruption.announce() if report.end is PurgeEnd.STOPPED else ExitCode.DONE

    return run(work, orderly=True)


async def _due(store: SQLSessionStore, place: Place) -> int | None:
    """Return how many sessions are expired; ``None`` where counting takes longer than it may."""
    try:
        return await store.count_expired()
    except DatabaseError as error:
        if not is_failure(error, place, Failure.TIMED_OUT):
            raise
        return None


class _Purge:
    """What there is to show of a purge."""

    def __init__(
        self, place: Place, due: int | None, batch_size: int, interruption: Interruption
    ) -> None:
        self.end: PurgeEnd | None = None
        self._place = place
        self._due = due
        self._batch_size = batch_size
        self._interruption = interruption
        self._output = Output()
        self._removed = self._batches = 0
        self._began = monotonic()

    @contextmanager
    def progress(self) -> Iterator[Callable[[int], None]]:
        """Show how the purge gets on while the context lasts, and then what it did."""
        self._output.head(self._place)
        try:
            with self._bar() if self._output.is_interactive else self._lines() as show:

                def advance(count: int) -> None:
                    self._removed += count
                    self._batches += 1
                    show()

                yield advance
        finally:
            self._output.say(self._summary())

    @contextmanager
    def _bar(self) -> Iterator[Callable[[], None]]:
        columns = (
            _Doing(self._interruption),
            BarColumn(bar_width=None),
            TaskProgressColumn(show_speed=False),
            _Sessions(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self._output, transient=True, expand=True) as progress:
            task = progress.add_task("", total=self._due)
            yield lambda: progress.update(task, completed=self._removed)

    @contextmanager
    def _lines(self) -> Iterator[Callable[[], None]]:
        due = "Too many to count" if self._due is None else sessions(self._due, "expired")
        self._output.say(f"{due}, to be removed {number(self._batch_size)} at a time.")
        last = self._began

        def show() -> None:
            nonlocal last
            if monotonic() - last >= _LINE_EVERY_S:
                last = monotonic()
                part = "" if self._due is None else f" ({share(self._removed, self._due)})"
                self._output.say(f"Removed {number(self._removed)}{part} after {self._elapsed}.")

        yield show

    @property
    def _elapsed(self) -> str:
        return span(timedelta(seconds=monotonic() - self._began))

    def _summary(self) -> str:
        batches = "1 batch" if self._batches == 1 else f"{number(self._batches)} batches"
        return (
            f"Removed {sessions(self._removed)} in {self._elapsed} ({batches}). {_ENDS[self.end]}"
        )


class _Doing(ProgressColumn):
    """Says at once that a signal was heard, although a batch may take a while to end."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self._interruption = interruption

    def render(self, task: Task) -> Text:  # noqa: ARG002  # rich calls it so
        """Return one word."""
        if self._interruption.requested.is_set():
            return Text("Ending", style="yellow")
        return Text("Purging")


class _Sessions(ProgressColumn):
    """How many sessions are gone, of how many, and how fast."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return numbers."""
        text = number(task.completed)
        if task.total is not None:
            text += f" of {number(task.total)}"
        if task.speed is not None:
            text += f", {number(task.speed)}/s"
        return Text(text)
