"""Runs the command, in this process or as a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql.cli.application import run

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "sessionstore_sql"]


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of the command."""

    code: int
    out: str
    err: str


class Command:
    """The command on one table of one database, run in this process."""

    def __init__(self, url: URL, table: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.table = table
        self._capsys = capsys

    @property
    def place(self) -> list[str]:
        """The options for the database and the table."""
        return ["--url", shown(self.url), "--table", self.table]

    def __call__(self, name: str, *arguments: str) -> Ended:
        """Run a subcommand on the table."""
        return self.run(name, *self.place, *arguments)

    def run(self, *arguments: str) -> Ended:
        """Run the command with exactly these arguments."""
        self._capsys.readouterr()
        code = run(arguments)
        out, err = self._capsys.readouterr()
        return Ended(code, out, err)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a subcommand on the table as a process of its own."""
        return subprocess.Popen(
            [*COMMAND, name, *self.place, *arguments],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_database(self, work: Callable[[AsyncEngine], Awaitable[object]]) -> object:
        """Run work on an engine for the database."""

        async def do() -> object:
            engine = create_async_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            try:
                return await work(engine)
            finally:
                await engine.dispose()

        return asyncio.run(do())

    def execute(self, *statements: str) -> None:
        """Run statements on the database."""

        async def do(engine: AsyncEngine) -> None:
            async with engine.connect() as connection:
                for statement in statements:
                    await connection.exec_driver_sql(statement)

        self.on_database(do)


def process(
    *arguments: str,
    environment: dict[str, str] | None = None,
    directory: Path = ROOT,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, without the variables of the tests."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=clean_environment(environment),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def clean_environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Return an environment without variables that the command reads."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME"} or name.startswith("COVERAGE_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


def shown(url: URL) -> str:
    """Return a URL as text, with its password."""
    return url.render_as_string(hide_password=False)
