"""How many sessions a purge would remove: exactly, and without reading the table."""

from __future__ import annotations

import pytest

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore
from sessionstore_sql.schema import BUCKET_SHIFT
from tests.concurrency.rows import TABLE, database_time, insert_rows
from tests.concurrency.stores import StoreMaker
from tests.concurrency.test_plans import (
    INDEX,
    ON_MYSQL,
    ON_POSTGRESQL,
    REBUILD,
    analyze,
    fill,
    plans_of,
)

pytestmark = pytest.mark.anyio

BUCKET = 1 << BUCKET_SHIFT


async def test_the_expired_are_counted_exactly(store: SQLSessionStore) -> None:
    """Sessions of the bucket that is passing are told apart by the microsecond."""
    now = await database_time(store.engine)
    start = now // BUCKET * BUCKET
    expired = [now, start, start - 1, start - BUCKET, now - 86_400_000_000]
    # Live for as long as the test lasts, the first of them in the present bucket or the next.
    live = [now + 60_000_000, now + BUCKET, now + 86_400_000_000]
    await insert_rows(store.engine, [(SessionId.generate(), each) for each in expired + live])

    assert await store.count_expired() == len(expired)
    assert await store.delete_expired() == len(expired)
    assert await store.count_expired() == 0


async def test_a_failed_count_is_a_database_error(make_store: StoreMaker) -> None:
    """It is of no operation's class, and tells which command makes the table."""
    store = await make_store(table="nowhere")

    with pytest.raises(DatabaseError, match="alembic upgrade head") as caught:
        await store.count_expired()

    assert type(caught.value) is DatabaseError


@ON_POSTGRESQL
async def test_postgresql_counts_in_the_index(store: SQLSessionStore) -> None:
    """Among 12,000 rows, the expired are counted by the bucket's index."""
    await fill(store.engine, live=11_500, expired=500)
    await analyze(store.engine, "ANALYZE")

    (plan,) = await plans_of(store.engine, store.count_expired())

    lines = [row["query plan"] for row in plan]
    assert sum(INDEX in line for line in lines) >= 2, lines
    assert not any("Seq Scan" in line for line in lines), lines


@ON_MYSQL
async def test_mysql_counts_in_the_index(store: SQLSessionStore) -> None:
    """Buckets of the past are counted without a look at a row."""
    await fill(store.engine, live=2_900, expired=100)
    await analyze(store.engine, REBUILD)

    (plan,) = await plans_of(store.engine, store.count_expired())

    scans = [row for row in plan if row["table"] == TABLE.name]
    assert [scan["key"] for scan in scans] == [INDEX, INDEX]
    assert any(scan["extra"] == "Using where; Using index" for scan in scans)
