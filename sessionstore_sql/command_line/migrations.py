"""The commands that make the table, change it, and see that it is what it should be."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

import click
from alembic import command as alembic
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from sessionstore_sql import migrate
from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.command_line.explaining import (
    CommandFailedError,
    failures_explained,
    not_up_to_date,
    require_database,
)
from sessionstore_sql.command_line.interruption import run
from sessionstore_sql.command_line.options import place_options, revision_name, table_options
from sessionstore_sql.command_line.output import Output
from sessionstore_sql.dialects import DATABASES

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sessionstore_sql.command_line.interruption import Interruption
    from sessionstore_sql.command_line.options import Names, Place

_BASE = "base"


@click.command(short_help="Make the table, or bring it up to date.")
@place_options
@click.argument("revision", type=revision_name, default="head")
def upgrade(place: Place, revision: str) -> ExitCode:
    """Make the table, or bring it up to REVISION.

    Run it when you deploy, before the new code starts; run it as often as you like. Upgrades that
    start together queue up. The sessions are kept.
    """

    async def work(_: Interruption) -> ExitCode:
        with failures_explained(place):
            async with migrate.connect(place.url) as connection:
                before = await migrate.current(connection, **place.names)
                await migrate.upgrade(connection, revision, **place.names)
                after = await migrate.current(connection, **place.names)
        _tell_change(place, before, after)
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Take the table back, and lose sessions.")
@place_options
@click.argument("revision", type=revision_name)
@click.option("--yes", is_flag=True, help="Don't ask.")
def downgrade(place: Place, revision: str, yes: bool) -> ExitCode:
    """Take the table back to REVISION: `base` drops it, and every session with it.

    It asks before it does. Where nobody can be asked, it does nothing unless told --yes.
    """
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError(
                "sessions will be lost, and nobody is here to be asked: say --yes to go on"
            )
        click.echo(
            f"{place}\n"
            f"Back to {revision}: sessions will be lost. With `base` all of them, and everybody "
            "has to log in again.",
            err=True,
        )
        click.confirm("Go on?", abort=True, err=True)

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        with failures_explained(place):
            async with migrate.connect(place.url) as connection:
                before = await migrate.current(connection, **place.names)
                await migrate.downgrade(connection, revision, **place.names)
                after = await migrate.current(connection, **place.names)
        _tell_change(place, before, after)
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Print the revision of the table.")
@place_options
def current(place: Place) -> ExitCode:
    """Print the revision that the table is at, `base` where there is none."""

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        with failures_explained(place):
            async with migrate.connect(place.url) as connection:
                revision = await migrate.current(connection, **place.names)
        Output().say(_shown(revision))
        return ExitCode.DONE

    return run(work)


@click.command(short_help="See whether the table is what it should be.")
@place_options
def check(place: Place) -> ExitCode:
    """See whether the table is the one that this version works with.

    It changes nothing. The exit code is 3 where an upgrade is due, 4 where the table differs from
    what its revision makes.
    """

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        with failures_explained(place):
            async with migrate.connect(place.url) as connection:
                revision = await migrate.current(connection, **place.names)
                _require_head(place, revision)
                await _require_no_difference(connection, place)
        output = Output()
        output.head(place)
        output.say(f"At {_shown(revision)}, as it should be.")
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Print a migration as SQL, for a database that is elsewhere.")
@click.argument("database", type=click.Choice(DATABASES))
@click.argument("revision", type=revision_name, default="head")
@click.option(
    "--from",
    "start",
    type=revision_name,
    metavar="REVISION",
    help="Where the table is now; by default, nowhere yet.",
)
@click.option("--downgrade", is_flag=True, help="Go back to REVISION instead, from --from.")
@table_options
def sql(database: str, revision: str, start: str | None, downgrade: bool, names: Names) -> ExitCode:
    """Print what an upgrade to REVISION would do, as a script for DATABASE.

    For someone else to read and run. Needs neither a server nor a driver.
    """
    if downgrade and start is None:
        raise click.UsageError("--downgrade needs to know where the table is: say --from")
    config = migrate.alembic_config()
    script = config.output_buffer = io.StringIO()
    # The environment takes the kind of database from a URL, as `alembic -x url=..` gives it.
    config.cmd_opts = Namespace(x=[f"url={database}://"])
    config.attributes.update(names)
    span = revision if start is None else f"{start}:{revision}"
    if span.count(":") > 1:  # Alembic would fail to take it apart
        raise click.UsageError(f"there is no revision {revision!r}")
    try:
        with migrate.assertions_as_refusals(span):
            if downgrade:
                alembic.downgrade(config, span, sql=True)
            else:
                alembic.upgrade(config, span, sql=True)
    except CommandError as error:
        raise click.UsageError(str(error)) from error
    Output().write(script.getvalue())
    return ExitCode.DONE


def _require_head(place: Place, revision: str | None) -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    head = scripts.get_current_head()
    if revision == head:
        return
    finding = f"{place} is at {_shown(revision)}, and this version works with {head}"
    if revision in {None, *(each.revision for each in scripts.walk_revisions())}:
        raise not_up_to_date(finding)
    raise CommandFailedError(
        f"{finding}: a newer version has upgraded it, and is the one to deploy",
        ExitCode.NOT_UP_TO_DATE,
    )


async def _require_no_difference(connection: AsyncConnection, place: Place) -> None:
    try:
        await migrate.check(connection, **place.names)
    except migrate.MigrationError as error:
        raise CommandFailedError(str(error), ExitCode.DIFFERENT) from error


def _tell_change(place: Place, before: str | None, after: str | None) -> None:
    output = Output()
    output.head(place)
    if before == after:
        output.say(f"At {_shown(after)}: nothing to do.")
    else:
        output.say(f"From {_shown(before)} to {_shown(after)}.")


def _shown(revision: str | None) -> str:
    return _BASE if revision is None else revision
