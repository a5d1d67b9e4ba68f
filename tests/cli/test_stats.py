"""The command that tells how many sessions there are, and how it draws them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url

from sessionstore_sql import statistics, survey
from sessionstore_sql.command_line.drawing import draw
from sessionstore_sql.command_line.options import Names, Place
from sessionstore_sql.command_line.output import Output
from sessionstore_sql.schema import session_table
from sessionstore_sql.statistics import (
    Count,
    Expiry,
    Size,
    StateSizes,
    Statistics,
    Storage,
    Vacuum,
)
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.cli.test_purge import plain
from tests.statistics.rows import insert_sessions

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLACE = Place(
    make_url("postgresql+asyncpg://app:s3cr3t@db.example/shop?ssl=require"),
    Names(table="sessionstore_sessions", schema=None),
)
STATISTICS = Statistics(
    taken_at=datetime(2026, 11, 20, 3, 12, 44, tzinfo=UTC),
    live=Count(1_204_331, estimated=True),
    expired=Count(2_113, estimated=False),
    oldest_expired=timedelta(minutes=28),
    expiries=(
        Expiry(None, -30 * DAY, 0),
        Expiry(-DAY, -HOUR, 1),
        Expiry(-HOUR, timedelta(0), 2_112),
        Expiry(timedelta(0), HOUR / 2, 100_000),
        Expiry(HOUR / 2, HOUR, 0),
        Expiry(HOUR, 2 * HOUR, 1_000_000),
        Expiry(365 * DAY, None, 104_331),
    ),
    states=StateSizes(
        measured=1_000,
        mean=599.9,
        median=481,
        p95=1_461,
        p99=1_830,
        largest=70_000_000,
        total=850_000_000,
        histogram=(
            Size(0, 64, 250),
            Size(64, 128, 500),
            Size(128, 16_777_216, 0),
            Size(16_777_216, None, 250),
        ),
    ),
    storage=Storage(
        table_bytes=1_000_000_000,
        index_bytes=130_000_000,
        vacuum=Vacuum(
            dead_rows=370_021,
            since_last=timedelta(hours=1),
            hot_updates=0.9981,
            bloat_bytes=40_000_000,
        ),
    ),
)


def insert(command: Command, *remaining: timedelta) -> None:
    """Insert sessions into the command's table."""
    table = session_table(command.table)
    command.on_database(lambda engine: insert_sessions(engine, remaining, table=table))


def drawn(
    found: Statistics,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    width: int,
) -> list[str]:
    """Return the lines of a page that is so wide."""
    monkeypatch.setenv("COLUMNS", str(width))
    draw(found, PLACE, Output())
    return capsys.readouterr().out.splitlines()


def test_every_database_tells(made: Command) -> None:
    """What there is in its table, and what room that takes."""
    insert(made, *[3 * HOUR] * 7, *[-2 * HOUR] * 3)

    ended = made("stats")

    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^  live +7$", ended.out, re.MULTILINE)
    assert re.search(r"^  expired +3  30\.0 % of all$", ended.out, re.MULTILINE)
    assert re.search(
        r"^  oldest expired +2 h[ \d]*m?i?n? ago  within 5 min$", ended.out, re.MULTILINE
    )
    assert re.search(r"^  2 h to 4 h +7 +70\.0 %  █+$", ended.out, re.MULTILINE)
    assert "On disk\n" in ended.out


def test_json_says_it_all(made: Command) -> None:
    """Every key is there on every database, with its unit, in one line."""
    insert(made, *[3 * HOUR] * 7, *[-2 * HOUR] * 3)

    ended = made("stats", "--json")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == 1
    found = json.loads(ended.out)
    assert list(found) == [
        "database",
        "table",
        "schema",
        "taken_at",
        "live",
        "expired",
        "oldest_expired_seconds",
        "expiries",
        "states",
        "storage",
    ]
    assert found["database"].startswith(made.url.get_backend_name())
    assert (found["table"], found["schema"]) == (made.table, None)
    assert datetime.fromisoformat(found["taken_at"]).tzinfo is not None
    assert found["live"] == {"sessions": 7, "estimated": False}
    assert found["expired"] == {"sessions": 3, "estimated": False}
    assert 7_200 <= found["oldest_expired_seconds"] < 8_000
    assert {"after_seconds": 7_200.0, "until_seconds": 14_400.0, "sessions": 7} in found["expiries"]
    assert found["expiries"][0]["after_seconds"] is None
    assert found["states"]["measured"] == 10
    assert found["states"]["total_bytes"] == 20
    assert found["states"]["sizes"][0] == {"at_least_bytes": 0, "below_bytes": 64, "states": 10}
    assert list(found["storage"]) == [
        "table_bytes",
        "index_bytes",
        "file_bytes",
        "reusable_bytes",
        "vacuum",
    ]
    assert (found["storage"]["vacuum"] is not None) == made.url.drivername.startswith("postgresql")


def test_json_of_nothing(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is null, not left out."""
    local("upgrade")

    async def nothing(_: survey.Survey) -> None:
        return None

    monkeypatch.setattr(survey.Survey, "state_sizes", nothing)

    found = json.loads(local("stats", "--json").out)

    assert found["oldest_expired_seconds"] is None
    assert found["states"] is None
    assert found["storage"]["vacuum"] is None


def test_exact_counts(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are counted otherwise, on demand."""
    monkeypatch.setattr(survey, "SAMPLE", 5)
    monkeypatch.setattr(statistics, "COUNTED_ROWS", 0)
    local("upgrade")
    insert(local, *[HOUR] * 30)

    assert "estimated, give or take 5 %; --exact counts" in local("stats").out
    assert re.search(r"^  live +30$", local("stats", "--exact").out, re.MULTILINE)


def test_a_missing_table_is_not_up_to_date(made: Command) -> None:
    """As with every command."""
    ended = made.run("stats", "--url", made.place[1], "--table", "nowhere")

    assert (ended.code, ended.out) == (3, "")
    assert "nowhere is missing or outdated" in ended.err


def test_a_page_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers first, then how they are spread; nothing is wider than the terminal."""
    assert drawn(STATISTICS, monkeypatch, capsys, 80) == [
        "sessionstore_sessions on postgresql://db.example/shop",
        "2026-11-20 03:12:44 UTC, by the database's clock",
        "",
        "  live                   1,204,331  estimated, give or take 5 %; --exact counts",
        "  expired                    2,113  0.2 % of all",
        "  oldest expired        28 min ago  within 5 min",
        "",
        "Time to expiry",
        "  1 h to 1 d ago                 1   < 0.1 %  ▏",
        "  up to 1 h ago              2,112     0.2 %  ▏",
        "  within 30 min            100,000     8.3 %  ███▍",
        "  30 min to 1 h                  0     0.0 %",
        "  1 h to 2 h             1,000,000    82.9 %  " + "█" * 34,
        "  over 365 d               104,331     8.6 %  ███▌",
        "",
        "Size of states  of 1,000 of them",
        "  below 64 B                   250    25.0 %  █████████████████",
        "  64 B to 128 B                500    50.0 %  " + "█" * 34,
        "  128 B to 16 MiB                0     0.0 %",
        "  16 MiB or more               250    25.0 %  █████████████████",
        "",
        "  half of them up to         481 B  95 % up to 1.4 KiB, 99 % up to 1.8 KiB",
        "  largest                 66.8 MiB  mean 600 B",
        "  all states             810.6 MiB  estimated",
        "",
        "On disk",
        "  table                  953.7 MiB",
        "  indexes                124.0 MiB",
        "  bloat                   38.1 MiB  4.0 % of the table, estimated",
        "  dead rows                370,021  last vacuumed 1 h ago",
        "  HOT updates               99.8 %  left the indexes alone",
    ]


@pytest.mark.parametrize(("width", "longest"), [(20, 4), (120, 60), (200, 60)])
def test_bars_have_a_reasonable_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, longest: int
) -> None:
    """As wide as the terminal allows, but not across half a wall."""
    page = drawn(STATISTICS, monkeypatch, capsys, width)

    assert max(line.count("█") for line in page) == longest


def test_a_page_without_blocks(monkeypatch: pytest.MonkeyPatch, local: Command) -> None:
    """A terminal with an old encoding gets signs that it has."""
    local("upgrade")
    insert(local, *[HOUR] * 4)

    ended = in_terminal(
        ["stats", *local.place], environment={"PYTHONIOENCODING": "latin-1", "NO_COLOR": "1"}
    )

    assert ended.code == 0
    assert re.search(r"100\.0 %  #{20,}", plain(ended.out))
    assert "█" not in ended.out


def test_half_a_sign_is_something() -> None:
    """Without blocks, too, a bar of something has some length, and one of nothing has none."""
    from sessionstore_sql.command_line.drawing import _ascii_bar

    assert [_ascii_bar(part, 10) for part in (0, 0.001, 0.5, 1)] == ["", "#", "#" * 5, "#" * 10]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_colours(local: Command, columns: int) -> None:
    """And nothing that would wrap."""
    local("upgrade")
    insert(local, *[3 * HOUR] * 4, *[-2 * HOUR] * 3)

    ended = in_terminal(["stats", *local.place], columns=columns)

    assert ended.code == 0
    assert "\x1b[36m█" in ended.out
    assert "\x1b[33m█" in ended.out
    body = plain(ended.out).splitlines()[1:]  # the path of the file is as long as it is
    assert max(map(len, body)) <= columns


def test_what_is_missing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An estimate says so, and what could not be had is not made up."""
    found = replace(
        STATISTICS,
        expired=Count(0, estimated=True),
        oldest_expired=None,
        expiries=(),
        states=None,
        storage=Storage(
            file_bytes=10_000,
            reusable_bytes=2_048,
            vacuum=Vacuum(dead_rows=0, since_last=None, hot_updates=None, bloat_bytes=0),
        ),
    )

    page = drawn(found, monkeypatch, capsys, 80)

    assert page[3:] == [
        "  live                   1,204,331  estimated, give or take 5 %; --exact counts",
        "  expired                        0  0.0 % of all, estimated",
        "",
        "Time to expiry",
        "  none",
        "",
        "Size of states  not measured: it took too long",
        "",
        "On disk",
        "  file                     9.8 KiB  with everything in it",
        "  free in it                 2 KiB  for new rows",
        "  bloat                        0 B  0.0 % of the table, estimated",
        "  dead rows                      0  last vacuumed never",
    ]


def test_spans_of_every_kind_have_a_label(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The past is yellow and ago; no two spans are called the same."""
    expiries = tuple(replace(each, sessions=1) for each in statistics._expiries([]))

    page = drawn(replace(STATISTICS, expiries=expiries, states=None), monkeypatch, capsys, 80)

    first, last = page.index("Time to expiry") + 1, page.index("On disk") - 3
    labels = [line[:20].strip() for line in page[first:last]]
    assert labels[0] == "over 30 d ago"
    assert "7 d to 30 d ago" in labels
    assert "4 h to 8 h" in labels
    assert labels[-1] == "over 365 d"
    assert len(set(labels)) == len(labels) == 19


def test_an_empty_table_has_no_sizes(local: Command) -> None:
    """Nothing is half as large as nothing."""
    local("upgrade")

    ended = local("stats")

    assert "half of them" not in ended.out
    assert ended.out.count("none") == 2
