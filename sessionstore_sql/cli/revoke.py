"""The command that ends sessions: those of one user, old ones, or all."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from sessionstore_sql.accounts.sessions import SessionHandle
from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import failures_explained, require_database
from sessionstore_sql.cli.interruption import Interruption, run
from sessionstore_sql.cli.keys import Keys, keys_option
from sessionstore_sql.cli.options import Place, duration, place_options
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.progress import Batches, Words
from sessionstore_sql.cli.subjects import audit, opened, subject_option
from sessionstore_sql.cli.wording import sessions, span
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.engines import create_engine
from sessionstore_sql.sql.execution import PooledExecutor
from sessionstore_sql.sql.walk import BEFORE_ALL, Walk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_WORDS = Words(doing="Ending sessions", done="Ended")
_MICROSECOND = timedelta(microseconds=1)
_MANY = 1_000_000
_LOCKED_PAUSE_S = 0.2


def _handle(value: str) -> SessionHandle:
    try:
        return SessionHandle(value)
    except ValueError as error:
        message = str(error)
    raise click.BadParameter(message)


@click.command(short_help="End sessions: of a user, old ones, or all.")
@place_options
@subject_option(required=False)
@click.option(
    "--only", type=_handle, metavar="HANDLE", help="With --subject: end only this session."
)
@click.option(
    "--keep", type=_handle, metavar="HANDLE", help="With --subject: end all but this session."
)
@click.option("--everybody", is_flag=True, help="End all sessions, anonymous ones included.")
@click.option(
    "--older-than",
    type=duration,
    metavar="DURATION",
    help="End sessions that began longer ago, such as 30d. Sessions from before revision "
    "sessionstore_0002 have no recorded beginning and are ended too.",
)
@keys_option
@click.option("--dry-run", is_flag=True, help="Only count the sessions.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def revoke(  # noqa: PLR0913  # options, each by name
    place: Place,
    *,
    subject: str | None,
    only: SessionHandle | None,
    keep: SessionHandle | None,
    everybody: bool,
    older_than: timedelta | None,
    keys: Keys | None,
    dry_run: bool,
    yes: bool,
) -> ExitCode:
    """End sessions on the server. Their users have to log in again.

    Select the sessions with --subject, --everybody or --older-than. --subject ends every session
    that the user had before the command started, also one whose id is rotated meanwhile. The
    other two ask for confirmation first, and work in batches beside the application. You can
    interrupt them at any time, and run the same command to continue. The last line of the output
    is meant for an audit log.

    Example: echo USER_ID | sessionstore-sql revoke --subject -
    """
    if [subject is not None, everybody, older_than is not None].count(True) != 1:
        raise click.UsageError("use one of --subject -, --everybody and --older-than")
    if subject is None and (only or keep):
        raise click.UsageError("--only and --keep need --subject -")
    if only and keep:
        raise click.UsageError("--only and --keep exclude each other")
    if subject is not None:
        return run(
            lambda _: _revoke_of(place, subject, only=only, keep=keep, keys=keys, dry_run=dry_run)
        )
    age = timedelta(0) if older_than is None else older_than
    if not dry_run and not yes:
        _confirm(place, older_than)
    return run(
        lambda interruption: _revoke_older(place, age, interruption, dry_run=dry_run), orderly=True
    )


def _confirm(place: Place, older_than: timedelta | None) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(
            "users will be logged out, and there is no terminal to ask for confirmation: use --yes"
        )
    which = "All users" if older_than is None else f"Users who began over {span(older_than)} ago"
    click.echo(f"{place}\n{which} will be logged out.", err=True)
    click.confirm("Continue?", abort=True, err=True)


async def _revoke_of(  # noqa: PLR0913  # the options of the command
    place: Place,
    subject: str,
    *,
    only: SessionHandle | None,
    keep: SessionHandle | None,
    keys: Keys | None,
    dry_run: bool,
) -> ExitCode:
    require_database(place)
    output = Output()
    async with failures_explained(place), opened(place, keys) as store:
        if dry_run:
            found = await store.sessions_of(subject, limit=_MANY)
            handles = {each.handle for each in found}
            count = len(handles & {only} if only else handles - {keep})
            output.head(place)
            output.say(f"{sessions(count)} would be ended.")
            return ExitCode.DONE
        count = await store.revoke(subject, only=only, keep=keep)
    output.say(audit(place, f"ended {sessions(count)} of one user"))
    return ExitCode.DONE


async def _revoke_older(
    place: Place, age: timedelta, interruption: Interruption, *, dry_run: bool
) -> ExitCode:
    require_database(place)
    output = Output()
    async with failures_explained(place), walking(place) as walk:
        # Longer ago than 1970 is a number that SQLite may not have.
        created_until = max(0, await walk.now() - age // _MICROSECOND)
        due = await walk.count(created_until)
        output.head(place)
        if dry_run:
            output.say(f"{sessions(due)} would be ended.")
            return ExitCode.DONE
        batches = Batches(output, interruption, _WORDS, due)
        which = "of all users" if not age else f"that began over {span(age)} ago"
        try:
            await _end_all(walk, created_until, batches, interruption)
        finally:
            output.say(audit(place, f"ended {sessions(batches.done)} {which}"))
    if interruption.requested.is_set():
        return interruption.announce()
    return ExitCode.DONE


async def _end_all(
    walk: Walk, created_until: int, batches: Batches, interruption: Interruption
) -> None:
    """End sessions until none is left, or until the command is interrupted."""
    with batches.shown() as advance:
        while True:
            ended_before, after = batches.done, BEFORE_ALL
            while found := await walk.keys(after, created_until):
                advance(await walk.delete(found))
                after = found[-1]
                if interruption.requested.is_set():
                    return
            # A session that was rotated may have moved behind the walk.
            if not await walk.count(created_until) or interruption.requested.is_set():
                return
            if batches.done == ended_before:  # the rest is locked
                await asyncio.sleep(_LOCKED_PAUSE_S)


@asynccontextmanager
async def walking(place: Place) -> AsyncIterator[Walk]:
    """Yield a walk through the table."""
    engine = create_engine(place.url, {"pool_size": 1})
    table = session_table(**place.names)
    executor = PooledExecutor(engine, place.dialect, table.fullname, owns_engine=True)
    try:
        yield Walk(executor, table, place.dialect)
    finally:
        await engine.dispose()
