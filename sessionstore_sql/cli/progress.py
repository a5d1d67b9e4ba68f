"""Shows the progress of a command that works in batches: a bar on a terminal, lines in a log."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sessionstore_sql.cli.wording import number, share, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sessionstore_sql.cli.interruption import Interruption
    from sessionstore_sql.cli.output import Output

_LINE_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Words:
    """The words for what a command does to sessions."""

    doing: str
    """As in ``Purging``, before the bar."""
    done: str
    """As in ``Deleted``, before a number."""


class Batches:
    """Counts what the batches of a command did, and shows it.

    Args:
        output: Where it is shown.
        interruption: Shown as soon as a signal was received, as the running batch may take a while.
        words: What the command does.
        due: How many sessions there are to do; ``None`` if that is unknown.
    """

    def __init__(
        self, output: Output, interruption: Interruption, words: Words, due: int | None
    ) -> None:
        self.done = self.batches = 0
        self._output = output
        self._interruption = interruption
        self._words = words
        self._due = due
        self._began = monotonic()

    @contextmanager
    def shown(self) -> Iterator[Callable[[int], None]]:
        """Show the progress within the context, whose value is called after each batch."""
        with self._bar() if self._output.is_interactive else self._lines() as show:

            def advance(count: int) -> None:
                self.done += count
                self.batches += 1
                show()

            yield advance

    @property
    def elapsed(self) -> str:
        """The time since the beginning."""
        return span(timedelta(seconds=monotonic() - self._began))

    @contextmanager
    def _bar(self) -> Iterator[Callable[[], None]]:
        columns = (
            _State(self._interruption, self._words.doing),
            BarColumn(bar_width=None),
            TaskProgressColumn(show_speed=False),
            _Sessions(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self._output, transient=True, expand=True) as progress:
            task = progress.add_task("", total=self._due)
            yield lambda: progress.update(task, completed=self.done)

    @contextmanager
    def _lines(self) -> Iterator[Callable[[], None]]:
        last = self._began

        def show() -> None:
            nonlocal last
            if monotonic() - last >= _LINE_EVERY_S:
                last = monotonic()
                part = "" if self._due is None else f" ({share(self.done, self._due)})"
                done = f"{self._words.done} {number(self.done)}{part}"
                self._output.say(f"{done} after {self.elapsed}.")

        yield show


class _State(ProgressColumn):
    """Shows at once that a signal was received."""

    def __init__(self, interruption: Interruption, doing: str) -> None:
        super().__init__()
        self._interruption = interruption
        self._doing = doing

    def render(self, task: Task) -> Text:  # noqa: ARG002  # rich's signature
        """Return one word."""
        if self._interruption.requested.is_set():
            return Text("Ending", style="yellow")
        return Text(self._doing)


class _Sessions(ProgressColumn):
    """Shows the number of sessions that are done, their total, and the speed."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return the numbers."""
        text = number(task.completed)
        if task.total is not None:
            text += f" of {number(task.total)}"
        if task.speed is not None:
            text += f", {number(task.speed)}/s"
        return Text(text)
