"""What the exit code says, and where messages go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql.command_line import migrations
from sessionstore_sql.command_line.application import application
from sessionstore_sql.command_line.exit_codes import ExitCode
from tests.cli.running import COMMAND, ROOT, Command, clean_environment, process, shown

NAMES = ["upgrade", "current", "check", "purge", "stats"]


@pytest.mark.parametrize(
    "drivername",
    ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql", "mysql+asyncmy"],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_database_that_is_away_is_worth_another_try(
    local: Command, drivername: str, name: str
) -> None:
    """Nothing listens there now."""
    ended = local.run(name, "--url", f"{drivername}://app@127.0.0.1:1/shop")

    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith(f"Error: {drivername.partition('+')[0]}://127.0.0.1:1/shop is away")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_is_for_a_person(url: URL, local: Command, name: str) -> None:
    """A database that doesn't exist won't the next time, either."""
    if url.get_backend_name() == "sqlite":
        refused = url.set(database="/nowhere/at/all.db" if name == "upgrade" else "/dev/null/x")
    else:
        refused = url.set(database="nowhere_at_all")

    ended = local.run(name, "--url", shown(refused))

    if url.get_backend_name() == "sqlite" and name != "upgrade":
        assert ended.code == 3  # there is no such file
    else:
        assert ended.code == 1
        assert "refused" in ended.err
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
    """What is wrong is said, with the way to the help."""
    ended = local.run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "--help" in ended.err


def test_help_is_for_the_standard_output(local: Command) -> None:
    """Where it was asked for; it lists the commands in the order of their use, and every code."""
    ended = local.run("--help")

    assert (ended.code, ended.err) == (0, "")
    order = [line.split()[0] for line in ended.out.partition("Commands:\n")[2].splitlines()[:7]]
    assert order == ["upgrade", "downgrade", "current", "check", "sql", "purge", "stats"]
    codes = ended.out.partition("Exit codes:\n")[2].replace(",", "").split()
    assert {int(each) for each in codes if each.isdigit()} == set(ExitCode)


def test_every_option_is_explained() -> None:
    """No help is left empty."""
    unexplained = [
        (command.name, parameter.name)
        for command in application.commands.values()
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]

    assert unexplained == []


def test_a_missing_driver_names_its_extra(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each kind of command; the driver of another database is no help."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in NAMES:
        ended = local.run(name, "--url", "postgresql://app@127.0.0.1:1/shop")

        assert ended.code == 2
        assert "pip install 'sessionstore-sql[asyncpg]'" in ended.err


def test_a_fault_in_the_program_is_shown(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its traceback, for who mends it."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by the test")

    monkeypatch.setattr(migrations, "run", fail)

    ended = local("current")

    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "ZeroDivisionError: by the test" in ended.err


@pytest.mark.parametrize("extra", ["click", "rich"])
def test_without_its_extra_the_command_says_so(tmp_path: Path, extra: str) -> None:
    """In one line, by each way to call it."""
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


def test_another_missing_module_is_not_the_extra(tmp_path: Path) -> None:
    """What is broken otherwise isn't mended by an extra."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['alembic'] = None\n")

    done = process("stats", environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})

    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "sessionstore-sql[cli]" not in done.stderr


def test_the_version_is_the_package_s(local: Command) -> None:
    """For who reports a fault."""
    ended = local.run("--version")

    assert ended.code == 0
    assert ended.out.startswith("sessionstore-sql, version ")


@pytest.mark.parametrize("name", ["stats", "purge", "check", "sql"])
def test_nobody_reads_on(local: Command, name: str) -> None:
    """The exit code is that of SIGPIPE, and not a word is lost about it."""
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
def test_a_full_disk_is_no_fault_of_the_database(local: Command, name: str) -> None:
    """An output that can't be written is said, and never taken for a database that is busy."""
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


def test_a_closed_output_is_no_trouble(local: Command) -> None:
    """A daemon can have none; the work is done all the same."""
    local("upgrade")
    command = " ".join([*COMMAND, "purge", *local.place, ">&-"])

    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=clean_environment(), capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_table_of_any_name_can_be_said(local: Command) -> None:
    """Even where the encoding of the output doesn't have its letters."""
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
