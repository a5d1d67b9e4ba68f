"""No password is ever printed, whatever goes wrong."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sessionstore_sql.command_line import migrations
from sessionstore_sql.command_line.application import application
from sessionstore_sql.command_line.masking import Mask, masked_logging
from tests.cli.running import Command, process

SECRET = "s3cr3t"
SIGNS = "s3 cr/3t%&@x"
URL = f"postgresql://app:{SECRET}@127.0.0.1:1/shop"


@pytest.mark.parametrize(
    "given",
    [
        URL,
        f"--url={URL}",
        f"--utl={URL}",
        f"app:{SECRET}@host/shop",
        f"postgresql://app:{SECRET}@host:port/shop",
        f"postgresql://host/shop?password={SECRET}",
        f"mysql://host/shop?ssl_key={SECRET}&charset=utf8",
    ],
)
def test_a_password_is_hidden_wherever_it_was_given(given: str) -> None:
    """The text that was given, and the password on its own as a driver would name it."""
    mask = Mask(["purge", given])

    assert SECRET not in mask(f"unexpected argument ({given})")
    assert mask(f'the password "{SECRET}" is wrong') == 'the password "***" is wrong'


@pytest.mark.parametrize("spelled", ["s3%20cr%2F3t%25%26%40x", "s3+cr%2F3t%25%26%40x", SIGNS])
def test_a_password_is_hidden_however_it_is_spelled(spelled: str) -> None:
    """As in a URL, or as it is."""
    mask = Mask(["postgresql://app:s3%20cr%2F3t%25%26%40x@host/shop"])

    assert mask(f"<{spelled}>") == "<***>"


def test_a_torn_url_is_hidden_in_every_piece() -> None:
    """A shell takes apart at blanks what was not quoted."""
    mask = Mask(["purge", "--url", "postgresql://app:my", "dear", "secret@host/shop", "--dry-run"])

    assert mask("unexpected arguments (dear secret@host/shop)") == "unexpected arguments (*** ***)"
    assert mask("--dry-run") == "--dry-run"


def test_short_passwords_do_not_spoil_everything() -> None:
    """They are hidden as words, so that an error is still to be read."""
    mask = Mask(["postgresql://root:a@host/shop"])

    assert mask("a bad day, says 'a'") == "*** bad day, says '***'"


@pytest.mark.parametrize("given", [[], [""], ["stats", "--table", "t"], ["sqlite:///s.db"]])
def test_without_a_password_nothing_is_hidden(given: list[str]) -> None:
    """An error keeps all that it has to say."""
    text = "stats of sqlite:///s.db --table t failed"

    assert Mask(given)(text) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--url", URL],
        ["purge", "--url", URL],
        ["stats", "--url", URL, "extra"],
        ["stats", URL],
        [URL],
        ["check", f"--utl={URL}"],
        ["check", "--url", f"oracle://app:{SECRET}@host/shop"],
        ["check", "--url", f"postgresql://app:{SECRET}@host:port/shop"],
        ["check", "--url", f"postgresql+pg8000://app:{SECRET}@host/shop"],
        ["check", "--url", f"app:{SECRET}@host/shop"],
        ["check", "--url", URL, "--table", ""],
        ["purge", "--batch-size", URL, "--url", URL],
        ["purge", "--pause", URL, "--url", URL],
        ["upgrade", "--url", URL, URL, URL],
        ["sql", URL],
        ["sql", "postgresql", URL],
    ],
)
def test_no_mistake_shows_a_password(local: Command, arguments: list[str]) -> None:
    """Neither usage errors nor those of the way to the database."""
    ended = local.run(*arguments)

    assert ended.code in {1, 2, 75}
    assert ended.err != ""
    assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize("name", ["", *application.commands])
def test_help_shows_no_variable(local: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The database of the environment is no default to be printed."""
    monkeypatch.setenv("SESSIONSTORE_URL", URL)

    ended = local.run(*filter(None, [name]), "--help")

    assert (ended.code, ended.err) == (0, "")
    assert SECRET not in ended.out


def test_a_traceback_shows_no_password(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the program says where it is, and no more than that."""

    def fail(*_: Any) -> None:
        raise RuntimeError(f"{URL} with {SECRET}")

    monkeypatch.setattr(migrations, "run", fail)
    monkeypatch.setenv("SESSIONSTORE_URL", URL)

    ended = local.run("current")

    assert ended.code == 1
    assert "Traceback" in ended.err
    assert 'raise RuntimeError(f"{URL} with {SECRET}")' in ended.err
    assert "RuntimeError: *** with ***" in ended.err
    assert SECRET not in ended.err.replace("{SECRET}", "")


def test_what_is_logged_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    """Asyncio logs the tracebacks of forgotten tasks, for example."""
    logger = logging.getLogger("somebody")
    with masked_logging(Mask([URL])):
        logger.error("lost %s", URL)
        logger.warning("not for an operator")
        logger.error("failed", exc_info=ValueError(SECRET))

    shown = capsys.readouterr().err
    assert "ERROR somebody: lost ***\n" in shown
    assert "ValueError: ***" in shown
    assert "operator" not in shown
    assert SECRET not in shown


def test_a_process_shows_no_password() -> None:
    """Not even what the interpreter itself would print."""
    done = process("purge", environment={"SESSIONSTORE_URL": URL})

    assert done.returncode == 75
    assert "127.0.0.1:1/shop is away or busy" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_the_query_of_a_url_out_of_place_is_not_shown(local: Command) -> None:
    """Any option of a driver's can hold a secret, whatever it is called."""
    ended = local("current", f"sqlite:///other.db?option={SECRET}")

    assert ended.code == 2
    assert "unexpected extra argument (***)" in ended.err
    assert SECRET not in ended.err
