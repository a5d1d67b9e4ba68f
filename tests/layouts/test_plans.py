"""How PostgreSQL finds the rows of a batch and of a purge, also where it has no statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.sql.dialects.base import Row
from tests.concurrency.test_plans import ON_POSTGRESQL, plans_of
from tests.layouts.conftest import execute
from tests.layouts.layouts import COLUMNS, Layout, hashed

pytestmark = [pytest.mark.anyio, ON_POSTGRESQL]

ROWS, PARTITIONS = 20_000, 16
COLUMN_LIST = COLUMNS["postgresql"]

PLAIN = Layout(
    name="plain",
    database="postgresql",
    statements=(f"CREATE TABLE t ({COLUMN_LIST}, PRIMARY KEY (id))",),
)
HASHED = Layout(
    name="hash",
    database="postgresql",
    statements=(
        f"CREATE TABLE t ({COLUMN_LIST}, PRIMARY KEY (id)) PARTITION BY HASH (id)",
        *hashed(PARTITIONS),
    ),
)

each_layout = pytest.mark.parametrize("layout", [PLAIN, HASHED], ids=str)
each_state_of_statistics = pytest.mark.parametrize("statistics", ["none", "autovacuum's", "all"])


def leaves(layout: Layout) -> list[str]:
    """Return the tables that have rows."""
    return [f"t_{number}" for number in range(PARTITIONS)] if layout is HASHED else ["t"]


async def fill(store: SQLSessionStore, layout: Layout, statistics: str) -> None:
    """Load many live and expired rows at once.

    Autovacuum analyzes the partitions, and never the partitioned table as a whole.
    """
    tables = leaves(layout)
    analyzed = {"none": [], "autovacuum's": tables, "all": ["t"]}[statistics]
    await execute(
        store.engine.url,
        *(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in tables),
        "CREATE INDEX IF NOT EXISTS t_expiry_bucket ON t (expiry_bucket)",
        "INSERT INTO t (id, deadline, state) SELECT sha256(convert_to('session' || n, 'UTF8')), "
        "CASE WHEN n % 10 = 0 THEN 1600000000000000 + n::bigint * 600000 "
        "ELSE 4000000000000000 END, decode(repeat('ab', 300), 'hex') "
        f"FROM generate_series(1, {ROWS}) AS n",
        *(f"ANALYZE {table}" for table in analyzed),
    )


def live_rows(count: int) -> list[Row]:
    """Return changes to so many live sessions, in the order of their keys."""
    numbers = (number for number in range(1, ROWS) if number % 10)
    keys = [hashlib.sha256(f"session{next(numbers)}".encode()).digest() for _ in range(count)]
    return [Row(key, 3_600_000_000, b"{}") for key in sorted(keys)]


async def scans(store: SQLSessionStore, call: Awaitable[Any], layout: Layout) -> list[str]:
    """Return what the plan of the one statement of ``call`` says of scans of the whole table."""
    (plan,) = await plans_of(store.engine, call)
    lines = [row["query plan"].strip() for row in plan]
    whole = [f"Seq Scan on {table} " for table in leaves(layout)]
    return [line for line in lines if any(each in line for each in whole)]


@each_layout
@each_state_of_statistics
@pytest.mark.parametrize("size", [1, 256])
@pytest.mark.parametrize("operation", ["load", "live", "update", "update_ttl", "delete"])
async def test_a_batch_never_scans_the_table(
    laid_out: SQLSessionStore, layout: Layout, statistics: str, size: int, operation: str
) -> None:
    """It finds its rows by their keys, and changes them by their place."""
    await fill(laid_out, layout, statistics)
    batch: Callable[..., Any] = getattr(laid_out._table.batches, operation)
    given: list[Any] = live_rows(size)
    if operation in {"load", "live"}:
        given = [row.key for row in given]

    async def call() -> None:
        async with laid_out.engine.connect() as connection:
            assert len(list(await connection.run_sync(batch, given))) == size

    assert await scans(laid_out, call(), layout) == []


@each_layout
@each_state_of_statistics
@pytest.mark.parametrize("size", [1, 1_000])
async def test_a_purge_never_scans_the_table(
    laid_out: SQLSessionStore, layout: Layout, statistics: str, size: int
) -> None:
    """It finds the expired rows by their bucket, and deletes them by their keys."""
    await fill(laid_out, layout, statistics)

    purge = partial(laid_out.delete_expired, size)

    assert await scans(laid_out, purge(), layout) == []
