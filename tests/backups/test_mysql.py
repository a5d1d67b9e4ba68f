"""Dumps of MySQL and MariaDB, by the clients of both vendors, restored to both servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.backups.clients import (
    TABLES,
    VENDORS,
    ClientError,
    mysql_dump,
    mysql_restore,
    program,
    run,
)
from tests.backups.sessions import require_equal, require_no_sessions
from tests.databases import DEFAULT_TARGETS, Target

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs/guides/backups.md"

SERVERS = {each.database: each for each in DEFAULT_TARGETS if each.database in VENDORS}

on_both = pytest.mark.parametrize("target", SERVERS.values(), indirect=True, ids=str)
on_mysql = pytest.mark.parametrize("target", [SERVERS["mysql"]], indirect=True, ids=str)
to_both = pytest.mark.parametrize("destination", SERVERS.values(), indirect=True, ids=str)
dumped_by_both = pytest.mark.parametrize("dumped_by", VENDORS)
restored_by_both = pytest.mark.parametrize("restored_by", VENDORS)


@pytest.mark.parametrize(
    ("target", "dumped_by"),
    [(SERVERS["mariadb"], "mariadb"), (SERVERS["mariadb"], "mysql"), (SERVERS["mysql"], "mysql")],
    indirect=["target"],
    ids=str,
)
async def test_a_dump_is_restored_to_the_same_server(
    filled: URL, restored: URL, target: Target, dumped_by: str
) -> None:
    """MariaDB ignores the values of generated columns, and MySQL's client writes none."""
    dump = mysql_dump(dumped_by, filled)

    mysql_restore(dumped_by, restored, dump)

    await require_equal(filled, restored)


@on_mysql
async def test_mysql_rejects_the_generated_column_in_dumps_of_mariadbs_client(
    filled: URL, restored: URL
) -> None:
    """The guide shows this error, and what to do about it."""
    dump = mysql_dump("mariadb", filled)

    with pytest.raises(ClientError, match=r"ERROR 3105 .*'expiry_bucket'"):
        mysql_restore("mariadb", restored, dump)


@on_both
@to_both
@dumped_by_both
@restored_by_both
async def test_a_converted_dump_is_restored_to_every_server(
    filled: URL, destination: URL, dumped_by: str, restored_by: str
) -> None:
    """The commands of the guide work on every server, with every client."""
    dump = mysql_dump(dumped_by, filled)

    mysql_restore(restored_by, destination, converted(dump))
    mysql_restore(restored_by, destination, afterwards())

    await require_equal(filled, destination)


@on_both
@dumped_by_both
async def test_sessions_are_left_out(filled: URL, restored: URL, dumped_by: str) -> None:
    """An upgrade creates the table, as the recorded revision is left out, too."""
    ignored = [f"--ignore-table={filled.database}.{table}" for table in TABLES]
    dump = mysql_dump(dumped_by, filled, *ignored, tables=())

    mysql_restore(dumped_by, restored, dump)

    await require_no_sessions(restored)


def converted(dump: bytes) -> bytes:
    """Return what the ``sed`` of the guide makes of a dump."""
    expressions = re.findall(r"-e '(.*?)'", GUIDE.read_text())
    assert len(expressions) == 3
    options = [option for each in expressions for option in ("-e", each)]
    return run([program("sed"), "-E", *options], stdin=dump)


def afterwards() -> bytes:
    """Return the statements that the guide executes after the restore."""
    blocks = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (found,) = (each for each in blocks if "GENERATED" in each)
    return str(found).encode()
