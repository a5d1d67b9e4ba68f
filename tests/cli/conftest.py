"""Fixtures for the tests of the command."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url

from tests.cli.running import Command


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables that the command reads."""
    monkeypatch.delenv("SESSIONSTORE_URL", raising=False)
    monkeypatch.delenv("SESSIONSTORE_URL_FILE", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def table(url: URL, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The name of a table that does not exist yet, on every database. Dropped afterwards."""
    name = f"cli_{secrets.token_hex(4)}"
    yield name
    command = Command(url, name, capsys)
    command.execute(f"DROP TABLE IF EXISTS {name}", f"DROP TABLE IF EXISTS {name}_version")


@pytest.fixture
def command(url: URL, table: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on a table that does not exist yet, on every database."""
    return Command(url, table, capsys)


@pytest.fixture
def made(command: Command) -> Command:
    """The command on an empty table, on every database."""
    assert command("upgrade").code == 0
    return command


@pytest.fixture
def local(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on a SQLite file that does not exist yet, for what all databases share."""
    url = make_url(f"sqlite+aiosqlite:///{tmp_path / 'sessions.db'}")
    return Command(url, "sessionstore_sessions", capsys)
