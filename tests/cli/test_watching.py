"""``stats --watch``: what it shows, and when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from sessionstore_sql import DatabaseError
from sessionstore_sql.cli import watching
from sessionstore_sql.cli.watching import History
from sessionstore_sql.statistics import Activity, Connections, Count
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.cli.test_purge import plain
from tests.cli.test_stats import insert

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
START = datetime(2026, 11, 20, 3, 12, 44, tzinfo=UTC)


def activity(
    seconds: float = 0,
    *,
    live: int = 10,
    expired: int = 0,
    oldest: timedelta | None = None,
    estimated: bool = False,
) -> Activity:
    """Return a measurement some seconds after the first one."""
    return Activity(
        taken_at=START + seconds * SECOND,
        live=Count(live, estimated),
        expired=Count(expired, estimated=False),
        oldest_expired=oldest,
        connections=Connections(open=23, limit=100, active=4, waiting=1),
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Activity | Exception]]:
    """The measurements that the command makes. After the last one, it receives SIGINT."""
    planned: list[Activity | Exception] = []

    async def measure(*_: object, **__: object) -> Activity:
        found = planned.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def pause(_seconds: float) -> None:
        if not planned:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    monkeypatch.setattr(watching, "collect_activity", measure)
    monkeypatch.setattr(watching, "_pause", pause)
    yield planned
    assert planned == []


def unreachable(code: int = sqlite3.SQLITE_BUSY) -> DatabaseError:
    """Return the error that the store raises for an error code of SQLite."""
    cause = sqlite3.OperationalError("simulated")
    cause.sqlite_errorcode = code
    error = DatabaseError("failed", transient=code == sqlite3.SQLITE_BUSY)
    error.__cause__ = OperationalError("..", None, cause)
    return error


def test_a_log_gets_a_line_for_each_measurement(local: Command, measured: list[Any]) -> None:
    """It contains the numbers, their changes, the purge and the connections."""
    local("upgrade")
    measured += [
        activity(expired=30, oldest=28 * MINUTE),
        activity(30, live=16, expired=10, oldest=27 * MINUTE),
    ]

    ended = local("stats", "--watch")

    assert ended.code == 130
    head, first, second = ended.out.splitlines()
    assert head.startswith("sessionstore_sessions on sqlite://")
    assert first == (
        "2026-11-20 03:12:44 UTC: live 10, expired 30, oldest expired 28 min ago, "
        "purge not seen yet, connections 23 of 100 (4 active, 1 waiting for a lock)"
    )
    assert second == (
        "2026-11-20 03:13:14 UTC: live 16 (+12/min), expired 10 (-40/min), oldest expired "
        "27 min ago, purge running, connections 23 of 100 (4 active, 1 waiting for a lock)"
    )
    assert ended.err == "Interrupted by SIGINT.\n"


def test_a_program_gets_lines_of_json(local: Command, measured: list[Any]) -> None:
    """Each measurement is one object."""
    local("upgrade")
    measured += [activity(expired=3, oldest=HOUR), activity(5, estimated=True)]

    ended = local("stats", "--watch", "--json")

    first, second = map(json.loads, ended.out.splitlines())
    assert first == {
        "database": f"sqlite:///{local.url.database}",
        "table": "sessionstore_sessions",
        "schema": None,
        "taken_at": "2026-11-20T03:12:44+00:00",
        "live": {"sessions": 10, "estimated": False},
        "expired": {"sessions": 3, "estimated": False},
        "oldest_expired_seconds": 3_600.0,
        "connections": {"open": 23, "limit": 100, "active": 4, "waiting": 1},
    }
    assert second["live"]["estimated"] is True
    assert second["oldest_expired_seconds"] is None


@pytest.mark.every_driver
def test_every_database_is_measured(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are counted on all databases; all but SQLite report connections."""
    insert(made, *[HOUR] * 7, *[-HOUR] * 3)

    async def stop(_seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "_pause", stop)

    ended = made("stats", "--watch", "--json")

    assert ended.code == 143
    found = json.loads(ended.out)
    assert (found["live"]["sessions"], found["expired"]["sessions"]) == (7, 3)
    assert 3_600 <= found["oldest_expired_seconds"] < 4_000
    if made.url.get_backend_name() == "sqlite":
        assert found["connections"] is None
    else:
        connections = found["connections"]
        assert 1 <= connections["active"] <= connections["open"] <= connections["limit"]
        assert connections["waiting"] >= 0


def test_a_terminal_shows_a_table(local: Command) -> None:
    """The table is redrawn in place, and Ctrl-C ends the command."""
    local("upgrade")
    insert(local, *[HOUR] * 7)

    ended = in_terminal(
        ["stats", *local.place, "--watch", "--interval", "1s"], keys="\x03", await_text="+0/min"
    )

    assert ended.code == 130
    shown = plain(ended.out)
    assert re.search(r"  live +7  \+0/min", shown)
    assert re.search(r"  purge +up to date", shown)
    assert "every 1 s; Ctrl-C ends" in shown
    assert "\x1b[1A" in ended.out  # the cursor moves up to redraw
    assert shown.rstrip().endswith("Interrupted by SIGINT.")


def test_a_first_failure_ends_the_command(local: Command, measured: list[Any]) -> None:
    """The exit code is the same as without --watch."""
    local("upgrade")
    measured += [unreachable()]

    ended = local("stats", "--watch")

    assert ended.code == 75
    assert "unreachable or busy" in ended.err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_later_failure_is_shown_and_repeated(
    local: Command, measured: list[Any], as_json: bool
) -> None:
    """The command continues when the database is reachable again."""
    local("upgrade")
    measured += [activity(), unreachable(), activity(10)]

    ended = local("stats", "--watch", *(["--json"] if as_json else []))

    assert ended.code == 130
    lines = ended.out.splitlines()
    if as_json:
        assert len(lines) == 2
        assert "unreachable or busy" in ended.err
    else:
        assert "unreachable or busy" in lines[2]
        assert lines[3].startswith("2026-11-20 03:12:54 UTC: live 10")


def test_a_later_failure_is_shown_on_a_terminal(
    local: Command, measured: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last numbers stay, and the error is below them."""
    monkeypatch.setenv("TTY_INTERACTIVE", "1")  # read by rich
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    local("upgrade")
    measured += [activity(), unreachable()]

    ended = local("stats", "--watch")

    last = plain(ended.out).rpartition("connections")[0].rpartition("live")[2]
    assert "10" in last
    assert "unreachable or busy" in plain(ended.out).rpartition("connections")[2]


def test_a_lasting_failure_ends_the_command(local: Command, measured: list[Any]) -> None:
    """An error that repeating does not fix is not shown forever."""
    local("upgrade")
    measured += [activity(), unreachable(sqlite3.SQLITE_AUTH)]

    assert local("stats", "--watch").code == 1


def test_a_closed_pipe_ends_the_command(local: Command) -> None:
    """``head`` reads a line and closes the pipe."""
    local("upgrade")

    running = local.start("stats", "--watch", "--interval", "1s")
    assert running.stdout is not None
    assert running.stderr is not None

    assert "sessionstore_sessions" in running.stdout.readline()
    running.stdout.close()

    assert (running.stderr.read(), running.wait(timeout=60)) == ("", 141)
    running.stderr.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--watch", "--exact"], "exclude each other"),
        (["--watch", "--interval", "0"], "at least 1s"),
        (["--watch", "--interval", "999ms"], "at least 1s"),
        (["--watch", "--interval", "soon"], "250ms, 90s, 5m or 1h30m"),
    ],
)
def test_wrong_options_are_reported(local: Command, options: list[str], message: str) -> None:
    """No connection is made."""
    ended = local("stats", *options)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_the_default_interval_is_five_seconds(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurements are that far apart."""
    local("upgrade")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "_pause", pause)
    local("stats", "--watch")

    assert pauses == [5.0]


def history(*measurements: Activity) -> History:
    """Return a history with these measurements."""
    found = History()
    for each in measurements:
        found.add(each)
    return found


def test_changes_are_those_of_the_last_minute() -> None:
    """An older measurement does not count."""
    found = history(activity(live=0), activity(60, live=100), activity(120, live=130))

    assert found.change(lambda each: each.live) == "+30/min"


@pytest.mark.parametrize("estimated", [(True, False), (False, True)])
def test_an_estimate_has_no_change(estimated: tuple[bool, bool]) -> None:
    """It varies although no session was created or ended."""
    first, last = estimated
    found = history(activity(estimated=first), activity(10, estimated=last))

    assert found.change(lambda each: each.live) == ""


def test_a_first_measurement_has_no_change() -> None:
    """There is nothing to compare it with."""
    assert history(activity()).change(lambda each: each.live) == ""


def test_without_expired_sessions_the_purge_is_up_to_date() -> None:
    """It has nothing to delete."""
    assert history(activity(expired=0)).purge == "up to date"


@pytest.mark.parametrize(
    ("expired", "oldest"),
    [
        (8, 20 * MINUTE + 5 * SECOND),  # fewer than before
        (12, 15 * MINUTE),  # more, but the oldest one is gone
    ],
)
def test_a_purge_is_seen_by_what_it_deletes(expired: int, oldest: timedelta) -> None:
    """It may run in any process."""
    found = history(
        activity(expired=10, oldest=20 * MINUTE), activity(5, expired=expired, oldest=oldest)
    )

    assert found.purge == "running"


def test_a_purge_without_progress_is_reported() -> None:
    """The time counts from the last deletion that was seen."""
    found = history(
        activity(0, expired=10, oldest=20 * MINUTE),
        activity(5, expired=9, oldest=19 * MINUTE),
        activity(65, expired=12, oldest=20 * MINUTE),
    )

    assert found.purge == "no progress for 1 min"


def test_a_purge_without_deletions_since_the_start_is_reported() -> None:
    """The time counts from the first measurement."""
    oldest = 20 * MINUTE
    found = history(
        activity(0, expired=10, oldest=oldest),
        activity(12, expired=11, oldest=oldest + 12 * SECOND),
    )

    assert found.purge == "no progress for 12 s"
