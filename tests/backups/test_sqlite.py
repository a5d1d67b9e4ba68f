"""Copies of SQLite databases that are in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from tests.backups.clients import program, run
from tests.backups.sessions import require_equal

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_only]


async def test_the_backup_interface_copies_an_open_database(filled: URL, restored: URL) -> None:
    """What is still in the write-ahead log is part of the copy."""
    async with SQLSessionStore(filled) as store:
        await store.count_expired()
        with (
            closing(sqlite3.connect(str(filled.database))) as source,
            closing(sqlite3.connect(str(restored.database))) as copy,
        ):
            source.backup(copy)

    await require_equal(filled, restored)


async def test_vacuum_into_copies_an_open_database(filled: URL, restored: URL) -> None:
    """The copy is compact, and has the generated column."""
    async with SQLSessionStore(filled) as store:
        await store.count_expired()
        with closing(sqlite3.connect(str(filled.database))) as source:
            source.execute("VACUUM INTO ?", [restored.database])

    await require_equal(filled, restored)


@pytest.mark.parametrize("command", ["VACUUM INTO '{}'", ".backup '{}'"])
async def test_the_shell_copies_a_database(filled: URL, restored: URL, command: str) -> None:
    """The commands of the guide."""
    shell = program("sqlite3")

    run([shell, str(filled.database), command.format(restored.database)])

    await require_equal(filled, restored)


async def test_a_script_of_the_shell_is_restored(filled: URL, restored: URL) -> None:
    """The script names the columns of each row, without the generated one."""
    shell = program("sqlite3")

    script = run([shell, str(filled.database), ".dump"])
    run([shell, "-bail", str(restored.database)], stdin=script)

    await require_equal(filled, restored)
