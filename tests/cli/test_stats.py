"""The command that shows statistics, and the page that it prints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.cli.drawing import MIN_WIDTH, draw
from sessionstore_sql.cli.options import Names, Place
from sessionstore_sql.cli.output import Output
from sessionstore_sql.codec import key_id_of
from sessionstore_sql.encryption import EncryptedCodec
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql import survey
from sessionstore_sql.statistics import (
    Count,
    Expiry,
    Kinds,
    Size,
    StateSizes,
    Statistics,
    Storage,
    Vacuum,
)
from sessionstore_sql.statistics.summaries import expiries
from tests.cli.accounts import USER, on_store, signed_in
from tests.cli.running import Command, process
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
    kinds=Kinds(
        measured=1_000,
        signed_in=1_000_000,
        anonymous=206_444,
        keys={None: 6_444, "0a1b2c3d": 1_200_000},
    ),
    storage=Storage(
        table_bytes=1_000_000_000,
        index_bytes=130_000_000,
        vacuum=Vacuum(
            dead_rows=370_021,
            since_last=timedelta(hours=1),
            hot_updates=0.9981,
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
    """Return the lines of a page of this width, without blanks at their ends."""
    monkeypatch.setenv("COLUMNS", str(width))
    draw(found, PLACE, Output(MIN_WIDTH))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_statistics_are_printed(made: Command) -> None:
    """The page shows the sessions in the table and their size, on every database."""
    insert(made, *[3 * HOUR] * 7, *[-2 * HOUR] * 3)

    ended = made("stats")

    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^  live +7 *$", ended.out, re.MULTILINE)
    assert re.search(r"^  expired +3  30\.0 % of all *$", ended.out, re.MULTILINE)
    assert re.search(r"^  oldest expired +2 h[^\n]* ago  within 5 min *$", ended.out, re.MULTILINE)
    assert re.search(r"^  2 h to 4 h +7 +70\.0 %  ━+ *$", ended.out, re.MULTILINE)
    assert "On disk\n" in ended.out


@pytest.mark.every_driver
def test_json_has_every_key(made: Command) -> None:
    """One line of JSON has the same keys on every database."""
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
        "kinds",
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


@pytest.mark.every_driver
def test_kinds_of_sessions_are_counted(made: Command) -> None:
    """Signed-in and anonymous sessions, and the keys that encrypt them."""

    async def store_them(store: SQLSessionStore) -> None:
        for _ in range(3):
            await signed_in(store, USER)

    on_store(made, store_them)
    on_store(made, store_them, codec=EncryptedCodec({"2026-12": bytes(32)}))

    async def visit(store: SQLSessionStore) -> None:
        await store.create(SessionId.generate(), SessionRecord({}, HOUR))

    on_store(made, visit)
    key = key_id_of("2026-12").hex()

    assert json.loads(made("stats", "--json").out)["kinds"] == {
        "measured": 7,
        "signed_in": 6,
        "anonymous": 1,
        "keys": [{"key": None, "sessions": 4}, {"key": key, "sessions": 3}],
    }
    page = made("stats").out
    assert re.search(r"^  signed in +6  85\.7 % *$", page, re.MULTILINE)
    assert re.search(r"^  anonymous +1  14\.3 % *$", page, re.MULTILINE)
    assert re.search(rf"^  key {key} +3 *$", page, re.MULTILINE)


def test_missing_values_are_null(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is never left out."""
    local("upgrade")

    async def nothing(_: survey.Survey) -> None:
        return None

    monkeypatch.setattr(survey.Survey, "state_sizes", nothing)
    monkeypatch.setattr(survey.Survey, "kinds", nothing)

    found = json.loads(local("stats", "--json").out)

    assert found["oldest_expired_seconds"] is None
    assert found["states"] is None
    assert found["kinds"] is None
    assert found["storage"]["vacuum"] is None


def test_exact_counts(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """--exact counts a table that is too large to be counted otherwise."""
    monkeypatch.setattr(survey, "SAMPLE", 5)
    monkeypatch.setattr(survey, "COUNTED_ROWS", 0)
    local("upgrade")
    insert(local, *[HOUR] * 30)

    assert "estimated; --exact counts" in local("stats").out
    assert re.search(r"^  live +30 *$", local("stats", "--exact").out, re.MULTILINE)


def test_a_missing_table_is_not_up_to_date(made: Command) -> None:
    """The exit code asks for an upgrade, as with every command."""
    ended = made.run("stats", "--url", made.place[1], "--table", "nowhere")

    assert (ended.code, ended.out) == (3, "")
    assert "nowhere is missing or outdated" in ended.err


def test_a_page_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers come first, then histograms. No line is wider than the terminal."""
    assert drawn(STATISTICS, monkeypatch, capsys, 80) == [
        "sessionstore_sessions on postgresql://db.example/shop",
        "2026-11-20 03:12:44 UTC, by the database's clock",
        "",
        "  live                   1,204,331  estimated; --exact counts",
        "  expired                    2,113  0.2 % of all",
        "  oldest expired        28 min ago  within 5 min",
        "",
        "Kinds  sample of 1,000",
        "  signed in              1,000,000  82.9 %",
        "  anonymous                206,444  17.1 %",
        "  not encrypted              6,444",
        "  key 0a1b2c3d           1,200,000",
        "",
        "Time to expiry",
        "  1 h to 1 d ago                 1  < 0.1 %  ╸",
        "  up to 1 h ago              2,112    0.2 %  ╸",
        "  within 30 min            100,000    8.3 %  ━━━╸",
        "  30 min to 1 h                  0    0.0 %",
        "  1 h to 2 h             1,000,000   82.9 %  " + "━" * 35,
        "  over 365 d               104,331    8.6 %  ━━━╸",
        "",
        "Size of states  sample of 1,000",
        "  below 64 B                   250   25.0 %  " + "━" * 17 + "╸",
        "  64 B to 128 B                500   50.0 %  " + "━" * 35,
        "  128 B to 16 MiB                0    0.0 %",
        "  16 MiB or more               250   25.0 %  " + "━" * 17 + "╸",
        "",
        "  median                     481 B  mean 600 B",
        "  95th percentile          1.4 KiB",
        "  99th percentile          1.8 KiB  largest 66.8 MiB",
        "  all states             810.6 MiB  estimated",
        "",
        "On disk",
        "  table                  953.7 MiB",
        "  indexes                124.0 MiB",
        "  dead rows                370,021  last vacuum: 1 h ago",
        "  HOT updates               99.8 %  of the updates left the indexes unchanged",
    ]


@pytest.mark.parametrize(("width", "longest"), [(20, 4), (120, 60), (200, 60)])
def test_bars_have_a_reasonable_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, longest: int
) -> None:
    """They use the width of the terminal, within limits."""
    page = drawn(STATISTICS, monkeypatch, capsys, width)

    assert max(line.count("━") for line in page) == longest


@pytest.mark.parametrize("width", [1, 20, 40, MIN_WIDTH])
def test_no_number_is_cut_off_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """Lines are longer than the terminal, which wraps them."""
    page = "\n".join(drawn(STATISTICS, monkeypatch, capsys, width))

    for text in ("live                   1,204,331", "1,000,000   82.9 %", "810.6 MiB", "99.8 %"):
        assert text in page
    assert "…" not in page


def test_a_page_in_an_old_encoding(local: Command) -> None:
    """Without Unicode, the bars consist of ASCII characters."""
    local("upgrade")
    insert(local, *[HOUR] * 50, -2 * HOUR)

    ended = in_terminal(
        ["stats", *local.place], environment={"PYTHONIOENCODING": "latin-1", "NO_COLOR": "1"}
    )

    assert ended.code == 0
    assert re.search(r"98\.0 %  -{20,}", plain(ended.out))
    assert re.search(r"2\.0 %  - *\r", plain(ended.out))
    assert "━" not in ended.out


def test_a_pipe_gets_no_colours(local: Command) -> None:
    """The output for a program has no escape sequences."""
    local("upgrade")
    insert(local, *[HOUR] * 4)

    done = process("stats", *local.place)

    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert re.search(r"^  30 min to 1 h +4  100\.0 %  ━+$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_colours(local: Command, columns: int) -> None:
    """The bars are coloured, and no line wraps."""
    local("upgrade")
    insert(local, *[3 * HOUR] * 4, *[-2 * HOUR] * 3)

    ended = in_terminal(["stats", *local.place], columns=columns)

    assert ended.code == 0
    assert "\x1b[36m━" in ended.out
    assert "\x1b[33m━" in ended.out
    body = plain(ended.out).splitlines()[1:]  # the path of the file is as long as it is
    assert max(map(len, body)) <= columns


def test_missing_values_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Estimates are marked, and values that are not available are omitted."""
    found = replace(
        STATISTICS,
        expired=Count(0, estimated=True),
        oldest_expired=None,
        expiries=(),
        states=None,
        kinds=None,
        storage=Storage(
            file_bytes=10_000,
            reusable_bytes=2_048,
            vacuum=Vacuum(dead_rows=0, since_last=None, hot_updates=None),
        ),
    )

    page = drawn(found, monkeypatch, capsys, 80)

    assert page[3:] == [
        "  live                   1,204,331  estimated; --exact counts",
        "  expired                        0  0.0 % of all, estimated",
        "",
        "Kinds  not read: it took too long",
        "",
        "Time to expiry",
        "  none",
        "",
        "Size of states  not measured: it took too long",
        "",
        "On disk",
        "  database file            9.8 KiB  including other tables",
        "  free                       2 KiB  reusable for new rows",
        "  dead rows                      0  last vacuum: never",
    ]


def test_spans_of_every_kind_have_a_label(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All labels differ, and those of the past say so."""
    spans = tuple(replace(each, sessions=1) for each in expiries([]))

    page = drawn(replace(STATISTICS, expiries=spans, states=None), monkeypatch, capsys, 80)

    first, last = page.index("Time to expiry") + 1, page.index("On disk") - 3
    labels = [line[:20].strip() for line in page[first:last]]
    assert labels[0] == "over 30 d ago"
    assert "7 d to 30 d ago" in labels
    assert "4 h to 8 h" in labels
    assert labels[-1] == "over 365 d"
    assert len(set(labels)) == len(labels) == 19


def test_an_empty_table_has_no_sizes(local: Command) -> None:
    """The page shows no percentiles of nothing."""
    local("upgrade")

    ended = local("stats")

    assert "median" not in ended.out
    assert ended.out.count("none") == 2
