"""What the README shows, done: its examples run, its SQL works, its privileges are enough."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.schema import key_of
from tests.databases import Target

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SQL = [code for language, code in BLOCKS if language == "sql"]
CONSOLE = [code for language, code in BLOCKS if language == "console"]
HOUR = timedelta(hours=1)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would, with this checkout importable."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("SESSIONSTORE_URL", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_readme_has_examples() -> None:
    """The pattern above finds them."""
    assert len(PYTHON) >= 8
    assert len(SQL) == 4


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_an_example_runs(number: int, tmp_path: Path) -> None:
    """As it stands, in an empty folder; what later examples take as given is there."""
    if number > 0:
        migrated = run([sys.executable, "-c", PYTHON[0]], tmp_path)
        assert migrated.returncode == 0, migrated.stderr
    example = tmp_path / "test_example.py"
    example.write_text(PYTHON[number], encoding="utf-8")
    is_test = "class Test" in PYTHON[number]
    command = ["-W", "error", str(example)]
    if is_test:
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)]
    result = run([sys.executable, *command], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_first_example_says_what_it_did(tmp_path: Path) -> None:
    """It does the main job, not nothing."""
    result = run([sys.executable, "-c", PYTHON[0]], tmp_path)
    assert result.stdout == "0 expired sessions removed\n"
    assert (tmp_path / "sessions.db").exists()


@pytest.mark.parametrize("command", ["upgrade head", "check", "upgrade head --sql"])
def test_the_commands_of_the_shell_work(command: str, tmp_path: Path) -> None:
    """The README names them; here at a SQLite file."""
    assert f"test {command}" in "".join(CONSOLE)
    url = f"url=sqlite:///{tmp_path / 'sessions.db'}"
    alembic = [sys.executable, "-m", "alembic", "-x", url]
    if command == "check":
        run([*alembic, "upgrade", "head"], ROOT)
    result = run([*alembic, *command.split()], ROOT)
    assert result.returncode == 0, result.stderr


def test_the_commands_of_make_exist() -> None:
    """What the README tells to run is what the Makefile has."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^\$ make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.anyio
async def test_a_row_is_read_by_hand(store: SQLSessionStore, url: URL, target: Target) -> None:
    """The query for this database finds the session by the id from the cookie."""
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({"user": "ада"}, HOUR))
    query = SQL[{"postgresql": 1, "mysql": 2, "mariadb": 2, "sqlite": 3}[target.database]]
    query = query.replace("the id from the cookie", session_id.value)
    query = query.replace("the digest", key_of(session_id).hex())
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        row = (await connection.exec_driver_sql(query.replace("\\", ""))).one()
    assert row.expires is not None
    assert row.state in ({"user": "ада"}, '{"user":"ада"}')


@pytest.mark.anyio
async def test_the_privileges_are_enough(store: SQLSessionStore, url: URL, target: Target) -> None:
    """A user with those of the README, and no others, can do everything but migrate."""
    if target.database == "sqlite":
        pytest.skip("SQLite has no users")
    name, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    grants = [line.partition(";")[0] for line in SQL[0].splitlines() if line.startswith("GRANT")]
    if target.database == "postgresql":
        make = [f"CREATE USER {name} PASSWORD '{password}'", *grants[:2]]
        drop = [f"DROP OWNED BY {name}", f"DROP USER {name}"]
    else:
        make = [f"CREATE USER {name} IDENTIFIED BY '{password}'", *grants[2:]]
        drop = [f"DROP USER {name}"]
    make = [
        each.replace("shop.", f"{url.database}.").replace("TO app", f"TO {name}") for each in make
    ]
    admin = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        for statement in make:
            await connection.execute(text(statement))
    try:
        async with SQLSessionStore(url.set(username=name, password=password)) as limited:
            ids = [SessionId.generate() for _ in range(4)]
            for session_id in ids[:3]:
                await limited.create(session_id, SessionRecord({}, HOUR))
            await limited.update(ids[0], SessionRecord({"a": 1}, timedelta(0)))
            await limited.create(ids[0], SessionRecord({"a": 2}, HOUR))
            await limited.update_ttl(ids[1], timedelta(0))
            await limited.change_id(ids[0], ids[1])
            await limited.change_id(ids[1], ids[3])
            await limited.delete(ids[2])
            assert await limited.load(ids[3]) is not None
            await limited.create(ids[0], SessionRecord({}, timedelta(0)))
            assert await limited.delete_expired(batch_size=5) == 1
            await migrate.check(limited.engine)
    finally:
        async with admin.connect() as connection:
            for statement in drop:
                await connection.execute(text(statement))


@pytest.mark.anyio
async def test_other_names_in_code(url: URL, target: Target) -> None:
    """The store and the migrations take the same options."""
    table = f"logins_{secrets.token_hex(4)}"
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, table=table) as store:
        await store.create(SessionId("a"), SessionRecord({}, HOUR))
    await migrate.downgrade(url, "base", table=table)
