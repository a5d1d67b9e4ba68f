"""What the options take."""

from __future__ import annotations

from datetime import timedelta

import click
import pytest
from sqlalchemy import make_url

from sessionstore_sql.command_line.options import Names, Place, duration
from tests.cli.running import Command

MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("0", 0 * MS),
        ("90", 90_000 * MS),
        ("1.5", 1_500 * MS),
        ("250ms", 250 * MS),
        ("90s", 90_000 * MS),
        ("5m", 300_000 * MS),
        ("1h30m", 5_400_000 * MS),
        ("2d", 172_800_000 * MS),
        ("0.5h", 1_800_000 * MS),
    ],
)
def test_a_duration_has_units(text: str, time: timedelta) -> None:
    """As the configuration of schedulers has them; without one, it is of seconds."""
    assert duration(text) == time


@pytest.mark.parametrize("text", ["", "-1", "1x", "m", "1 h", "1h30", "1e3", "nan", "inf", "٣s"])
def test_other_durations_are_refused(text: str) -> None:
    """Half-understood is not understood."""
    with pytest.raises(click.BadParameter, match="250ms, 90s, 5m or 1h30m"):
        duration(text)


@pytest.mark.parametrize("text", ["9" * 20, "9" * 400 + "d"])
def test_a_duration_has_an_end(text: str) -> None:
    """Longer than Python can count is refused, too."""
    with pytest.raises(click.BadParameter, match="too long"):
        duration(text)


@pytest.mark.parametrize(
    ("url", "schema", "shown"),
    [
        (
            "postgresql+asyncpg://app:s3cr3t@db.example:5433/shop?ssl=require",
            None,
            "logins on postgresql://db.example:5433/shop",
        ),
        ("mysql+aiomysql://app@db.example/shop", "web", "web.logins on mysql://db.example/shop"),
        ("sqlite+aiosqlite:///var/s.db", None, "logins on sqlite:///var/s.db"),
    ],
)
def test_a_place_is_shown_without_secrets(url: str, schema: str | None, shown: str) -> None:
    """Neither user nor password nor options: what tells one database from another."""
    assert str(Place(make_url(url), Names(table="logins", schema=schema))) == shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["upgrade", ""],
        ["downgrade", "", "--yes"],
        ["sql", "mysql", ""],
        ["sql", "mysql", "--from="],
    ],
)
def test_a_revision_has_a_name(local: Command, arguments: list[str]) -> None:
    """It is wrong usage, and not a fault of Alembic's."""
    place = [] if arguments[0] == "sql" else local.place

    ended = local.run(*arguments, *place)

    assert (ended.code, ended.out) == (2, "")
    assert "the latest one is head" in ended.err


@pytest.mark.parametrize(("arguments", "code"), [(["upgrade"], 1), (["sql", "mysql"], 2)])
def test_a_revision_that_cannot_be_is_none(local: Command, arguments: list[str], code: int) -> None:
    """Alembic asserts that there is a name before the @."""
    place = [] if arguments[0] == "sql" else local.place

    ended = local.run(*arguments, "@", *place)

    assert ended.code == code
    assert "there is no revision" in ended.err


def test_a_span_of_three_revisions_is_wrong_usage(local: Command) -> None:
    """Alembic would fail to take it apart."""
    for arguments in (["a:b:c"], ["b:c", "--from", "a"]):
        ended = local.run("sql", "mysql", *arguments)

        assert ended.code == 2
        assert "there is no revision" in ended.err
