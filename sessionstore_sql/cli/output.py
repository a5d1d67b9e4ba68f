"""Standard output: formatted for a terminal, or plain lines for a log."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from sessionstore_sql.cli.options import Place


class OutputClosedError(Exception):
    """The reader of standard output has closed it."""


class OutputFailedError(Exception):
    """Standard output cannot be written, for example because the disk is full."""


class Output(Console):
    """Standard output, whose errors differ from those of a database.

    Every result goes through it. Errors go to standard error.

    Args:
        min_width: On a narrower terminal, lines are as long as this and the terminal wraps them.
    """

    def __init__(self, min_width: int = 0) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # The encoding of the terminal may lack characters that are in the name of a table.
            sys.stdout.reconfigure(errors="backslashreplace")
        super().__init__(highlight=False, emoji=False, markup=False)
        if self.width < min_width:  # noqa: PLR1730  # a width that is set ignores resizing
            self.width = min_width

    def say(self, text: str, style: str = "") -> None:
        """Print one line unchanged: it is neither wrapped nor cut to the width of the terminal."""
        self.out(text, style=style or None)

    def head(self, place: Place) -> None:
        """Print the table and the database that the command works on."""
        self.say(str(place), style="bold")

    def write(self, text: str) -> None:
        """Write a text that is read by a program, without any change."""
        try:
            self.file.write(text)
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()
        except OSError as error:
            raise self._failed(error) from error

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, but raise different errors.

        Raises:
            OutputClosedError: The reader has closed standard output.
            OutputFailedError: Standard output cannot be written.
        """
        try:
            super().print(*objects, **options)
        except OSError as error:
            raise self._failed(error) from error

    def on_broken_pipe(self) -> None:
        """Raise ``OutputClosedError``."""
        self._give_up()
        raise OutputClosedError

    def _failed(self, error: OSError) -> OutputFailedError:
        self._give_up()
        return OutputFailedError(f"cannot write the output: {error.strerror}")

    def _give_up(self) -> None:
        """Discard buffered output, so that it does not fail again when the interpreter exits."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
