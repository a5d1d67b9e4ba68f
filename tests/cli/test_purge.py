"""The command that deletes expired sessions, and its output."""

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
from sessionstore_sql.cli import progress as shown
from sessionstore_sql.schema import session_table
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.statistics.rows import insert_sessions

HOUR = timedelta(hours=1)


def fill(command: Command, *, live: int = 0, expired: int = 0) -> None:
    """Insert live and expired sessions."""
    remaining = [HOUR] * live + [-HOUR] * expired
    table = session_table(command.table)
    command.on_database(lambda engine: insert_sessions(engine, remaining, table=table))


def left(command: Command) -> int:
    """Return the number of rows."""

    async def count(engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            statement = select(func.count()).select_from(session_table(command.table))
            return (await connection.execute(statement)).scalar_one()

    counted = command.on_database(count)
    assert isinstance(counted, int)
    return counted


@pytest.mark.every_driver
def test_expired_sessions_are_deleted(made: Command) -> None:
    """They are deleted in batches, live ones stay, and a log gets three lines."""
    fill(made, live=3, expired=25)

    ended = made("purge", "--batch-size", "10", "--pause", "0")

    assert (ended.code, ended.err) == (0, "")
    head, due, done = ended.out.splitlines()
    assert head.startswith(f"{made.table} on ")
    assert due == "25 expired sessions; deleting 10 at a time."
    assert re.fullmatch(
        r"Deleted 25 sessions in [\d.]+ s \(3 batches\)\. No expired sessions are left\.", done
    )
    assert left(made) == 3


def test_a_dry_run_only_counts(made: Command) -> None:
    """It prints how many sessions are expired, and deletes none."""
    fill(made, live=2, expired=4)

    ended = made("purge", "--dry-run")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1:] == ["4 expired sessions would be deleted."]
    assert left(made) == 6


def test_a_purge_continues_where_the_last_one_ended(made: Command) -> None:
    """At its time limit it ends after a batch, and that is a success."""
    fill(made, live=1, expired=5)

    ended = made("purge", "--batch-size", "2", "--max-time", "0")
    kept = left(made)
    again = made("purge")

    assert (ended.code, kept) == (0, 4)
    assert ended.out.endswith(
        "(1 batch). The time limit was reached; expired sessions may be left.\n"
    )
    assert (again.code, left(made)) == (0, 1)
    assert "Deleted 3 sessions" in again.out


def test_one_purge_at_a_time_is_enough(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process is purging, the command reports that and succeeds."""
    local("upgrade")

    async def find_another(_store: SQLSessionStore, _batch_size: int) -> None:
        return None

    monkeypatch.setattr(SQLSessionStore, "delete_expired_exclusively", find_another)

    ended = local("purge")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("(0 batches). Another purge is running and continues.\n")


def test_an_empty_table_is_no_error(made: Command) -> None:
    """The purge deletes nothing and succeeds."""
    ended = made("purge")

    assert ended.code == 0
    assert "Deleted 0 sessions" in ended.out


def test_a_missing_table_is_not_up_to_date(made: Command) -> None:
    """The exit code asks for an upgrade, and no count is printed."""
    for more in ([], ["--dry-run"]):
        ended = made.run("purge", "--url", made.place[1], "--table", "nowhere", *more)

        assert (ended.code, ended.out) == (3, "")
        assert "nowhere is missing or outdated" in ended.err
        assert "sessionstore-sql upgrade" in ended.err


def test_a_long_purge_prints_its_progress(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints a line every 10 seconds."""
    assert shown._LINE_EVERY_S == 10
    local("upgrade")
    fill(local, expired=25)
    ticks = itertools.count(step=6)
    monkeypatch.setattr(shown, "monotonic", lambda: next(ticks))

    ended = local("purge", "--batch-size", "10", "--pause", "0")

    progress = [line for line in ended.out.splitlines() if "after" in line]
    assert [line.partition(" after ")[0] for line in progress] == [
        "Deleted 20 (80.0 %)",
        "Deleted 25 (100.0 %)",
    ]


def test_a_backlog_too_large_to_count_is_deleted(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is only needed for the output."""
    local("upgrade")
    fill(local, expired=3)
    interrupted(monkeypatch, sqlite3.SQLITE_INTERRUPT)
    monkeypatch.setattr(shown, "_LINE_EVERY_S", -1)

    ended = local("purge", "--batch-size", "2", "--pause", "0")

    assert ended.code == 0
    assert ended.out.splitlines()[1] == "Too many to count; deleting 2 at a time."
    assert re.fullmatch(r"Deleted 2 after [\d.]+ s\.", ended.out.splitlines()[2])
    assert left(local) == 0


def test_a_dry_run_that_cannot_count_fails(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count was its only purpose."""
    local("upgrade")
    interrupted(monkeypatch, sqlite3.SQLITE_INTERRUPT)

    assert local("purge", "--dry-run").code == 75


def test_a_count_that_is_rejected_ends_the_purge(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a timeout of the count is ignored."""
    local("upgrade")
    fill(local, expired=3)
    interrupted(monkeypatch, sqlite3.SQLITE_AUTH)

    assert local("purge").code == 1
    assert left(local) == 3


def interrupted(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Make counting fail with an error code of SQLite."""

    async def fail(_store: SQLSessionStore) -> int:
        raise failure(code)

    monkeypatch.setattr(SQLSessionStore, "count_expired", fail)


def failure(code: int) -> DatabaseError:
    """Return the error that the store raises for an error code of SQLite."""
    cause = sqlite3.OperationalError("simulated")
    cause.sqlite_errorcode = code
    error = DatabaseError("failed", transient=code != sqlite3.SQLITE_AUTH)
    error.__cause__ = OperationalError("..", None, cause)
    return error


def test_a_failed_purge_prints_what_it_deleted(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted sessions stay deleted, and the exit code asks for another try."""
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
    assert "Deleted 20 sessions" in ended.out
    assert ended.out.endswith("(2 batches). Then the purge failed.\n")
    assert "try again later" in ended.err
    assert left(local) == 10


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_bar(local: Command, columns: int) -> None:
    """The bar grows and is as wide as the terminal. Only two lines remain at the end."""
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
    assert plain(ended.out).rstrip().endswith("No expired sessions are left.")
    _, last_frame, end = ended.out.rpartition(" of 2,000")
    assert last_frame
    assert "\x1b[2K" in end.partition("Deleted")[0]  # the bar is erased
    assert "at a time" not in ended.out


def test_a_bar_without_an_end() -> None:
    """If the total is unknown, the bar shows the number of deleted sessions."""
    task = Task(TaskID(0), "", total=None, completed=1_234, _get_time=lambda: 0.0)

    assert shown._Sessions().render(task).plain == "1,234"


def test_a_purge_on_a_dumb_terminal_prints_lines(local: Command) -> None:
    """A terminal that cannot move its cursor is treated like a log."""
    local("upgrade")
    fill(local, expired=5)

    ended = in_terminal(["purge", *local.place], environment={"TERM": "dumb"})

    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "5 expired sessions; deleting" in ended.out
    assert "Deleted 5 sessions" in ended.out


def plain(shown: str) -> str:
    """Return the output of a terminal without colours and cursor movements."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", shown)
