"""The commands that make the table, change it, and see that it is what it should be."""

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

HEAD = "sessionstore_0001"


def lines(ended: Ended) -> list[str]:
    """Return what was printed, which has to have gone well."""
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


def test_from_nothing_to_a_table_and_back(command: Command) -> None:
    """Each command says which sessions it is about, and what it did."""
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
    assert check[1] == f"At {HEAD}, as it should be."
    assert down[0].startswith(place)
    assert down[1] == f"From {HEAD} to base."
    assert lines(command("current")) == ["base"]


def test_the_schema_is_respected(command: Command) -> None:
    """The table of the schema that was named is the one that is made."""

    async def default_schema(engine: AsyncEngine) -> str | None:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: inspect(sync).default_schema_name)

    schema = command.on_database(default_schema)
    assert isinstance(schema, str)

    made = lines(command("upgrade", "--schema", schema))

    assert made[0].startswith(f"{schema}.{command.table} on ")
    assert lines(command("current", "--schema", schema)) == [HEAD]


def test_a_table_that_was_never_made_is_not_up_to_date(command: Command) -> None:
    """The exit code is that of an upgrade which is due, and the message names the command."""
    command.execute("CREATE TABLE IF NOT EXISTS somebody_elses (id INTEGER)")  # SQLite: a file

    ended = command("check")

    assert (ended.code, ended.out) == (3, "")
    assert f"is at base, and this version works with {HEAD}" in ended.err
    assert "sessionstore-sql upgrade" in ended.err


def test_a_newer_table_is_for_newer_code(made: Command) -> None:
    """An upgrade by this version would not help, so none is proposed."""
    made.execute(f"UPDATE {made.table}_version SET version_num = 'from_the_future'")

    ended = made("check")

    assert ended.code == 3
    assert "is at from_the_future" in ended.err
    assert "newer version" in ended.err
    assert "upgrade`" not in ended.err


def test_a_table_changed_by_hand_is_different(made: Command) -> None:
    """It is at the right revision, so that an upgrade would not mend it."""
    on = f" ON {made.table}" if made.url.get_backend_name() in {"mysql", "mariadb"} else ""
    made.execute(f"DROP INDEX {made.table}_expiry_bucket{on}")

    ended = made("check")

    assert (ended.code, ended.out) == (4, "")
    assert "add_index" in ended.err


def test_another_table_is_never_claimed(command: Command) -> None:
    """Where the name is taken, a person has to look."""
    command.execute(f"CREATE TABLE {command.table} (id INTEGER)")

    ended = command("upgrade")

    assert (ended.code, ended.out) == (1, "")
    assert "holds something else than sessions" in ended.err


def test_an_unknown_revision_is_an_error(made: Command) -> None:
    """Nothing is changed."""
    ended = made("upgrade", "nowhere")

    assert ended.code == 1
    assert "nowhere" in ended.err
    assert made("check").code == 0


def test_nobody_is_asked_where_nobody_is(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without --yes, a downgrade does nothing."""
    with Path(os.devnull).open() as nobody:
        for stdin in (None, nobody):
            monkeypatch.setattr("sys.stdin", stdin)

            ended = made("downgrade", "base")

            assert ended.code == 2
            assert "--yes" in ended.err
    assert made("check").code == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, "base"), ("n", 130, HEAD)])
def test_a_downgrade_asks_first(local: Command, answer: str, code: int, left: str) -> None:
    """On a terminal it says what will be lost; anything but yes means no."""
    local("upgrade")

    ended = in_terminal(
        ["downgrade", "base", *local.place], keys=f"{answer}\n", await_text="Go on?"
    )

    assert ended.code == code
    assert "sessions will be lost" in ended.out
    assert local("current").out.strip() == left


def test_ctrl_c_at_the_question_is_a_no(local: Command) -> None:
    """Nothing was done, and the exit code is that of SIGINT."""
    local("upgrade")

    ended = in_terminal(["downgrade", "base", *local.place], keys="\x03", await_text="Go on?")

    assert ended.code == 130
    assert "Nothing was done" in ended.out
    assert local("check").code == 0


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "drivername",
    ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql", "mysql+asyncmy"],
)
@pytest.mark.parametrize("name", ["upgrade", "current", "check"])
def test_a_silent_server_is_away(
    drivername: str, name: str, silent_port: int, local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command waits for ever to be connected."""
    monkeypatch.setattr(migrate, "CONNECT_TIMEOUT_S", 0.2)

    ended = local.run(name, "--url", f"{drivername}://somebody@127.0.0.1:{silent_port}/none")

    assert ended.code == 75
    assert "try again later" in ended.err


@pytest.mark.parametrize("name", ["downgrade", "current", "check", "purge", "stats"])
def test_a_missing_file_stays_missing(local: Command, name: str) -> None:
    """A mistyped path makes no empty database, and is shown with where it was looked for."""
    more = ["base", "--yes"] if name == "downgrade" else []

    ended = local(name, *more)

    assert (ended.code, ended.out) == (3, "")
    assert f"no file {local.url.database}" in ended.err
    assert str(Path.cwd()) in ended.err
    assert not Path(str(local.url.database)).exists()


@pytest.mark.parametrize("backend", DATABASES)
def test_a_script_is_what_alembic_prints(local: Command, backend: str) -> None:
    """Byte by byte, with no more than the name of a database."""
    ended = local.run("sql", backend)

    expected = alembic("-x", f"url={backend}://", "upgrade", "head", "--sql")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == expected.stdout


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("backend", DATABASES)
def test_a_script_quotes_names(local: Command, backend: str, name: str) -> None:
    """Table and schema have their names in it, whatever those are."""
    quote = "`" if backend in {"mysql", "mariadb"} else '"'
    quoted = name.replace(quote, quote * 2)

    ended = local.run("sql", backend, "--table", name, "--schema", "of 100%")

    assert f"CREATE TABLE {quote}of 100%{quote}.{quote}{quoted}{quote} (" in ended.out


def test_scripts_do_what_the_commands_do(url: URL, command: Command) -> None:
    """Run by a database's own means, up and down."""
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
    """From the revision that the table is at, there is nothing to do."""
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
def test_a_script_of_nothing_is_wrong_usage(
    local: Command, arguments: list[str], message: str
) -> None:
    """The message names what is missing or unknown."""
    ended = local.run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_a_script_needs_no_driver(tmp_path: Path) -> None:
    """Nor is one looked for."""
    drivers = ["aiomysql", "aiosqlite", "asyncmy", "asyncpg", "psycopg", "pymysql"]
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in drivers)
    (tmp_path / "sitecustomize.py").write_text(f"import sys\n{blocked}\n")

    for backend in DATABASES:
        done = process("sql", backend, environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
        assert (done.returncode, done.stderr) == (0, "")
        assert "CREATE TABLE" in done.stdout


def test_the_variable_names_the_database(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the option goes before it."""
    monkeypatch.setenv("SESSIONSTORE_URL", shown(local.url))
    assert local.run("upgrade").code == 0

    monkeypatch.setenv("SESSIONSTORE_URL", "postgresql://nobody@nowhere.invalid/none")
    assert local.run("check", "--url", shown(local.url)).code == 0


def test_upgrades_together_queue_up(command: Command) -> None:
    """Of several processes one makes the table, and all succeed."""
    running = [command.start("upgrade") for _ in range(3)]

    ended = [each.communicate(timeout=120) for each in running]

    assert [each.returncode for each in running] == [0, 0, 0], ended
    assert command("check").code == 0
