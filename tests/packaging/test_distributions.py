"""The contents of the distributions, and the wheel in an empty environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sessionstore_sql"

pytestmark = pytest.mark.packaging

MAIN_JOB = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path

import sessionstore_sql
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate

async def main(url):
    await migrate.upgrade(url)
    async with SQLSessionStore(url) as store:
        session_id = SessionId.generate()
        await store.create(session_id, SessionRecord({"cart": ["tea"]}, timedelta(hours=1)))
        record = await store.load(session_id)
    assert record is not None
    assert record.state == {"cart": ["tea"]}
    await migrate.check(url)

for path in (sessionstore_sql.__file__, migrate.script_location()):
    assert Path(path).resolve().is_relative_to(Path(sys.prefix).resolve()), path
asyncio.run(main(sys.argv[1]))
print("done")
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and the wheel built from it."""
    if given := os.environ.get("SESSIONSTORE_TEST_DIST"):
        return ROOT / given
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist_names(dist: Path) -> set[str]:
    """The files in the sdist, without its top-level folder."""
    (found,) = dist.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_wheel_contains_one_package(wheel_names: set[str]) -> None:
    """The wheel contains only the package at the top level: no ``migrations``, no ``tests``."""
    top_level = {name.partition("/")[0] for name in wheel_names}

    assert {name for name in top_level if not name.endswith(".dist-info")} == {"sessionstore_sql"}


def test_wheel_contains_the_whole_package(wheel_names: set[str]) -> None:
    """The wheel contains every module, and the marker for type checkers."""
    modules = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}

    assert wheel_names >= modules | {"sessionstore_sql/py.typed"}


def test_wheel_contains_the_migrations(wheel_names: set[str]) -> None:
    """The wheel contains Alembic's environment and every revision inside the package."""
    revisions = {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}

    assert revisions
    assert wheel_names >= {
        "sessionstore_sql/migrations/env.py",
        *(f"sessionstore_sql/migrations/versions/{name}" for name in revisions),
    }


def test_wheel_contains_the_licence(wheel_names: set[str]) -> None:
    """The wheel contains the licence, which redistribution requires."""
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_sdist_contains_what_a_packager_runs(sdist_names: set[str]) -> None:
    """The sdist contains the tests, the migrations and Alembic's configuration."""
    assert sdist_names >= {
        "LICENSE",
        "Makefile",
        "README.md",
        "alembic.ini",
        "migrations/env.py",
        "pyproject.toml",
        "sessionstore_sql/py.typed",
        "tests/conftest.py",
    }


@pytest.mark.parametrize("names", ["wheel_names", "sdist_names"])
def test_no_leftovers_are_published(names: str, request: pytest.FixtureRequest) -> None:
    """The distributions contain no compiled files, caches or databases."""
    contents: set[str] = request.getfixturevalue(names)

    leftover = re.compile(
        r"(^|/)(__pycache__|\.\w+_cache|\.venv[^/]*|\.coverage[^/]*|\.hypothesis)(/|$)|\.(pyc|db)$"
    )
    assert [name for name in contents if leftover.search(name)] == []


def test_wheel_does_its_job_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """The installed wheel migrates inside a running loop, stores and loads."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[sqlite]", cwd=tmp_path)

    database = f"sqlite:///{tmp_path / 'sessions.db'}"
    done = run(python, "-I", "-W", "error", "-c", MAIN_JOB, database, cwd=tmp_path)

    assert done.strip() == "done"


def test_the_command_comes_with_its_extra(wheel: Path, tmp_path: Path) -> None:
    """The command names its extra if it is missing, and finds the migrations in the wheel."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python, command = environment / "bin" / "python", environment / "bin" / "sessionstore-sql"
    install = (python, "-m", "pip", "install", "--quiet")
    database = f"sqlite:///{tmp_path / 'sessions.db'}"

    run(*install, f"{wheel}[sqlite]", cwd=tmp_path)
    without = subprocess.run([str(command)], capture_output=True, text=True, check=False)
    run(*install, f"{wheel}[sqlite,cli]", cwd=tmp_path)

    assert without.returncode == 2
    assert "pip install 'sessionstore-sql[cli]'" in without.stderr
    assert "From base" in run(command, "upgrade", "--url", database, cwd=tmp_path)
    run(python, "-I", "-m", "sessionstore_sql", "check", "--url", database, cwd=tmp_path)


def run(*command: object, cwd: Path) -> str:
    """Return the output of ``command``; if it fails, fail with its output."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{command[1:4]} failed\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout
