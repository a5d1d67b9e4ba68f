"""Schemas that do not exist: every command names them, and none advises to upgrade."""

from __future__ import annotations

import pytest

from tests.cli.accounts import with_input
from tests.cli.running import Command

COMMANDS = {
    "upgrade": [],
    "current": [],
    "check": [],
    "purge": [],
    "stats": [],
    "sessions": ["--subject", "-"],
    "revoke": ["--everybody", "--yes"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_schema_is_named(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the server may be that of a missing table, or of a missing database."""
    ended = with_input(
        monkeypatch, "alice", lambda: command(name, "--schema", "nowhere", *COMMANDS[name])
    )

    assert (ended.code, ended.out) == (1, "")
    assert "the schema 'nowhere' does not exist" in ended.err
    assert "sessionstore-sql upgrade" not in ended.err
    assert ended.err.count("\n") == 1


def test_a_missing_table_in_an_existing_schema_is_not_up_to_date(command: Command) -> None:
    """An upgrade creates the table."""
    schemas = {"postgresql": "public", "sqlite": "main"}
    schema = schemas.get(command.url.get_backend_name(), str(command.url.database))

    ended = command("stats", "--schema", schema)

    assert ended.code == 3
    assert "missing or outdated" in ended.err
