"""Importing the package imports neither a driver nor Alembic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_NEEDED = {
    "aiohttp",
    "aiomysql",
    "aiosqlite",
    "alembic",
    "asyncmy",
    "asyncpg",
    "click",
    "cryptography",
    "django",
    "flask",
    "litestar",
    "opentelemetry",
    "psycopg",
    "fastapi",
    "pydantic",
    "pymysql",
    "pytest",
    "quart",
    "rich",
    "sessionstore_sql.cli",
    "sessionstore_sql.migrate",
    "sessionstore_sql.otel",
    "sessionstore_sql.statistics",
    "sessionstore_sql.testing",
    "starlette",
    "starsessions",
}

USE = """
import asyncio
from sessionstore_sql import SessionId, SQLSessionStore, UnknownIdError

sys.modules["opentelemetry"] = None

async def main():
    async with SQLSessionStore("sqlite://") as store:
        calls = (store.delete(SessionId.generate()) for _ in range(50))
        await asyncio.gather(*calls, return_exceptions=True)

asyncio.run(main())
"""


def modules_after(statement: str) -> set[str]:
    """Return the modules that a new interpreter has imported after ``statement``."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_no_driver_and_not_alembic() -> None:
    """Drivers and Alembic are imported only when they are used."""
    assert modules_after("import sessionstore_sql") & NOT_NEEDED == set()


def test_constructing_a_store_loads_its_own_driver_only() -> None:
    """A store on SQLite needs no other driver."""
    store = "from sessionstore_sql import SQLSessionStore; SQLSessionStore('sqlite://')"

    assert modules_after(store) & NOT_NEEDED == {"aiosqlite"}


def test_a_store_without_telemetry_needs_no_opentelemetry() -> None:
    """A store without telemetry works if OpenTelemetry is not installed."""
    names = modules_after(USE)

    assert {name for name in names if name.startswith("opentelemetry.")} == set()
    assert "sessionstore_sql.otel" not in names


@pytest.mark.parametrize("name", ["sessionstore_sql", "sessionstore_sql.migrate"])
def test_import_warns_of_nothing(name: str) -> None:
    """The import uses no deprecated name of a dependency."""
    subprocess.run([sys.executable, "-W", "error", "-c", f"import {name}"], cwd=ROOT, check=True)


def test_starlette_needs_neither_fastapi_nor_pydantic() -> None:
    """The module for Starlette does not import FastAPI or Pydantic."""
    assert modules_after("import sessionstore_sql.starlette") & {"fastapi", "pydantic"} == set()


@pytest.mark.parametrize("extra", ["starlette", "fastapi"])
def test_a_missing_extra_says_what_to_install(extra: str) -> None:
    """Importing an integration without its framework raises an error that names the extra."""
    script = f"import sys; sys.modules[{extra!r}] = None; import sessionstore_sql.{extra}"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    message = f"pip install 'sessionstore-sql[{extra}]'"
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")
    assert done.stderr.splitlines()[-1].endswith(message)
