"""The command as a whole: its subcommands, and how their errors are reported."""

from __future__ import annotations

import io
import os
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import CommandFailedError
from sessionstore_sql.cli.listing import sessions
from sessionstore_sql.cli.masking import Mask, masked_logging
from sessionstore_sql.cli.migrations import check, current, downgrade, sql, upgrade
from sessionstore_sql.cli.options import URL_VARIABLE, common_options
from sessionstore_sql.cli.output import OutputClosedError, OutputFailedError
from sessionstore_sql.cli.purge import purge
from sessionstore_sql.cli.reencrypt import reencrypt
from sessionstore_sql.cli.revoke import revoke
from sessionstore_sql.cli.stats import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """
\b
Exit codes:
    0  success
    1  failed, and would fail again: needs manual action
    2  wrong usage: no connection was made
    3  the table is missing or not up to date: run upgrade
    4  check: the table differs from its revision
   75  the database is unreachable or busy: try again later
  130, 143  interrupted by SIGINT, SIGTERM
  141  the reader of the output has closed it

The options for the database and the table can be written before or after the command. Without
--url and --url-file, the URL is taken from SESSIONSTORE_URL.
"""


class _InOrder(click.Group):
    """Lists the subcommands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of the subcommands."""
        return list(self.commands)


@click.group(
    cls=_InOrder,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
@common_options
@click.version_option(version("sessionstore-sql"), prog_name="sessionstore-sql")
def application(**_options: object) -> None:
    """Create, purge and inspect the table of sessions in a database."""


for _command in (
    upgrade,
    downgrade,
    current,
    check,
    sql,
    purge,
    stats,
    sessions,
    revoke,
    reencrypt,
):
    application.add_command(_command)


def run(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit code. Errors are printed on standard error."""
    mask = Mask([*arguments, os.environ.get(URL_VARIABLE, "")])
    with masked_logging(mask):
        try:
            code: int = application.main(list(arguments), standalone_mode=False, obj=mask)
        except (OutputClosedError, BrokenPipeError):
            return ExitCode.OUTPUT_CLOSED
        except click.Abort:
            click.echo("Nothing was changed.", err=True)
            return ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001  # every error is reported here
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
    # A bug in the program: the traceback is needed to fix it.
    return "".join(traceback.format_exception(error)), ExitCode.FAILED
