"""The command that lists the sessions of one user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import orjson
from rich.table import Table

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import failures_explained, require_database
from sessionstore_sql.cli.interruption import run
from sessionstore_sql.cli.keys import Keys, keys_option
from sessionstore_sql.cli.options import Place, place_options
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.subjects import opened, subject_option
from sessionstore_sql.cli.wording import sessions as counted

if TYPE_CHECKING:
    from datetime import datetime

    from sessionstore_sql.accounts.sessions import SessionInfo
    from sessionstore_sql.cli.interruption import Interruption

_MIN_WIDTH = 130
"""A narrower terminal wraps the lines, so that no handle is cut off."""


@click.command(short_help="List the sessions of a user.")
@place_options
@subject_option(required=True)
@keys_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Maximum number of sessions.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each session.")
def sessions(place: Place, subject: str, keys: Keys | None, limit: int, as_json: bool) -> ExitCode:
    """List the live sessions of a user, the one seen last first.

    It prints neither ids nor states. The handle names a session in `revoke`. Times are in UTC.

    Example: echo USER_ID | sessionstore-sql sessions --subject -
    """

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        async with failures_explained(place), opened(place, keys) as store:
            found = await store.sessions_of(subject, limit=limit)
        if as_json:
            Output().write("".join(map(_line, found)))
            return ExitCode.DONE
        output = Output(_MIN_WIDTH)
        output.head(place)
        output.say(f"{counted(len(found), 'live')}.")
        if found:
            output.print(_table(found))
        return ExitCode.DONE

    return run(work)


def _table(found: list[SessionInfo]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("handle", "signed in", "last seen", "expires", "ends"):
        table.add_column(title, no_wrap=True)
    table.add_column("about", overflow="fold")
    for each in found:
        about = _printable(orjson.dumps(each.about).decode()) if each.about else ""
        times = (each.created, each.seen, each.expires, each.ends)
        table.add_row(each.handle.value, *map(_shown, times), about)
    return table


def _printable(text: str) -> str:
    """Return JSON without characters that a terminal would obey, such as those of colours.

    What is said of a session may come from the user's browser. JSON escapes only some of them.
    """
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _shown(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def _line(each: SessionInfo) -> str:
    """Return the keys that docs/reference/command-line.md documents."""
    return (
        orjson.dumps(
            {
                "handle": each.handle.value,
                "created": each.created,
                "seen": each.seen,
                "authenticated": each.authenticated,
                "expires": each.expires,
                "ends": each.ends,
                "about": each.about,
            }
        ).decode()
        + "\n"
    )
