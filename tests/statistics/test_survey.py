"""The counts at a given moment, to the microsecond."""

from __future__ import annotations

import pytest

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.schema import BUCKET_SHIFT, session_table
from sessionstore_sql.sql.engines import dialect_of
from sessionstore_sql.sql.execution import PooledExecutor
from sessionstore_sql.sql.survey import Group, Survey
from tests.concurrency.rows import insert_rows

pytestmark = pytest.mark.anyio

BUCKET = 1 << BUCKET_SHIFT
START = 5_000_000 * BUCKET
NOW = START + 1_000


@pytest.fixture
def survey(store: SQLSessionStore) -> Survey:
    """A survey of the emptied table."""
    table = session_table()
    return Survey(PooledExecutor(store.engine, dialect_of(store.engine), table.name), table)


async def insert(store: SQLSessionStore, *deadlines: int) -> None:
    """Insert sessions with these deadlines."""
    await insert_rows(store.engine, [(SessionId.generate(), each) for each in deadlines])


async def test_the_current_bucket_is_split(store: SQLSessionStore, survey: Survey) -> None:
    """A deadline of this microsecond is expired, and one of the next microsecond is live."""
    await insert(store, START, NOW, NOW + 1, NOW + 2, NOW + 3, START + BUCKET - 1)

    assert await survey.count(NOW) == [Group(0, 2), Group(1, 4)]


async def test_other_buckets_are_counted_at_their_middle(
    store: SQLSessionStore, survey: Survey
) -> None:
    """The index only contains the bucket of a deadline."""
    await insert(store, START - 1, START - BUCKET, START + BUCKET, START + 2 * BUCKET - 1)

    groups = await survey.count(NOW)

    assert groups is not None
    half = BUCKET // 2
    assert sorted(groups) == [
        Group(START - half - NOW, 2),
        Group(0, 0),
        Group(1, 0),
        Group(START + BUCKET + half - NOW, 2),
    ]


async def test_the_first_bucket_is_the_smallest(store: SQLSessionStore, survey: Survey) -> None:
    """Its start is returned, not the first deadline in it."""
    await insert(store, START + BUCKET, START + 8, START + 7, START + 2 * BUCKET)

    assert await survey.first_bucket() == START


async def test_an_empty_table_has_no_first_bucket(store: SQLSessionStore, survey: Survey) -> None:
    """There is no session to take it from."""
    assert await survey.first_bucket() is None


async def test_a_sample_has_exact_deadlines(store: SQLSessionStore, survey: Survey) -> None:
    """Deadlines that are read from rows are not rounded."""
    await insert(store, NOW - 5, NOW + 7)

    sample = await survey.sample(NOW)

    assert sorted(sample.remaining) == [-5, 7]
    assert sample.complete
