"""Migrations of a table that is a partition of another one, or inherits from it."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import URL

from sessionstore_sql import migrate
from tests.databases import DEFAULT_TARGETS
from tests.migrations.databases import alembic, execute, shown

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "target", [each for each in DEFAULT_TARGETS if each.database == "postgresql"], indirect=True
    ),
]

PARENT = (
    "CREATE TABLE parent (id BYTEA PRIMARY KEY, deadline BIGINT NOT NULL, state BYTEA NOT NULL)"
    " PARTITION BY HASH (id)"
)
PARTITION = "CREATE TABLE part PARTITION OF parent FOR VALUES WITH (MODULUS 1, REMAINDER 0)"


@pytest.mark.parametrize("schema", [None, "public"])
async def test_a_partition_is_not_migrated_by_itself(empty_url: URL, schema: str | None) -> None:
    """PostgreSQL would say that a column cannot be added to a partition."""
    await execute(empty_url, PARENT, PARTITION)
    names: dict[str, Any] = {"table": "part", "schema": schema}

    for migration in (
        migrate.upgrade(empty_url, **names),
        migrate.downgrade(empty_url, "base", **names),
    ):
        with pytest.raises(CommandError, match="'part' is a partition of parent and cannot"):
            await migration


HEIR = "CREATE TABLE part (PRIMARY KEY (id)) INHERITS (parent)"


@pytest.mark.parametrize("is_partition", [True, False])
async def test_everything_explains_what_the_table_is(empty_url: URL, is_partition: bool) -> None:
    """Alembic's own command too, and an application's history with our revisions in it."""
    await migrate.upgrade(empty_url, table="whole")
    relation = "is a partition of" if is_partition else "inherits from"
    await execute(
        empty_url,
        "CREATE TABLE parent (LIKE whole INCLUDING ALL)"
        + (" PARTITION BY HASH (id)" if is_partition else ""),
        PARTITION if is_partition else HEIR,
    )
    reason = f"the table 'part' {relation} parent and cannot"

    with pytest.raises(migrate.MigrationError, match=reason):
        await migrate.check(empty_url, table="part")
    for migration in (
        migrate.upgrade(empty_url, table="part"),
        migrate.downgrade(empty_url, "base", table="part"),
    ):
        with pytest.raises(CommandError, match=reason):
            await migration
    done = alembic(
        "-x", "table=part", "upgrade", "head", environment={"SESSIONSTORE_URL": shown(empty_url)}
    )
    assert done.returncode != 0
    assert reason in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


async def test_a_table_that_was_detached_is_no_partition(empty_url: URL) -> None:
    """It is a table like any other."""
    await execute(
        empty_url,
        PARENT.replace(
            "state BYTEA NOT NULL",
            "state BYTEA NOT NULL, expiry_bucket BIGINT GENERATED ALWAYS AS (deadline >> 28) "
            "STORED",
        ),
        PARTITION,
        "ALTER TABLE parent DETACH PARTITION part",
    )

    await migrate.upgrade(empty_url, table="part")

    assert await migrate.current(empty_url, table="part") == migrate.newest_revision()
