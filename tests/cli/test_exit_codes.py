"""Exit codes, and which output goes to standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql.cli import migrations
from sessionstore_sql.cli.application import application
from sessionstore_sql.cli.exit_codes import ExitCode
from tests.cli.running import COMMAND, ROOT, Command, clean_environment, process, shown

NAMES = ["upgrade", "current", "check", "purge", "stats"]


@pytest.mark.parametrize(
    "drivername",
    ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql", "mysql+asyncmy"],
)
@pytest.mark.parametrize("name", NAMES)
def test_an_unreachable_database_asks_for_another_try(
    local: Command, drivername: str, name: str
) -> None:
    """No server listens on the port."""
    ended = local.run(name, "--url", f"{drivername}://app@127.0.0.1:1/shop")

    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith(
        f"Error: {drivername.partition('+')[0]}://127.0.0.1:1/shop is unreachable"
    )
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.every_driver
def test_a_rejection_needs_manual_action(url: URL, local: Command, name: str) -> None:
    """Connecting to a database that does not exist would fail again."""
    if url.get_backend_name() == "sqlite":
        rejected = url.set(database="/nowhere/at/all.db" if name == "upgrade" else "/dev/null/x")
    else:
        rejected = url.set(database="nowhere_at_all")

    ended = local.run(name, "--url", shown(rejected))

    if url.get_backend_name() == "sqlite" and name != "upgrade":
        assert ended.code == 3  # there is no such file
    else:
        assert ended.code == 1
        is_file = url.get_backend_name() == "sqlite"
        expected = "rejected" if is_file else "/nowhere_at_all does not exist: create the database"
        assert expected in ended.err
    assert ended.out == ""
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Commands:"),
        (["nothing"], "No such command 'nothing'"),
        (["stats"], "SESSIONSTORE_URL"),
        (["stats", "--url", "nonsense"], "cannot be parsed"),
        (["stats", "--url", "oracle://host/shop"], "'oracle' is not supported"),
        (["stats", "--url", "sqlite://"], "in-memory"),
        (["upgrade", "--url", "sqlite://"], "in-memory"),
        (["stats", "--url", "sqlite:///s.db", "--table", "x" * 49], "1 to 48 bytes"),
        (["stats", "--url", "sqlite:///s.db", "--schema", ""], "1 to 48 bytes"),
        (["purge", "--url", "sqlite:///s.db", "--batch-size", "0"], "x>=1"),
        (["purge", "--url", "sqlite:///s.db", "--pause", "soon"], "250ms, 90s, 5m or 1h30m"),
        (["purge", "--url", "sqlite:///s.db", "--max-time", "-1"], "250ms"),
        (["purge", "--url", "sqlite:///s.db", "--max-time", "9" * 20], "too long"),
        (["downgrade", "--url", "sqlite:///s.db"], "REVISION"),
    ],
)
def test_wrong_usage_connects_to_nothing(
    local: Command, arguments: list[str], message: str
) -> None:
    """The message names the error and the option for help."""
    ended = local.run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "--help" in ended.err


def test_help_goes_to_standard_output(local: Command) -> None:
    """It lists the commands in the order of their use, and every exit code."""
    ended = local.run("--help")

    assert (ended.code, ended.err) == (0, "")
    order = [line.split()[0] for line in ended.out.partition("Commands:\n")[2].splitlines()[:7]]
    assert order == ["upgrade", "downgrade", "current", "check", "sql", "purge", "stats"]
    codes = ended.out.partition("Exit codes:\n")[2].replace(",", "").split()
    assert {int(each) for each in codes if each.isdigit()} == set(ExitCode)


def test_every_option_is_explained() -> None:
    """Each option has a help text."""
    unexplained = [
        (command.name, parameter.name)
        for command in (application, *application.commands.values())
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]

    assert unexplained == []


def test_a_missing_driver_names_its_extra(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command names the extra that installs the missing driver."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in NAMES:
        ended = local.run(name, "--url", "postgresql://app@127.0.0.1:1/shop")

        assert ended.code == 2
        assert "pip install 'sessionstore-sql[asyncpg]'" in ended.err


def test_a_bug_is_shown_with_its_traceback(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is needed to fix it."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("simulated")

    monkeypatch.setattr(migrations, "run", fail)

    ended = local("current")

    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "ZeroDivisionError: simulated" in ended.err


@pytest.mark.parametrize("extra", ["click", "rich"])
def test_a_missing_extra_is_named(tmp_path: Path, extra: str) -> None:
    """The message is one line, however the command is called."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{extra!r}] = None\n")
    script = Path(sys.executable).parent / "sessionstore-sql"

    for command in (COMMAND, [str(script)]):
        done = subprocess.run(
            [*command, "stats"],
            env=clean_environment({"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"sessionstore-sql needs {extra}: pip install 'sessionstore-sql[cli]'\n"
        )


def test_another_missing_module_is_not_blamed_on_the_extra(tmp_path: Path) -> None:
    """Installing the extra would not fix it."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['alembic'] = None\n")

    done = process("stats", environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})

    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "sessionstore-sql[cli]" not in done.stderr


def test_the_version_is_the_package_s(local: Command) -> None:
    """The version of the command is that of the package."""
    ended = local.run("--version")

    assert ended.code == 0
    assert ended.out.startswith("sessionstore-sql, version ")


@pytest.mark.parametrize("name", ["stats", "purge", "check", "sql"])
def test_a_closed_pipe_is_quiet(local: Command, name: str) -> None:
    """The exit code is that of SIGPIPE, and no error is printed."""
    local("upgrade")
    arguments = ["sql", "postgresql"] if name == "sql" else [name, *local.place]
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=clean_environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", ["purge", "sql"])
def test_a_full_disk_is_not_blamed_on_the_database(local: Command, name: str) -> None:
    """Output that cannot be written is reported, and the exit code is not 75."""
    local("upgrade")
    arguments = ["sql", "postgresql"] if name == "sql" else [name, *local.place]

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.returncode == 1
    assert done.stderr == "Error: cannot write the output: No space left on device\n"


def test_a_command_works_without_standard_output(local: Command) -> None:
    """A daemon may have closed it."""
    local("upgrade")
    command = " ".join([*COMMAND, "purge", *local.place, ">&-"])

    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=clean_environment(), capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_table_of_any_name_can_be_printed(local: Command) -> None:
    """Characters that the encoding of the output lacks are escaped."""
    done = process(
        "upgrade",
        "--url",
        shown(local.url),
        "--table",
        "Zürich [bold] 100%",
        environment={"PYTHONIOENCODING": "ascii"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Z\\xfcrich [bold] 100% on sqlite:///")
