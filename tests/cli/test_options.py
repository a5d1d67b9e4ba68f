"""The values of the options."""

from __future__ import annotations

from datetime import timedelta

import click
import pytest
from sqlalchemy import make_url

from sessionstore_sql.cli.options import Names, Place, duration
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
    """The units are those of schedulers. A number without a unit is in seconds."""
    assert duration(text) == time


@pytest.mark.parametrize("text", ["", "-1", "1x", "m", "1 h", "1h30", "1e3", "nan", "inf", "٣s"])
def test_other_durations_are_rejected(text: str) -> None:
    """Nothing is ignored or guessed."""
    with pytest.raises(click.BadParameter, match="250ms, 90s, 5m or 1h30m"):
        duration(text)


@pytest.mark.parametrize("text", ["9" * 20, "9" * 400 + "d"])
def test_a_duration_can_be_too_long(text: str) -> None:
    """A duration that timedelta cannot represent is rejected."""
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
    """User, password and options of the URL are not shown."""
    assert str(Place(make_url(url), Names(table="logins", schema=schema))) == shown


@pytest.mark.parametrize("command", ["upgrade", "check", "purge", "stats"])
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "mysql", "mysql+asyncmy"])
def test_a_file_that_a_url_names_exists(local: Command, command: str, driver: str) -> None:
    """A certificate that is not there is wrong usage; its path is not shown."""
    url = f"{driver}://u:hunter2@127.0.0.1:1/d?sslrootcert=/no/secret.pem"

    ended = local.run(command, "--url", url)

    assert ended.code == 2
    assert "the file that sslrootcert names" in ended.err
    assert "secret" not in ended.err
    assert "hunter2" not in ended.err


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
    """An empty revision is wrong usage, and not an error of Alembic."""
    place = [] if arguments[0] == "sql" else local.place

    ended = local.run(*arguments, *place)

    assert (ended.code, ended.out) == (2, "")
    assert "the latest one is head" in ended.err


@pytest.mark.parametrize(("arguments", "code"), [(["upgrade"], 1), (["sql", "mysql"], 2)])
def test_an_invalid_revision_is_reported_as_unknown(
    local: Command, arguments: list[str], code: int
) -> None:
    """Alembic raises AssertionError for a revision without a name before the @."""
    place = [] if arguments[0] == "sql" else local.place

    ended = local.run(*arguments, "@", *place)

    assert ended.code == code
    assert "there is no revision" in ended.err


def test_a_span_of_three_revisions_is_wrong_usage(local: Command) -> None:
    """Alembic would fail to split it."""
    for arguments in (["a:b:c"], ["b:c", "--from", "a"]):
        ended = local.run("sql", "mysql", *arguments)

        assert ended.code == 2
        assert "there is no revision" in ended.err
