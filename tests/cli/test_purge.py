"""The command that removes expired sessions, and what it says about it."""

from __future__ import annotations

import itertools
import re
import sqlite3
from datetime import timedelta

import pytest
from rich.progress import Task, TaskID
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import DatabaseError, SQLSessionStore
from sessionstore_sql.command_line import purge
from sessionstore_sql.schema import session_table
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.statistics.rows import insert_sessions

HOUR = timedelta(hours=1)


def fill(command: Command, *, live: int = 0, expired: int = 0) -> None:
    """Insert so many sessions."""
    remaining = [HOUR] * live + [-HOUR] * expired
    table = session_table(command.table)
    command.on_database(lambda engine: insert_sessions(engine, remaining, table=table))


def left(command: Command) -> int:
    """Return how many rows there are."""

    async def count(engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            statement = select(func.count()).select_from(session_table(command.table))
            return (await connection.execute(statement)).scalar_one()

    counted = command.on_database(count)
    assert isinstance(counted, int)
    return counted


def test_what_is_expired_goes(made: Command) -> None:
    """In batches, and nothing else does; a log gets three lines."""
    fill(made, live=3, expired=25)

    ended = made("purge", "--batch-size", "10", "--pause", "0")

    assert (ended.code, ended.err) == (0, "")
    head, due, done = ended.out.splitlines()
    assert head.startswith(f"{made.table} on ")
    assert due == "25 expired sessions, to be removed 10 at a time."
    assert re.fullmatch(
        r"Removed 25 sessions in [\d.]+ s \(3 batches\)\. Nothing expired is left\.", done
    )
    assert left(made) == 3


def test_a_dry_run_only_counts(made: Command) -> None:
    """It says how many would go, and all of them stay."""
    fill(made, live=2, expired=4)

    ended = made("purge", "--dry-run")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1:] == ["4 expired sessions would be removed."]
    assert left(made) == 6


def test_a_purge_goes_on_with_what_is_left(made: Command) -> None:
    """When the time is up, it ends after a batch and says so; it did what it was told: 0."""
    fill(made, live=1, expired=5)

    ended = made("purge", "--batch-size", "2", "--max-time", "0")
    kept = left(made)
    again = made("purge")

    assert (ended.code, kept) == (0, 4)
    assert ended.out.endswith("(1 batch). Time is up; more may be left.\n")
    assert (again.code, left(made)) == (0, 1)
    assert "Removed 3 sessions" in again.out


def test_one_purge_at_a_time_is_enough(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred machines with the same crontab one purges, and the others are done as well."""
    local("upgrade")

    async def find_another(_store: SQLSessionStore, _batch_size: int) -> None:
        return None

    monkeypatch.setattr(SQLSessionStore, "delete_expired_exclusively", find_another)

    ended = local("purge")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("(0 batches). Another purge is at work, and goes on.\n")


def test_nothing_to_do_is_done(made: Command) -> None:
    """An empty table is no error."""
    ended = made("purge")

    assert ended.code == 0
    assert "Removed 0 sessions" in ended.out


def test_a_missing_table_is_not_up_to_date(made: Command) -> None:
    """The exit code says that an upgrade is due, and nothing is said to be removed."""
    for more in ([], ["--dry-run"]):
        ended = made.run("purge", "--url", made.place[1], "--table", "nowhere", *more)

        assert (ended.code, ended.out) == (3, "")
        assert "nowhere is missing or outdated" in ended.err
        assert "sessionstore-sql upgrade" in ended.err


def test_a_long_purge_is_heard_of(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every 10 seconds says how far it got, and how fast."""
    assert purge._LINE_EVERY_S == 10
    local("upgrade")
    fill(local, expired=25)
    ticks = itertools.count(step=6)
    monkeypatch.setattr(purge, "monotonic", lambda: next(ticks))

    ended = local("purge", "--batch-size", "10", "--pause", "0")

    progress = [line for line in ended.out.splitlines() if "after" in line]
    assert [line.partition(" after ")[0] for line in progress] == [
        "Removed 20 (80.0 %)",
        "Removed 25 (100.0 %)",
    ]


def test_a_purge_too_large_to_count_is_done_all_the_same(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is for the eye only."""
    local("upgrade")
    fill(local, expired=3)
    interrupted(monkeypatch, sqlite3.SQLITE_INTERRUPT)
    monkeypatch.setattr(purge, "_LINE_EVERY_S", -1)

    ended = local("purge", "--batch-size", "2", "--pause", "0")

    assert ended.code == 0
    assert ended.out.splitlines()[1] == "Too many to count, to be removed 2 at a time."
    assert re.fullmatch(r"Removed 2 after [\d.]+ s\.", ended.out.splitlines()[2])
    assert left(local) == 0


def test_a_dry_run_that_cannot_count_says_so(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is all that there was to do."""
    local("upgrade")
    interrupted(monkeypatch, sqlite3.SQLITE_INTERRUPT)

    assert local("purge", "--dry-run").code == 75


def test_a_count_that_is_refused_ends_the_purge(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the lack of time is no reason to stop."""
    local("upgrade")
    fill(local, expired=3)
    interrupted(monkeypatch, sqlite3.SQLITE_AUTH)

    assert local("purge").code == 1
    assert left(local) == 3


def interrupted(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let counting fail with an error code of SQLite's."""

    async def fail(_store: SQLSessionStore) -> int:
        raise failure(code)

    monkeypatch.setattr(SQLSessionStore, "count_expired", fail)


def failure(code: int) -> DatabaseError:
    """Return an error as the store raises it for an error code of SQLite's."""
    cause = sqlite3.OperationalError("as the test wants it")
    cause.sqlite_errorcode = code
    error = DatabaseError("failed", transient=code != sqlite3.SQLITE_AUTH)
    error.__cause__ = OperationalError("..", None, cause)
    return error


def test_what_was_removed_before_a_failure_is_said(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays removed, and the exit code asks for another try."""
    local("upgrade")
    fill(local, expired=30)
    delete_expired = SQLSessionStore.delete_expired_exclusively
    batches = itertools.count()

    async def fail_later(store: SQLSessionStore, batch_size: int) -> int | None:
        if next(batches) == 2:
            raise failure(sqlite3.SQLITE_BUSY)
        return await delete_expired(store, batch_size)

    monkeypatch.setattr(SQLSessionStore, "delete_expired_exclusively", fail_later)

    ended = local("purge", "--batch-size", "10", "--pause", "0")

    assert ended.code == 75
    assert "Removed 20 sessions" in ended.out
    assert ended.out.endswith("(2 batches). Then it failed.\n")
    assert "try again later" in ended.err
    assert left(local) == 10


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_bar(local: Command, columns: int) -> None:
    """It grows, is as wide as the terminal, and leaves two lines when it is done."""
    local("upgrade")
    fill(local, expired=2_000)

    ended = in_terminal(
        ["purge", *local.place, "--batch-size", "20", "--pause", "10ms"], columns=columns
    )

    assert ended.code == 0
    shown = re.findall(r"Purging [^\r\n]*?([\d,]+) of 2,000", plain(ended.out))
    assert len(set(shown)) > 2
    assert "━" in ended.out
    frames = [frame for frame in re.split(r"[\r\n]", plain(ended.out)) if frame.startswith("Purg")]
    assert {len(frame) for frame in frames} == {columns}
    assert plain(ended.out).rstrip().endswith("Nothing expired is left.")
    _, last_frame, end = ended.out.rpartition(" of 2,000")
    assert last_frame
    assert "\x1b[2K" in end.partition("Removed")[0]  # the line of the bar, erased
    assert "to be removed" not in ended.out


def test_a_bar_without_an_end() -> None:
    """Where nobody knows how many there are, what is gone is counted."""
    task = Task(TaskID(0), "", total=None, completed=1_234, _get_time=lambda: 0.0)

    assert purge._Sessions().render(task).plain == "1,234"


def test_a_purge_on_a_dumb_terminal_prints_lines(local: Command) -> None:
    """A terminal that can't move its cursor is a log."""
    local("upgrade")
    fill(local, expired=5)

    ended = in_terminal(["purge", *local.place], environment={"TERM": "dumb"})

    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "5 expired sessions, to be removed" in ended.out
    assert "Removed 5 sessions" in ended.out


def plain(shown: str) -> str:
    """Return what a terminal showed without colours and movements."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", shown)
