"""The commands that create, change and check the table."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import migrate
from tests.cli.running import ROOT, Command, Ended, process, shown
from tests.cli.terminals import in_terminal
from tests.databases import DATABASES
from tests.migrations.databases import ODD_NAMES, alembic, run_script

HEAD = "sessionstore_0002"


def lines(ended: Ended) -> list[str]:
    """Return the lines that a successful command has printed."""
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


@pytest.mark.every_driver
def test_from_nothing_to_a_table_and_back(command: Command) -> None:
    """Each command prints the table it works on, and what it did."""
    place = f"{command.table} on {command.url.get_backend_name()}://"

    first = lines(command("upgrade"))
    again = lines(command("upgrade"))
    current = lines(command("current"))
    check = lines(command("check"))
    down = lines(command("downgrade", "base", "--yes"))

    assert first[0].startswith(place)
    assert first[1] == f"From base to {HEAD}."
    assert again[1] == f"At {HEAD}: nothing to do."
    assert current == [HEAD]
    assert check[1] == f"At {HEAD}, as expected."
    assert down[0].startswith(place)
    assert down[1] == f"From {HEAD} to base."
    assert lines(command("current")) == ["base"]


def test_the_schema_is_respected(command: Command) -> None:
    """The table is created in the schema that was named."""

    async def default_schema(engine: AsyncEngine) -> str | None:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: inspect(sync).default_schema_name)

    schema = command.on_database(default_schema)
    assert isinstance(schema, str)

    made = lines(command("upgrade", "--schema", schema))

    assert made[0].startswith(f"{schema}.{command.table} on ")
    assert lines(command("current", "--schema", schema)) == [HEAD]


def test_a_missing_table_is_not_up_to_date(command: Command) -> None:
    """The exit code asks for an upgrade, and the message names the command."""
    command.execute("CREATE TABLE IF NOT EXISTS other (id INTEGER)")  # creates the file of SQLite

    ended = command("check")

    assert (ended.code, ended.out) == (3, "")
    assert f"{command.table} on " in ended.err
    assert " does not exist: run `sessionstore-sql upgrade`" in ended.err
    assert "sessionstore-sql upgrade" in ended.err


def test_a_newer_table_needs_newer_code(made: Command) -> None:
    """This version cannot upgrade it, so the message does not ask for an upgrade."""
    made.execute(f"UPDATE {made.table}_version SET version_num = 'from_the_future'")

    ended = made("check")

    assert ended.code == 3
    assert "is at from_the_future" in ended.err
    assert "newer version" in ended.err
    assert "upgrade`" not in ended.err


def test_a_later_addition_is_as_it_should_be(made: Command) -> None:
    """A process of this version can start while the next one is being deployed."""
    made.execute(f"ALTER TABLE {made.table} ADD COLUMN later INTEGER")
    made.execute(f"UPDATE {made.table}_version SET version_num = 'sessionstore_0003'")

    ended = made("check")

    assert (ended.code, ended.err) == (0, "")
    assert "At sessionstore_0003, as expected." in ended.out


def test_a_table_changed_by_hand_is_different(made: Command) -> None:
    """It is at the right revision, so an upgrade would not fix it."""
    on = f" ON {made.table}" if made.url.get_backend_name() in {"mysql", "mariadb"} else ""
    made.execute(f"DROP INDEX {made.table}_expiry_bucket{on}")

    ended = made("check")

    assert (ended.code, ended.out) == (4, "")
    assert "add_index" in ended.err


def test_a_table_of_another_application_is_left_alone(command: Command) -> None:
    """If the name is taken, the upgrade fails and needs manual action."""
    command.execute(f"CREATE TABLE {command.table} (id INTEGER)")

    ended = command("upgrade")

    assert (ended.code, ended.out) == (1, "")
    assert "is not a session table" in ended.err


def test_an_unknown_revision_is_an_error(made: Command) -> None:
    """The table is not changed."""
    ended = made("upgrade", "nowhere")

    assert ended.code == 1
    assert "nowhere" in ended.err
    assert made("check").code == 0


def test_without_a_terminal_a_downgrade_needs_yes(
    made: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot ask for confirmation, so it changes nothing."""
    with Path(os.devnull).open() as empty:
        for stdin in (None, empty):
            monkeypatch.setattr("sys.stdin", stdin)

            ended = made("downgrade", "base")

            assert ended.code == 2
            assert "--yes" in ended.err
    assert made("check").code == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, "base"), ("n", 130, HEAD)])
def test_a_downgrade_asks_first(local: Command, answer: str, code: int, left: str) -> None:
    """On a terminal it warns and asks, and only continues after a yes."""
    local("upgrade")

    ended = in_terminal(
        ["downgrade", "base", *local.place], keys=f"{answer}\n", await_text="Continue?"
    )

    assert ended.code == code
    assert "columns of later revisions will be lost" in ended.out
    assert local("current").out.strip() == left


def test_ctrl_c_at_the_question_is_a_no(local: Command) -> None:
    """Nothing is changed, and the exit code is that of SIGINT."""
    local("upgrade")

    ended = in_terminal(
        ["downgrade", "base", *local.place],
        keys="\x03",
        await_text="Continue?",
        repeat_keys=True,
    )

    assert ended.code == 130
    assert "Nothing was changed" in ended.out
    assert local("check").code == 0


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "drivername",
    ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql", "mysql+asyncmy"],
)
@pytest.mark.parametrize("name", ["upgrade", "current", "check"])
def test_a_silent_server_is_unreachable(
    drivername: str, name: str, silent_port: int, local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command waits indefinitely for a connection."""
    monkeypatch.setattr(migrate.connecting, "CONNECT_TIMEOUT_S", 0.2)

    ended = local.run(name, "--url", f"{drivername}://app@127.0.0.1:{silent_port}/none")

    assert ended.code == 75
    assert "try again later" in ended.err


@pytest.mark.parametrize("name", ["downgrade", "current", "check", "purge", "stats"])
def test_a_missing_file_stays_missing(local: Command, name: str) -> None:
    """A mistyped path creates no database. The error shows the path and the folder."""
    more = ["base", "--yes"] if name == "downgrade" else []

    ended = local(name, *more)

    assert (ended.code, ended.out) == (3, "")
    assert f"the file {local.url.database} does not exist" in ended.err
    assert str(Path.cwd()) in ended.err
    assert not Path(str(local.url.database)).exists()


@pytest.mark.parametrize("backend", DATABASES)
def test_a_script_is_what_alembic_prints(local: Command, backend: str) -> None:
    """The output is the same, byte by byte."""
    ended = local.run("sql", backend)

    expected = alembic("-x", f"url={backend}://", "upgrade", "head", "--sql")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == expected.stdout


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("backend", DATABASES)
def test_a_script_quotes_names(local: Command, backend: str, name: str) -> None:
    """The script contains the quoted names of table and schema."""
    quote = "`" if backend in {"mysql", "mariadb"} else '"'
    quoted = name.replace(quote, quote * 2)

    ended = local.run("sql", backend, "--table", name, "--schema", "of 100%")

    assert f"CREATE TABLE {quote}of 100%{quote}.{quote}{quoted}{quote} (" in ended.out


def test_scripts_do_what_the_commands_do(url: URL, command: Command) -> None:
    """The scripts for upgrade and downgrade have the effect of the commands."""
    backend = url.get_backend_name()

    up = command.run("sql", backend, "--table", command.table).out
    down = command.run(
        "sql", backend, "base", "--downgrade", "--from", "head", "--table", command.table
    ).out

    async def run_both() -> None:
        engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await run_script(connection, up)
            await migrate.check(url, table=command.table)
            await run_script(connection, down)
        await engine.dispose()
        assert await migrate.current(url, table=command.table) is None

    asyncio.run(run_both())


def test_a_script_can_start_anywhere(local: Command) -> None:
    """From the newest revision, the script contains nothing to do."""
    ended = local.run("sql", "postgresql", "--from", HEAD)

    assert ended.code == 0
    assert "CREATE" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sql"], "{postgresql|mysql|mariadb|sqlite}"),
        (["sql", "oracle"], "oracle"),
        (["sql", "postgresql", "nowhere"], "nowhere"),
        (["sql", "postgresql", "base", "--downgrade"], "--from"),
    ],
)
def test_wrong_arguments_for_a_script_are_reported(
    local: Command, arguments: list[str], message: str
) -> None:
    """The message names what is missing or unknown."""
    ended = local.run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_a_script_needs_no_driver(tmp_path: Path) -> None:
    """The command works if no driver is installed."""
    drivers = ["aiomysql", "aiosqlite", "asyncmy", "asyncpg", "psycopg", "pymysql"]
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in drivers)
    (tmp_path / "sitecustomize.py").write_text(f"import sys\n{blocked}\n")

    for backend in DATABASES:
        done = process("sql", backend, environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
        assert (done.returncode, done.stderr) == (0, "")
        assert "CREATE TABLE" in done.stdout


def test_the_variable_names_the_database(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option takes precedence over the variable."""
    monkeypatch.setenv("SESSIONSTORE_URL", shown(local.url))
    assert local.run("upgrade").code == 0

    monkeypatch.setenv("SESSIONSTORE_URL", "postgresql://app@nowhere.invalid/none")
    assert local.run("check", "--url", shown(local.url)).code == 0


def test_concurrent_upgrades_all_succeed(command: Command) -> None:
    """One of several processes creates the table, and the others wait for it."""
    running = [command.start("upgrade") for _ in range(3)]

    ended = [each.communicate(timeout=120) for each in running]

    assert [each.returncode for each in running] == [0, 0, 0], ended
    assert command("check").code == 0
