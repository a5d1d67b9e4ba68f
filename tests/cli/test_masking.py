"""No password is printed, whatever fails."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sessionstore_sql.cli import migrations
from sessionstore_sql.cli.application import application
from sessionstore_sql.cli.masking import Mask, masked_logging
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
    """The argument is hidden, and the password on its own, as drivers quote it."""
    mask = Mask(["purge", given])

    assert SECRET not in mask(f"unexpected argument ({given})")
    assert mask(f'the password "{SECRET}" is wrong') == 'the password "***" is wrong'


@pytest.mark.parametrize("spelled", ["s3%20cr%2F3t%25%26%40x", "s3+cr%2F3t%25%26%40x", SIGNS])
def test_a_password_is_hidden_however_it_is_spelled(spelled: str) -> None:
    """A password can be quoted as in a URL, or not."""
    mask = Mask(["postgresql://app:s3%20cr%2F3t%25%26%40x@host/shop"])

    assert mask(f"<{spelled}>") == "<***>"


def test_every_piece_of_a_split_url_is_hidden() -> None:
    """A shell splits an unquoted argument at blanks."""
    mask = Mask(["purge", "--url", "postgresql://app:my", "dear", "secret@host/shop", "--dry-run"])

    assert mask("unexpected arguments (dear secret@host/shop)") == "unexpected arguments (*** ***)"
    assert mask("--dry-run") == "--dry-run"


def test_short_passwords_leave_messages_readable() -> None:
    """A password is only hidden where it is a whole word."""
    mask = Mask(["postgresql://root:a@host/shop"])

    assert mask("a bad day, says 'a'") == "*** bad day, says '***'"


@pytest.mark.parametrize("given", [[], [""], ["stats", "--table", "t"], ["sqlite:///s.db"]])
def test_without_a_password_nothing_is_hidden(given: list[str]) -> None:
    """The message is unchanged."""
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
def test_no_error_shows_a_password(local: Command, arguments: list[str]) -> None:
    """Neither usage errors nor connection errors contain it."""
    ended = local.run(*arguments)

    assert ended.code in {1, 2, 75}
    assert ended.err != ""
    assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize("name", ["", *application.commands])
def test_help_shows_no_password_of_the_variable(
    local: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The URL in the environment is not printed as a default."""
    monkeypatch.setenv("SESSIONSTORE_URL", URL)

    ended = local.run(*filter(None, [name]), "--help")

    assert (ended.code, ended.err) == (0, "")
    assert SECRET not in ended.out


def test_a_traceback_shows_no_password(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback of a bug shows the code, and no values."""

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


def test_log_lines_show_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    """Asyncio, for example, logs the traceback of a task that failed."""
    logger = logging.getLogger("driver")
    with masked_logging(Mask([URL])):
        logger.error("lost %s", URL)
        logger.warning("not for an operator")
        logger.error("failed", exc_info=ValueError(SECRET))

    shown = capsys.readouterr().err
    assert "ERROR driver: lost ***\n" in shown
    assert "ValueError: ***" in shown
    assert "operator" not in shown
    assert SECRET not in shown


def test_a_process_shows_no_password() -> None:
    """Output of the interpreter itself contains none either."""
    done = process("purge", environment={"SESSIONSTORE_URL": URL})

    assert done.returncode == 75
    assert "127.0.0.1:1/shop is unreachable or busy" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_the_query_of_a_misplaced_url_is_not_shown(local: Command) -> None:
    """Any option of a driver can contain a secret."""
    ended = local("current", f"sqlite:///other.db?option={SECRET}")

    assert ended.code == 2
    assert "unexpected extra argument (***)" in ended.err
    assert SECRET not in ended.err
