"""The commands that create, change and check the table."""

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
from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import (
    CommandFailedError,
    failures_explained,
    not_up_to_date,
    require_database,
)
from sessionstore_sql.cli.interruption import run
from sessionstore_sql.cli.options import (
    duration,
    place_options,
    revision_name,
    table_options,
)
from sessionstore_sql.cli.output import Output
from sessionstore_sql.migrate.history import Owner, required_history
from sessionstore_sql.sql.dialects import DATABASES

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection

    from sessionstore_sql.cli.interruption import Interruption
    from sessionstore_sql.cli.options import Names, Place
    from sessionstore_sql.migrate.history import History

_BASE = "base"

_wait_option = click.option(
    "--wait",
    type=duration,
    default="10m",
    show_default=True,
    metavar="TIME",
    help="Maximum time to wait for another upgrade, and for each lock.",
)


@click.command(short_help="Create the table, or upgrade it.")
@place_options
@click.argument("revision", type=revision_name, default="head")
@_wait_option
def upgrade(place: Place, revision: str, wait: timedelta) -> ExitCode:
    """Create the table, or upgrade it to REVISION. Sessions are kept.

    Run it with every deployment, before the new code starts. It can be repeated. Concurrent
    upgrades wait for each other; the exit code is 75 if the wait is too long.
    """

    async def work(_: Interruption) -> ExitCode:
        async with failures_explained(place), migrate.connect(place.url) as connection:
            before = await _history_on(connection, place)
            await migrate.upgrade(connection, revision, wait=wait, **place.names)
            after = await _history_on(connection, place)
        _report_change(place, before, after)
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Revert migrations. Sessions may be lost.")
@place_options
@click.argument("revision", type=revision_name)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_wait_option
def downgrade(place: Place, revision: str, yes: bool, wait: timedelta) -> ExitCode:
    """Revert the table to REVISION. The revision `base` drops the table with all sessions.

    It asks for confirmation first. Without a terminal, it requires --yes.
    """
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError(
                "data will be lost, and there is no terminal to ask for confirmation: use --yes"
            )
        click.echo(
            f"{place}\n"
            f"Revert to {revision}: columns of later revisions will be lost. Sessions remain, but "
            "without `sessionstore_0002` it is unknown whose they are, so they cannot be revoked. "
            "With `base`, all sessions are lost and all users have to log in again.",
            err=True,
        )
        click.confirm("Continue?", abort=True, err=True)

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        async with failures_explained(place), migrate.connect(place.url) as connection:
            before = await _history_on(connection, place)
            await migrate.downgrade(connection, revision, wait=wait, **place.names)
            after = await _history_on(connection, place)
        _report_change(place, before, after)
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Print the revision of the table.")
@place_options
def current(place: Place) -> ExitCode:
    """Print the revision of the table, or `base` if there is no table."""

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        async with failures_explained(place), migrate.connect(place.url) as connection:
            history = await _history_on(connection, place)
        Output().say(_shown(history))
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Verify that the table is what this version needs.")
@place_options
def check(place: Place) -> ExitCode:
    """Verify that the table is what this version needs.

    It changes nothing. The exit code is 3 if the table is at another revision, and 4 if the table
    differs from its revision.
    """

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        async with failures_explained(place), migrate.connect(place.url) as connection:
            history = await _history_on(connection, place)
            _require_head(place, history)
            await _require_no_difference(connection, place)
        output = Output()
        output.head(place)
        output.say(f"At {_shown(history)}, as expected.")
        return ExitCode.DONE

    return run(work)


@click.command(short_help="Print a migration as SQL.")
@click.argument("database", type=click.Choice(DATABASES))
@click.argument("revision", type=revision_name, default="head")
@click.option(
    "--from",
    "start",
    type=revision_name,
    metavar="REVISION",
    help="The current revision of the table. Default: no table yet.",
)
@click.option("--downgrade", is_flag=True, help="Print the downgrade from --from to REVISION.")
@table_options
def sql(database: str, revision: str, start: str | None, downgrade: bool, names: Names) -> ExitCode:
    """Print the upgrade to REVISION as an SQL script for DATABASE.

    It needs neither a server nor a driver.
    """
    if downgrade and start is None:
        raise click.UsageError("--downgrade also needs --from, the current revision of the table")
    config = migrate.alembic_config()
    script = config.output_buffer = io.StringIO()
    # migrations/env.py takes the kind of database from a URL, as `alembic -x url=..` does.
    config.cmd_opts = Namespace(x=[f"url={database}://"])
    config.attributes.update(names)
    span = revision if start is None else f"{start}:{revision}"
    if span.count(":") > 1:  # Alembic would fail to split it
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


async def _history_on(connection: AsyncConnection, place: Place) -> History:
    async with migrate.connect(connection):  # which ends the transaction that reading begins
        return await connection.run_sync(required_history, **place.names)


def _require_head(place: Place, history: History) -> None:
    if history.owner not in {Owner.SEPARATE, Owner.NOBODY}:
        return  # what the table needs is found by comparing it
    revision = history.revision
    head = migrate.newest_revision()
    if revision == head or migrate.is_later_addition(revision):
        return
    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    if history.owner is Owner.NOBODY:
        raise not_up_to_date(f"{place} does not exist")
    finding = f"{place} is at {_shown(history)}, but this version needs {head}"
    if revision in {None, *(each.revision for each in scripts.walk_revisions())}:
        raise not_up_to_date(finding)
    raise CommandFailedError(
        f"{finding}: a newer version has upgraded it; deploy that version",
        ExitCode.NOT_UP_TO_DATE,
    )


async def _require_no_difference(connection: AsyncConnection, place: Place) -> None:
    try:
        await migrate.check(connection, **place.names)
    except migrate.MigrationError as error:
        code = ExitCode.NOT_UP_TO_DATE if error.is_outdated else ExitCode.DIFFERENT
        raise CommandFailedError(str(error), code) from error


def _report_change(place: Place, before: History, after: History) -> None:
    output = Output()
    output.head(place)
    if before == after:
        output.say(f"At {_shown(after)}: nothing to do.")
    else:
        output.say(f"From {_shown(before)} to {_shown(after)}.")


def _shown(history: History) -> str:
    revision = _BASE if history.revision is None else history.revision
    match history.owner:
        case Owner.BRANCH:
            return f"{revision} (in the application's own Alembic history)"
        case Owner.APPLICATION:
            return "the application's own revision"
        case Owner.UNRECORDED:
            return "no recorded revision"
        case _:
            return revision
