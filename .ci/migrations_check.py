"""Run Alembic's own commands on a new database of each kind; see ``make migrations-check``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql.schema import DEFAULT_TABLE
from tests.databases import ADMIN_DRIVERS, SERVERS, fresh_database, server_url

ROOT = Path(__file__).resolve().parent.parent

STEPS = (
    (("upgrade", "head"), True),
    (("check",), True),
    (("downgrade", "base"), False),
    (("upgrade", "head"), True),
)
"""Commands, and whether the table exists afterwards. Exit codes alone do not show that an
environment does anything."""


def main() -> int:
    """Return the number of databases that failed."""
    passed: list[str] = []
    failed: list[str] = []
    for database in ("sqlite", *SERVERS):
        if database in SERVERS and f"SESSIONSTORE_TEST_{database.upper()}_URL" not in os.environ:
            print(f"{database}: no URL, not checked")
            continue
        (passed if migrates(database) else failed).append(database)
    print(f"migrations: {len(passed)} passed, {len(failed)} failed")
    return len(failed)


def migrates(database: str) -> bool:
    """Whether every command succeeds on a new database."""
    with ExitStack() as stack:
        if database in ADMIN_DRIVERS:
            server = stack.enter_context(server_url(database))
            url = stack.enter_context(fresh_database(server)).render_as_string(hide_password=False)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite+aiosqlite:///{Path(folder) / 'sessions.db'}"
        for command, there in STEPS:
            print(f"{database}: alembic {' '.join(command)}", flush=True)
            done = subprocess.run(  # noqa: S603  # the steps above
                [sys.executable, "-m", "alembic", *command],
                cwd=ROOT,
                env={**os.environ, "SESSIONSTORE_URL": url},
                check=False,
            )
            if done.returncode:
                print(f"{database}: alembic {' '.join(command)} FAILED")
                return False
            if asyncio.run(has_table(url)) is not there:
                print(
                    f"{database}: the table {'is missing' if there else 'is still there'}: FAILED"
                )
                return False
    return True


async def has_table(url: str) -> bool:
    """Whether the session table exists."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.run_sync(lambda sync: inspect(sync).has_table(DEFAULT_TABLE))
    await engine.dispose()
    return found


if __name__ == "__main__":
    sys.exit(main())
