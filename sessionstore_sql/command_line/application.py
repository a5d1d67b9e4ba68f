"""The command as a whole: its sub-commands, and what becomes of their errors."""

from __future__ import annotations

import io
import os
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.command_line.explaining import CommandFailedError
from sessionstore_sql.command_line.masking import Mask, masked_logging
from sessionstore_sql.command_line.migrations import check, current, downgrade, sql, upgrade
from sessionstore_sql.command_line.options import URL_VARIABLE
from sessionstore_sql.command_line.output import OutputClosedError, OutputFailedError
from sessionstore_sql.command_line.purge import purge
from sessionstore_sql.command_line.stats import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """
\b
Exit codes:
    0  done
    1  failed: a person has to look
    2  wrong usage: nothing was connected to
    3  the table is missing or not up to date: run upgrade
    4  check: the table differs from what it should be
   75  the database is away or busy: try again later
  130, 143  interrupted by SIGINT, SIGTERM
  141  nobody reads the output

The database is given by --url or in SESSIONSTORE_URL.
"""


class _InOrder(click.Group):
    """Lists the commands as they are added, which is how they are first needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click calls it so
        """Return their names."""
        return list(self.commands)


@click.group(
    cls=_InOrder,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
@click.version_option(version("sessionstore-sql"), prog_name="sessionstore-sql")
def application() -> None:
    """Look after the sessions in a database."""


for _command in (upgrade, downgrade, current, check, sql, purge, stats):
    application.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit code. What went wrong is on the standard error."""
    mask = Mask([*arguments, os.environ.get(URL_VARIABLE, "")])
    with masked_logging(mask):
        try:
            code: int = application.main(list(arguments), standalone_mode=False)
        except (OutputClosedError, BrokenPipeError):
            return ExitCode.OUTPUT_CLOSED
        except click.Abort:
            click.echo("Nothing was done.", err=True)
            return ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001  # the command's last word on any of them
            message, code = _explained(error)
            click.echo(mask(message).rstrip(), err=True)
        return code


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        return shown.getvalue(), error.exit_code
    if isinstance(error, CommandFailedError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, OutputFailedError):
        return f"Error: {error}", ExitCode.FAILED
    # A fault in the program: who mends it needs to know where.
    return "".join(traceback.format_exception(error)), ExitCode.FAILED
