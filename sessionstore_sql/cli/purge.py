"""The command that deletes expired sessions: a progress bar on a terminal, lines in a log."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import (
    failures_explained,
    is_failure,
    require_database,
)
from sessionstore_sql.cli.interruption import Interruption, run
from sessionstore_sql.cli.options import Place, duration, place_options
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.progress import Batches, Words
from sessionstore_sql.cli.wording import number, sessions
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.purging import BATCH_SIZE, PAUSE, PurgeEnd, delete_expired_in_batches
from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORDS = Words(doing="Purging", done="Deleted")

_ENDS = {
    None: "Then the purge failed.",
    PurgeEnd.NOTHING_LEFT: "No expired sessions are left.",
    PurgeEnd.OUT_OF_TIME: "The time limit was reached; expired sessions may be left.",
    PurgeEnd.STOPPED: "Expired sessions may be left.",
    PurgeEnd.ELSEWHERE: "Another purge is running and continues.",
}


@click.command(short_help="Delete expired sessions.")
@place_options
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=BATCH_SIZE,
    show_default=True,
    help="Maximum number of sessions that one transaction deletes.",
)
@click.option(
    "--pause",
    type=duration,
    metavar="DURATION",
    default=f"{PAUSE // timedelta(milliseconds=1)}ms",
    show_default=True,
    help="The pause between batches, at least as long as the batch took. 0: no pause.",
)
@click.option(
    "--max-time",
    type=duration,
    metavar="DURATION",
    help="Start no batch after this time, and leave the rest to the next purge.",
)
@click.option("--dry-run", is_flag=True, help="Only count the expired sessions.")
def purge(
    place: Place, batch_size: int, pause: timedelta, max_time: timedelta | None, dry_run: bool
) -> ExitCode:
    """Delete expired sessions in batches, oldest first.

    Each batch is a transaction of its own and finds its rows through an index, so the purge can run
    beside the application. It can be interrupted at any time, and the next purge continues. After
    the first SIGINT or SIGTERM it finishes the running batch, after the second it exits at once. If
    another purge is running on any machine, it leaves the rest to that purge.
    """

    async def work(interruption: Interruption) -> ExitCode:
        require_database(place)
        async with (
            failures_explained(place),
            SQLSessionStore(place.url, **place.names) as store,
        ):
            if dry_run:
                due = await store.count_expired()
                output = Output()
                output.head(place)
                output.say(f"{sessions(due, 'expired')} would be deleted.")
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
    """Return the number of expired sessions, or ``None`` if counting takes too long."""
    try:
        return await store.count_expired()
    except DatabaseError as error:
        if not is_failure(error, place, Failure.TIMED_OUT):
            raise
        return None


class _Purge:
    """Shows the progress and the result of a purge."""

    def __init__(
        self, place: Place, due: int | None, batch_size: int, interruption: Interruption
    ) -> None:
        self.end: PurgeEnd | None = None
        self._place = place
        self._due = due
        self._batch_size = batch_size
        self._output = Output()
        self._batches = Batches(self._output, interruption, _WORDS, due)

    @contextmanager
    def progress(self) -> Iterator[Callable[[int], None]]:
        """Show the progress within the context, and the result at its end."""
        self._output.head(self._place)
        if not self._output.is_interactive:
            due = "Too many to count" if self._due is None else sessions(self._due, "expired")
            self._output.say(f"{due}; deleting {number(self._batch_size)} at a time.")
        try:
            with self._batches.shown() as advance:
                yield advance
        finally:
            self._output.say(self._summary())

    def _summary(self) -> str:
        count = self._batches.batches
        batches = "1 batch" if count == 1 else f"{number(count)} batches"
        done = f"Deleted {sessions(self._batches.done)} in {self._batches.elapsed} ({batches})."
        return f"{done} {_ENDS[self.end]}"
