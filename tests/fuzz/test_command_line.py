"""For any arguments, the command ends with a documented code and shows no secret."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from sqlalchemy import URL

from sessionstore_sql.cli.application import run
from sessionstore_sql.cli.exit_codes import ExitCode
from tests.cli.running import process
from tests.databases import DATABASES
from tests.fuzz import values
from tests.fuzz.documented import require_secrets_kept
from tests.fuzz.exploring import explore
from tests.fuzz.hostile import SECRET
from tests.fuzz.worlds import World
from tests.leaks import logged

VARIABLE = "SESSIONSTORE_URL"

_COMMANDS = ["upgrade", "downgrade", "current", "check", "sql", "purge", "stats"]
_HARMLESS = {"current", "check", "sql", "stats"}
"""Commands that never change anything."""

_OPTIONS = [
    *("--url", "--table", "--schema", "--batch-size", "--pause", "--max-time", "--dry-run"),
    *("--exact", "--json", "--yes", "--from", "--downgrade", "--help", "-h", "--version", "--"),
    *("--nonsense", "-u", "--urls", "--tabel"),
]
_ARGUMENTS = [
    *("0", "1", "-1", "1h30m", "250ms", "1e5", "99999999999d", "nan", "inf", "0.5", "٣"),
    *("9" * 400, "9" * 5_000, "head", "base", "+1", "sqlite", "postgresql", "mysql", "mariadb"),
]

_TAKE_REVISIONS = {"upgrade", "downgrade", "sql"}
_revisions = st.sampled_from(["", "head", "base", "+1", "nowhere", "head:base", "@"])

_words = values.pieces.filter(lambda each: "\0" not in each)
"""Arguments of a process cannot contain NUL."""
_arguments = st.one_of(st.sampled_from(_ARGUMENTS), _words)
_secret_urls = values.url_texts()
_urls_out_of_place = _secret_urls.filter(lambda each: "://" in each)
"""A text that does not look like a URL cannot be hidden."""


@dataclass(frozen=True)
class Told:
    """The arguments of the command; ``None`` stands for the URL of an existing database."""

    arguments: list[str | None]
    variable: str | None

    @property
    def changes_nothing(self) -> bool:
        """Whether the command changes nothing."""
        return bool(self.arguments) and self.arguments[0] in _HARMLESS


@st.composite
def commands(draw: st.DrawFn) -> Told:
    """Return a command line that is nearly valid, or invalid."""
    name = draw(values.mostly(st.sampled_from(_COMMANDS), _words, 7))
    arguments: list[str | None] = [name]
    # Options at the end of the line have no value.
    if name == "sql":
        arguments.append(draw(st.sampled_from([*DATABASES, *DATABASES, "nonsense"])))
    few_or_many = values.mostly(st.just(0), st.integers(0, 3), 1)
    for option in draw(st.lists(st.sampled_from(_OPTIONS), max_size=draw(few_or_many))):
        arguments.append(option)
        if draw(st.booleans()):
            arguments.append(draw(_urls_out_of_place if option in {"--url", "-u"} else _arguments))
    arguments += draw(st.lists(_revisions if name in _TAKE_REVISIONS else _arguments, max_size=1))
    if draw(values.mostly(st.just(name != "sql"), st.booleans(), 5)):
        arguments += ["--url", None]
    if draw(st.booleans()):
        arguments += draw(st.lists(_urls_out_of_place, max_size=1))
    return Told(arguments, draw(st.none() | _secret_urls))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tests run in a temporary folder, without the developer's URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    yield
    os.environ.pop(VARIABLE, None)


def test_whatever_it_is_told(world: World) -> None:
    """The command ends with a documented exit code, without a traceback or a secret."""
    if not world.is_file:
        # On the servers only the effect in the database differs.
        pytest.skip("the command line is read without a database")

    def check(told: Told) -> None:
        world.run(world.reset())
        before = world.run(world.snapshot())
        code, out, err = _run(told, world.url)

        _require_documented(code, out, err)
        after = world.run(world.snapshot())
        if told.changes_nothing or code == ExitCode.USAGE:
            assert after == before
        assert {row.id for row in after} <= {row.id for row in before}

    explore(check, commands(), examples=world.share(120))


def test_in_a_database(world: World) -> None:
    """A command line that is rejected changes nothing."""

    def check(name: str, options: Sequence[str], table: str | None) -> None:
        world.run(world.reset())
        before = world.run(world.snapshot())
        names = ["--table", world.table if table is None else table]
        arguments: list[str | None] = [name, "--url", None, *names, *options]

        code, out, err = _run(Told(arguments, None), world.url)

        _require_documented(code, out, err)
        after = world.run(world.snapshot())
        if name in _HARMLESS or code != ExitCode.DONE or "--dry-run" in options:
            assert after == before
        # A purge deletes at most the one expired session; no other command deletes any.
        assert len(before) - len(after) <= 1

    options = st.lists(
        st.sampled_from(
            [
                *("--json", "--exact", "--dry-run", "--batch-size=1", "--batch-size=0", "head"),
                *("--pause=0", "--max-time=0", f"--batch-size={10**30}", "--schema=nowhere"),
            ]
        )
        | _words.map(lambda each: f"--schema={each}"),
        max_size=3,
    )
    explore(
        check,
        st.sampled_from(["current", "check", "purge", "stats"]),
        options,
        values.mostly(st.none(), _words),
        examples=world.share(48),
    )


def test_as_a_process(world: World) -> None:
    """The output of the interpreter contains no secret either."""
    if not world.is_file:
        pytest.skip("the database makes no difference to a process")

    def check(told: Told) -> None:
        arguments = [_text(each, world.url) for each in told.arguments]
        encoded = [each.encode("utf-8", "surrogatepass") for each in arguments]
        environment = {}
        if told.variable is not None and "\0" not in told.variable:
            variable = told.variable.encode("utf-8", "surrogatepass")
            environment[VARIABLE] = os.fsdecode(variable)

        done = process(*map(os.fsdecode, encoded), environment=environment)

        _require_documented(done.returncode, done.stdout, done.stderr)

    def possible(told: Told) -> bool:
        return not any("\0" in each for each in told.arguments if each is not None)

    explore(check, commands().filter(possible), examples=world.share(2))


def _run(told: Told, url: URL) -> tuple[int, str, str]:
    """Run the command in this process, and return its exit code and output."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    os.environ.pop(VARIABLE, None)
    if told.variable is not None and "\0" not in told.variable:
        os.environ[VARIABLE] = told.variable.encode("utf-8", "replace").decode()
    arguments = [_text(each, url) for each in told.arguments]
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with logged() as log, redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
    finally:
        sys.stdin = stdin
    require_secrets_kept(None, log.text)
    return int(code), _printed(out), _printed(err)


def _printed(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    return str(buffer.getvalue().decode("utf-8", "replace"))


def _text(argument: str | None, url: URL) -> str:
    return url.render_as_string(hide_password=False) if argument is None else argument


def _require_documented(code: int, out: str, err: str) -> None:
    assert code in set(ExitCode), f"{code} is no exit code: {err}"
    assert "Traceback" not in out + err, err
    require_secrets_kept(None, out, err)
    assert (code == ExitCode.DONE) == (not err), f"{code}: {err!r}"
    assert SECRET not in out + err
