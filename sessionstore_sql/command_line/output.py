"""The standard output: for eyes on a terminal, for ``grep`` in a log."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from sessionstore_sql.command_line.options import Place


class OutputClosedError(Exception):
    """Nobody reads the standard output any more."""


class OutputFailedError(Exception):
    """The standard output takes no more; its disk is full, perhaps."""


class Output(Console):
    """A console that tells its own failures from those of a database.

    Everything a command has to say goes through it; errors go to the standard error.
    """

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A table can have a name that the terminal's encoding hasn't.
            sys.stdout.reconfigure(errors="backslashreplace")
        super().__init__(highlight=False, emoji=False, markup=False)

    def say(self, text: str, style: str = "") -> None:
        """Print one line as it is: neither wrapped nor cut, whatever the width."""
        self.out(text, style=style or None)

    def head(self, place: Place) -> None:
        """Print which sessions it is about, on a line of its own: both names can be long."""
        self.say(str(place), style="bold")

    def write(self, text: str) -> None:
        """Write a text for a program to read, to the last byte."""
        try:
            self.file.write(text)
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()
        except OSError as error:
            raise self._failed(error) from error

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, with errors of its own.

        Raises:
            OutputClosedError, OutputFailedError: It can't be done.
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
        """Drop what is still to be written, lest it fail once more when the interpreter exits."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
