"""Run the tests on every version that is available, and name the others; see ``make test-matrix``.

Each row of the matrix is one version of one thing. The rest is the newest version that pip finds.

    python .ci/matrix.py                        all rows
    python .ci/matrix.py python postgresql-12   the rows whose names begin so

Interpreters are found in ``PATH`` and in pyenv. Servers are found in the variables
``SESSIONSTORE_TEST_*_URL``, and servers of other versions in ``SESSIONSTORE_TEST_MORE_URLS``, which
has URLs separated by spaces. ``SESSIONSTORE_TEST_SQLITE_LIBRARIES`` has folders that contain a
``libsqlite3.so.0``.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.databases import ADMIN_DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ".venv-matrix"

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
DJANGOS = ("5.2", "6.1")
SERVERS = {
    "postgresql": ("12", "13", "14", "15", "16", "17", "18", "19"),
    "mysql": ("8.0", "8.4", "9.7"),
    "mariadb": ("10.6", "10.11", "11.4", "11.8"),
}
OLDEST_SQLITE = "3.36"

DATABASE_TESTS = "tests/contract tests/accounts tests/migrations tests/purging"


@dataclass
class Row:
    """One version: what is found of it, and how it is tested."""

    name: str
    found: str
    make: list[str] = field(default_factory=list)
    """Arguments for ``make``. Without any, the version is not available."""
    environment: dict[str, str] = field(default_factory=dict)
    result: str = "not available"

    def run(self) -> bool:
        """Run the tests, and return whether they passed."""
        print(f"\n==== {self.name}: {self.found}", flush=True)
        # The options of the make that runs this script are not for the one that it starts.
        inherited = {
            name: each for name, each in os.environ.items() if "MAKE" not in name and name != "ARGS"
        }
        summary = ""
        with subprocess.Popen(  # noqa: S603  # our own targets
            ["make", *self.make],  # noqa: S607
            cwd=ROOT,
            env={**inherited, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if re.search(r"\d+ (passed|failed|errors?)\b.* in ", line):
                    summary = line.strip("= \n")
        passed = process.returncode == 0
        self.result = f"{'tested' if passed else 'FAILED'}: {summary or 'no test ran'}"
        return passed


def rows() -> Iterator[Row]:
    """Yield every row, available or not."""
    for version in PYTHONS:
        python = interpreter(version)
        name = f"python-{version}"
        if python is None:
            yield Row(name, "no interpreter in PATH or pyenv")
        else:
            yield Row(name, python, ["test", f"PYTHON={python}", f"VENV={FOLDER}/{name}"])
    yield Row("sqlalchemy-2.0", "from the package index", ["test-sqlalchemy-2.0"])
    # The lowest versions of some drivers have no wheels for newer interpreters.
    oldest = next(filter(None, map(interpreter, PYTHONS)), sys.executable)
    made = environment("lowest", f"-c {lowest()}")
    yield Row("lowest", "lower bounds of pyproject.toml", [*made, f"PYTHON={oldest}"])
    for version in DJANGOS:
        python = next(filter(None, map(interpreter, reversed(PYTHONS[1:]))), None)
        name = f"django-{version}"
        if python is None:
            yield Row(name, "no Python from 3.12 on, which Django 6 needs")
            continue
        made = environment(name, f"django~={version}.0", "test-all", "tests/django")
        yield Row(name, "from the package index", [*made, f"PYTHON={python}"])
    # pip takes a version before its release only if it is asked for.
    made = environment("starsessions", "starsessions~=2.3.0a1", "test-all", "tests/starsessions")
    yield Row("starsessions-2.3", "from the package index", made)
    uvloop = {"SESSIONSTORE_TEST_LOOP": "uvloop"}
    yield Row("uvloop", "from the package index", environment("uvloop", "uvloop"), uvloop)
    yield from servers()
    yield from libraries()


def environment(name: str, pins: str, target: str = "test", args: str = "") -> list[str]:
    """Return the arguments for ``make`` that run a target in an environment of its own."""
    return [target, f"VENV={FOLDER}/{name}", f"PINS={pins}", f"ARGS={args}"]


def interpreter(version: str) -> str | None:
    """Return an interpreter of this version that can create environments."""
    candidates = [shutil.which(f"python{version}") or ""]
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True)  # noqa: S603
        versions = Path(root.stdout.strip(), "versions")
        candidates += [str(each) for each in versions.glob(f"{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        # A shim of pyenv can exist for a version that is not enabled.
        tried = subprocess.run(  # noqa: S603
            [candidate, "-c", "import ensurepip, venv"], capture_output=True, check=False
        )
        if tried.returncode == 0:
            return candidate
    return None


def lowest() -> Path:
    """Write the lower bounds of the package and its extras as constraints for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    ours = [
        *project["project"]["dependencies"],
        *(each for extra in extras.values() for each in extra),
    ]
    bounds: dict[str, tuple[int, ...]] = {}
    for group in (ours, project["dependency-groups"]["dev"]):
        for each in (Requirement(text) for text in group if isinstance(text, str)):
            lower = [spec.version for spec in each.specifier if spec.operator == ">="]
            if lower and (group is ours or each.name in bounds):
                # The tests can need a later version than the package.
                bound = tuple(map(int, lower[0].split(".")))
                bounds[each.name] = max(bounds.get(each.name, ()), bound)
    path = ROOT / FOLDER / "lowest.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(f"{name}=={'.'.join(map(str, bound))}\n" for name, bound in sorted(bounds.items()))
    )
    return path.relative_to(ROOT)


def servers() -> Iterator[Row]:
    """Yield the servers that answer, and the versions without a server."""
    urls = os.environ.get("SESSIONSTORE_TEST_MORE_URLS", "").split()
    urls += [os.environ.get(f"SESSIONSTORE_TEST_{each.upper()}_URL", "") for each in SERVERS]
    found: dict[tuple[str, str], str] = {}
    for number, each in enumerate(filter(None, urls), start=1):
        try:
            version, url = asyncio.run(version_of(each))
        except Exception as error:  # noqa: BLE001  # whatever it is, the other servers are tested
            name = make_url(each).get_backend_name()
            yield Row(f"{name}-url-{number}", f"no answer ({type(error).__name__})")
        else:
            found[version] = url
    for database, versions in SERVERS.items():
        answering = [each for each in found if each[0] == database]
        for major in versions:
            known = [each for each in answering if re.match(rf"{re.escape(major)}\b", each[1])]
            if not known:
                yield Row(f"{database}-{major}", "no URL of a server")
            for _, version in known:
                url = found[database, version]
                yield Row(
                    f"{database}-{major}",
                    version,
                    ["test-all", f"ARGS={DATABASE_TESTS} --default-drivers -k {database}"],
                    {
                        f"SESSIONSTORE_TEST_{database.upper()}_URL": url,
                        "SESSIONSTORE_TEST_REQUIRE": database,
                    },
                )


async def version_of(given: str) -> tuple[tuple[str, str], str]:
    """Return the database and the version of a server, and its URL."""
    url = make_url(given)
    driver = ADMIN_DRIVERS[url.get_backend_name()]
    engine = create_async_engine(url.set(drivername=driver), poolclass=NullPool)
    async with engine.connect() as connection:
        dialect = connection.dialect
        version = ".".join(map(str, dialect.server_version_info or ()))
        database = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    await engine.dispose()
    return (database, version), given


def libraries() -> Iterator[Row]:
    """Yield SQLite's libraries; the first one is the interpreter's own."""
    seen = []
    for folder in ["", *os.environ.get("SESSIONSTORE_TEST_SQLITE_LIBRARIES", "").split()]:
        library = {"LD_LIBRARY_PATH": folder} if folder else {}
        asked = subprocess.run(
            [sys.executable, "-c", "import sqlite3; print(sqlite3.sqlite_version)"],
            env={**os.environ, **library},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.append(version := asked.stdout.strip())
        arguments = ["test-all", f"ARGS={DATABASE_TESTS} -k sqlite"]
        yield Row(f"sqlite-{version.rpartition('.')[0]}", version, arguments, library)
    if not any(each.startswith(f"{OLDEST_SQLITE}.") for each in seen):
        yield Row(f"sqlite-{OLDEST_SQLITE}", "no library in SESSIONSTORE_TEST_SQLITE_LIBRARIES")


def main(wanted: list[str]) -> int:
    """Run the wanted rows, and return whether one failed."""
    chosen = [row for row in rows() if row.name.startswith(tuple(wanted)) or not wanted]
    outcomes = [row.run() for row in chosen if row.make]
    print("\n==== matrix")
    for row in chosen:
        print(f"{row.name:16} {row.found:36} {row.result}")
    return not all(outcomes) or not chosen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
