"""Dumps of PostgreSQL, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.backups.clients import postgresql
from tests.backups.sessions import require_equal, require_no_sessions
from tests.databases import DEFAULT_TARGETS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "target", [each for each in DEFAULT_TARGETS if each.database == "postgresql"], indirect=True
    ),
]


async def test_an_archive_is_restored(filled: URL, restored: URL, tmp_path: Path) -> None:
    """The command of the guide: the two tables, in the format of pg_restore."""
    archive = tmp_path / "sessions.dump"
    tables = "--table=sessionstore_sessions*"
    postgresql("pg_dump", filled, "--format=custom", tables, f"--file={archive}")

    postgresql("pg_restore", restored, "--exit-on-error", str(archive))

    await require_equal(filled, restored)


@pytest.mark.parametrize("options", [[], ["--inserts"], ["--column-inserts"]], ids=str)
async def test_a_script_is_restored(filled: URL, restored: URL, options: list[str]) -> None:
    """PostgreSQL writes no value of the generated column, or DEFAULT in its place."""
    script = postgresql("pg_dump", filled, *options)

    postgresql("psql", restored, "--set=ON_ERROR_STOP=1", "--quiet", stdin=script)

    await require_equal(filled, restored)


async def test_sessions_are_left_out(filled: URL, restored: URL) -> None:
    """The table is in the dump, and the recorded revision is not."""
    script = postgresql("pg_dump", filled, "--exclude-table-data=sessionstore_sessions*")

    postgresql("psql", restored, "--set=ON_ERROR_STOP=1", "--quiet", stdin=script)

    await require_no_sessions(restored)
