"""The query plans of the statistics: no statement reads the whole table."""

from __future__ import annotations

import pytest

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.statistics import collect_statistics
from tests.concurrency.rows import TABLE
from tests.concurrency.test_plans import INDEX, ON_MYSQL, ON_POSTGRESQL, analyze, fill, plans_of

pytestmark = pytest.mark.anyio


@ON_POSTGRESQL
async def test_postgresql_counts_in_the_index(store: SQLSessionStore) -> None:
    """Counting and finding the first bucket only read the index, and rows are read by index."""
    await fill(store.engine, live=5_900, expired=100)
    await analyze(store.engine, "ANALYZE")
    # For a table this small, the planner may prefer a sequential scan.
    async with SQLSessionStore(store.engine.url, engine_options={"pool_size": 1}) as other:
        async with other.engine.connect() as connection:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        plans = await plans_of(other.engine, collect_statistics(other.engine))

    lines = [row["query plan"] for plan in plans for row in plan]
    assert sum("Index Only Scan" in line and INDEX in line for line in lines) == 2, lines
    assert [line for line in lines if "Seq Scan" in line and TABLE.name in line] == []


@ON_MYSQL
async def test_mysql_scans_no_table(store: SQLSessionStore) -> None:
    """Every statement uses an index, or stops after the sample."""
    await fill(store.engine, live=5_900, expired=100)
    await analyze(store.engine, "ANALYZE TABLE")

    plans = await plans_of(store.engine, collect_statistics(store.engine))

    scans = [row for plan in plans for row in plan if row["table"] == TABLE.name]
    assert len(scans) >= 4
    assert [scan for scan in scans if scan["type"] == "ALL"] == []
