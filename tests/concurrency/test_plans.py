"""The rows that a purge deletes, and the index through which they are found."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.schema import BUCKET_SHIFT
from tests.concurrency.rows import SERVER_TARGETS, TABLE, database_time, insert_rows, key_of, keys
from tests.concurrency.stores import record

pytestmark = pytest.mark.anyio

TRADITIONAL = "EXPLAIN FORMAT=TRADITIONAL"
REBUILD = "OPTIMIZE TABLE"
"""Also analyzes the table: otherwise estimates include rows that other tests deleted."""
INDEX = f"{TABLE.name}_expiry_bucket"
ON_POSTGRESQL, ON_MYSQL = (
    pytest.mark.parametrize(
        "target",
        [target for target in SERVER_TARGETS if (target.database == "postgresql") is postgresql],
        indirect=True,
        ids=str,
    )
    for postgresql in (True, False)
)


async def plans_of(engine: AsyncEngine, call: Awaitable[Any]) -> list[list[dict[str, Any]]]:
    """Return the plan of each statement of ``call``, with lower-case column names."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await call
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    plans = []
    async with engine.connect() as connection:
        # MySQL 9 has another default format.
        explain = "EXPLAIN" if connection.dialect.name == "postgresql" else TRADITIONAL
        for statement, parameters in sent:
            if statement.startswith("SET ") and "SELECT" not in statement:
                continue
            # On MariaDB, EXPLAIN goes after SET STATEMENT .. FOR.
            settings = re.match(r"SET STATEMENT .*? FOR (?=SELECT|DELETE)|", statement)
            assert settings is not None
            told = f"{settings[0]}{explain} {statement[settings.end() :]}"
            result = await connection.exec_driver_sql(told, parameters)
            plans.append([{k.lower(): v for k, v in row.items()} for row in result.mappings()])
    return plans


async def fill(engine: AsyncEngine, live: int, expired: int) -> None:
    """Insert sessions whose deadlines are seconds apart."""
    now = await database_time(engine)
    deadlines = [now + 10_000_000 * (n + 1) for n in range(live)]
    deadlines += [now - 1_000_000 * (n + 1) for n in range(expired)]
    await insert_rows(engine, [(SessionId.generate(), deadline) for deadline in deadlines])


async def analyze(engine: AsyncEngine, statement: str) -> None:
    """Update the statistics of the optimizer."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"{statement} {TABLE.name}")


@ON_POSTGRESQL
async def test_postgresql_purges_by_the_index(store: SQLSessionStore) -> None:
    """Among 12,000 rows, a subquery that runs once finds the expired ones in the index."""
    await fill(store.engine, live=11_500, expired=500)
    await analyze(store.engine, "ANALYZE")

    (plan,) = await plans_of(store.engine, store.delete_expired(50))

    lines = [row["query plan"] for row in plan]
    assert any("InitPlan" in line for line in lines)
    assert any("Index" in line and INDEX in line for line in lines), lines
    assert not any("Seq Scan" in line or "SubPlan" in line for line in lines), lines


@ON_MYSQL
async def test_mysql_purges_by_the_index(store: SQLSessionStore) -> None:
    """The expired rows are found in the index on the bucket, and deleted by key."""
    await fill(store.engine, live=2_900, expired=100)
    await analyze(store.engine, REBUILD)

    chosen, deleted = await plans_of(store.engine, store.delete_expired(5))

    assert [row["key"] for row in chosen if row["table"] == TABLE.name] == [INDEX]
    assert {row["key"] for row in deleted if row["table"] == TABLE.name} == {"PRIMARY"}


@ON_MYSQL
@pytest.mark.parametrize(("expired", "batch_size"), [(6, 10), (6, 2), (3_000, 1_000)])
async def test_mysql_never_scans_to_purge(
    store: SQLSessionStore, expired: int, batch_size: int
) -> None:
    """The optimizer never scans the table to delete, with few rows or with many keys."""
    await fill(store.engine, live=2, expired=expired)
    await analyze(store.engine, "ANALYZE TABLE")

    plans = await plans_of(store.engine, store.delete_expired(batch_size))

    deletes = [row for plan in plans[1::2] for row in plan if row["table"] == TABLE.name]
    assert len(deletes) >= 2
    assert {(row["type"], row["key"]) for row in deletes} == {
        ("eq_ref", "PRIMARY"),
        ("range", "PRIMARY"),
    }


@ON_MYSQL
async def test_mysql_loads_by_the_primary_key(store: SQLSessionStore) -> None:
    """The type of the bound key does not prevent the use of the primary key."""
    session_id = SessionId.generate()
    await fill(store.engine, live=500, expired=0)
    await store.create(session_id, record())
    await analyze(store.engine, "ANALYZE TABLE")

    ((loaded,),) = await plans_of(store.engine, store.load(session_id))

    assert loaded["key"] == "PRIMARY"
    assert int(loaded["rows"]) == 1


async def test_the_oldest_go_first(store: SQLSessionStore) -> None:
    """A batch of n contains the n oldest of sessions that expired microseconds apart."""
    bucket = (await database_time(store.engine) >> BUCKET_SHIFT) - 2
    ids = [SessionId.generate() for _ in range(40)]
    rows = [(each, (bucket << BUCKET_SHIFT) + age) for age, each in enumerate(ids)]
    random.Random(1).shuffle(rows)
    await insert_rows(store.engine, rows)

    left = {key_of(each) for each in ids}
    for start, batch_size in ((0, 1), (1, 7), (8, 20)):
        assert await store.delete_expired(batch_size) == batch_size
        left -= {key_of(each) for each in ids[start : start + batch_size]}
        assert await keys(store.engine) == left


async def test_the_oldest_bucket_goes_first(store: SQLSessionStore) -> None:
    """Sessions that expired days apart are deleted in the order of their deadlines."""
    now = await database_time(store.engine)
    ids = [SessionId.generate() for _ in range(20)]
    rows = [(each, now - (20 - age) * 86_400_000_000) for age, each in enumerate(ids)]
    random.Random(2).shuffle(rows)
    await insert_rows(store.engine, rows)

    assert await store.delete_expired(batch_size=9) == 9

    assert await keys(store.engine) == {key_of(each) for each in ids[9:]}
