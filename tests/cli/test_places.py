"""How the database and the table of a command are chosen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sessionstore_sql import migrate
from tests.cli.running import Command, process, shown

SECRET = "s3cr3t"
URL = f"postgresql://app:{SECRET}@127.0.0.1:1/shop"
NAMES = ["upgrade", "downgrade", "current", "check", "purge", "stats"]


@pytest.fixture
def url_file(local: Command, tmp_path: Path) -> Path:
    """A file with the URL of the command's database."""
    path = tmp_path / "url"
    path.write_text(f"{shown(local.url)}\n")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_options_can_come_before_the_command(local: Command, name: str) -> None:
    """Their position makes no difference."""
    local("upgrade")
    more = ["base", "--yes"] if name == "downgrade" else []

    ended = local.run(*local.place, name, *more)

    assert (ended.code, ended.err) == (0, "")


def test_the_options_can_be_split(local: Command) -> None:
    """Some of them can come before and others after the command."""
    local.run("--table", "logins", "upgrade", "--url", shown(local.url))

    ended = local.run("--url", shown(local.url), "check", "--table", "logins")

    assert ended.code == 0
    assert ended.out.startswith("logins on ")


def test_a_schema_can_come_before_the_command(local: Command) -> None:
    """SQLite has the schema main."""
    ended = local.run("--schema", "main", "--url", shown(local.url), "upgrade")

    assert ended.code == 0
    assert ended.out.startswith("main.sessionstore_sessions on ")


def test_the_table_of_a_script_can_come_before_the_command(local: Command) -> None:
    """The command sql has options for the table, too."""
    assert "CREATE TABLE logins (" in local.run("--table", "logins", "sql", "mysql").out


@pytest.mark.parametrize(
    "given",
    [
        ["--url", "sqlite:///one.db", "stats", "--url", "sqlite:///two.db"],
        ["--url", "sqlite:///one.db", "stats", "--url-file", "{file}"],
        ["--url-file", "{file}", "stats", "--url", "sqlite:///one.db"],
        ["stats", "--url-file", "{file}", "--url", "sqlite:///one.db"],
        ["--table", "one", "stats", "--table", "two", "--url", "sqlite:///one.db"],
        ["--schema", "one", "stats", "--schema", "two", "--url", "sqlite:///one.db"],
    ],
)
def test_different_values_are_rejected(local: Command, url_file: Path, given: list[str]) -> None:
    """It would be unclear which database or table is meant."""
    ended = local.run(*(each.replace("{file}", str(url_file)) for each in given))

    assert (ended.code, ended.out) == (2, "")
    assert "different" in ended.err


def test_the_same_value_may_be_given_twice(local: Command) -> None:
    """An alias may contain the options that are written again."""
    local("upgrade")

    assert local.run(*local.place, "check", *local.place).code == 0


@pytest.mark.parametrize("before", [True, False])
def test_a_file_can_contain_the_url(local: Command, url_file: Path, before: bool) -> None:
    """The option for the file can come before or after the command."""
    options = ["--url-file", str(url_file)]

    ended = local.run(*options, "upgrade") if before else local.run("upgrade", *options)

    assert (ended.code, ended.err) == (0, "")
    assert local("check").code == 0


def test_standard_input_can_contain_the_url(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hyphen stands for standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(shown(local.url)))

    assert local.run("upgrade", "--url-file", "-").code == 0


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of Unix")
def test_a_file_without_an_end_is_not_read_to_its_end(local: Command) -> None:
    """It contains no URL."""
    assert local.run("upgrade", "--url-file", "/dev/zero").code == 2


def test_a_process_reads_the_url_from_standard_input(local: Command) -> None:
    """A program that decrypts secrets can write to a pipe."""
    local("upgrade")

    done = process("current", "--url-file", "-", stdin=shown(local.url))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{migrate.newest_revision()}\n"


def test_a_variable_can_name_the_file(
    local: Command, url_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used if no option is given."""
    monkeypatch.setenv("SESSIONSTORE_URL_FILE", str(url_file))

    assert local.run("upgrade").code == 0

    url_file.unlink()
    assert local("check").code == 0


def test_two_variables_are_rejected(
    local: Command, url_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be unclear which one counts, unless an option is given."""
    monkeypatch.setenv("SESSIONSTORE_URL", shown(local.url))
    monkeypatch.setenv("SESSIONSTORE_URL_FILE", str(url_file))

    ended = local.run("upgrade")

    assert ended.code == 2
    assert "are both set" in ended.err
    assert local("upgrade").code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "a URL on one line"),
        (b"\n\n", "a URL on one line"),
        (b"sqlite:///one.db\nsqlite:///two.db\n", "a URL on one line"),
        (b"\xff\xfe", "UTF-8"),
        (b"nonsense", "cannot be parsed"),
        (b"sqlite://", "in-memory"),
    ],
)
@pytest.mark.parametrize("by_variable", [True, False])
def test_a_file_without_a_url_is_wrong_usage(  # noqa: PLR0913, PLR0917  # fixtures
    local: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    message: str,
    by_variable: bool,
) -> None:
    """The message says what is wrong, and where the path came from."""
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    if by_variable:
        monkeypatch.setenv("SESSIONSTORE_URL_FILE", str(path))

    ended = local.run("stats", *([] if by_variable else ["--url-file", str(path)]))

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ("SESSIONSTORE_URL_FILE" if by_variable else "--url-file") in ended.err


def test_a_path_with_a_nul_is_wrong_usage(local: Command) -> None:
    """Python raises ValueError for it."""
    assert local.run("stats", "--url-file", "a\0b").code == 2


def test_an_invalid_variable_is_named(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message does not blame an option that was not given."""
    monkeypatch.setenv("SESSIONSTORE_URL", f"oracle://app:{SECRET}@host/shop")

    ended = local.run("stats")

    assert ended.code == 2
    assert "SESSIONSTORE_URL: " in ended.err
    assert "not supported" in ended.err
    assert SECRET not in ended.err


@pytest.mark.parametrize("given", [["--url", "sqlite:///one.db"], ["--url-file", "{file}"]])
def test_a_script_rejects_a_url(local: Command, url_file: Path, given: list[str]) -> None:
    """The command sql connects to no database."""
    options = [each.replace("{file}", str(url_file)) for each in given]

    ended = local.run(*options, "sql", "mysql")

    assert (ended.code, ended.out) == (2, "")
    assert "omit the URL" in ended.err


def test_an_invalid_variable_does_not_matter_to_a_script(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables may be set for other commands."""
    monkeypatch.setenv("SESSIONSTORE_URL", "nonsense")

    assert local.run("sql", "mysql").code == 0


@pytest.mark.parametrize("name", ["check", "purge", "stats"])
def test_a_password_from_a_file_is_not_shown(local: Command, tmp_path: Path, name: str) -> None:
    """Connection errors do not contain it."""
    path = tmp_path / "url"
    path.write_text(URL)

    ended = local.run(name, "--url-file", str(path))

    assert ended.code == 75
    assert SECRET not in ended.out + ended.err


def test_a_password_from_a_file_is_hidden_in_tracebacks(
    local: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug may raise an error that quotes the URL."""
    path = tmp_path / "url"
    path.write_text(URL)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"{URL} with {SECRET}")

    monkeypatch.setattr("sessionstore_sql.cli.migrations.run", fail)

    ended = local.run("current", "--url-file", str(path))

    assert "RuntimeError: *** with ***" in ended.err
