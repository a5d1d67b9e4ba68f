"""Statistics of a table, on every database."""

from __future__ import annotations

import secrets
from datetime import timedelta
from itertools import pairwise
from typing import Any, get_type_hints

import pytest
from sqlalchemy import URL, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import DatabaseError, SQLSessionStore, migrate
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql import survey
from sessionstore_sql.sql.dialects.postgresql.creators import AsyncpgCreator
from sessionstore_sql.statistics import (
    Activity,
    Count,
    Expiry,
    Kinds,
    Size,
    StateSizes,
    Statistics,
    collect_statistics,
)
from sessionstore_sql.statistics.summaries import expiries
from tests.migrations.databases import ODD_NAMES
from tests.statistics.rows import insert_sessions

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIXED = (
    [timedelta(minutes=10)] * 5 + [3 * HOUR] * 20 + [10 * DAY] * 5 + [-2 * HOUR] * 7 + [-DAY * 40]
)
"""30 live and 8 expired, each in the middle of a span of the histogram."""


def spans(found: Statistics) -> dict[tuple[timedelta | None, timedelta | None], int]:
    """Return the spans of time that are not empty."""
    return {(each.after, each.until): each.sessions for each in found.expiries if each.sessions}


MIXED_SPANS = {
    (None, -30 * DAY): 1,
    (-DAY, -HOUR): 7,
    (timedelta(0), HOUR / 2): 5,
    (2 * HOUR, 4 * HOUR): 20,
    (7 * DAY, 14 * DAY): 5,
}


async def test_an_empty_table(store: SQLSessionStore) -> None:
    """All numbers are present, and zero."""
    found = await collect_statistics(store.engine)

    assert found.live == found.expired == Count(0, estimated=False)
    assert found.oldest_expired is None
    assert spans(found) == {}
    assert found.states is not None
    assert (found.states.measured, found.states.mean, found.states.total) == (0, 0, 0)
    assert found.states.median == found.states.p95 == found.states.p99 == found.states.largest == 0


async def test_few_sessions_are_counted(store: SQLSessionStore) -> None:
    """A table that fits into the sample is counted exactly."""
    await insert_sessions(store.engine, MIXED)

    found = await collect_statistics(store.engine)

    assert (found.live, found.expired) == (Count(30, estimated=False), Count(8, estimated=False))
    assert spans(found) == MIXED_SPANS


@pytest.mark.parametrize("exact", [False, True])
async def test_more_sessions_are_counted_in_the_index(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    """Up to 100,000 sessions, or any number if exact, are counted after the sample was read."""
    monkeypatch.setattr(survey, "SAMPLE", 10)
    monkeypatch.setattr(survey, "COUNTED_ROWS", 0 if exact else 1_000)
    await insert_sessions(store.engine, MIXED)

    found = await collect_statistics(store.engine, exact=exact)

    assert (found.live, found.expired) == (Count(30, estimated=False), Count(8, estimated=False))
    assert spans(found) == MIXED_SPANS


async def test_the_current_bucket_is_counted_exactly(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that have just expired count as expired, despite the resolution of the index."""
    monkeypatch.setattr(survey, "SAMPLE", 2)
    seconds = [-2, -1, 0, 60, 61]
    await insert_sessions(store.engine, [timedelta(seconds=each) for each in seconds])

    found = await collect_statistics(store.engine)

    assert (found.live.sessions, found.expired.sessions) == (2, 3)
    assert spans(found) == {(-HOUR, timedelta(0)): 3, (timedelta(0), HOUR / 2): 2}


async def test_many_sessions_are_estimated(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The density of the keys gives the total. Expired sessions are still counted."""
    monkeypatch.setattr(survey, "SAMPLE", 100)
    monkeypatch.setattr(survey, "COUNTED_ROWS", 100)
    await insert_sessions(store.engine, [3 * HOUR] * 450 + [3 * DAY] * 450 + [-2 * HOUR] * 100)

    found = await collect_statistics(store.engine)

    # The keys are the same each time. The bounds are 4 standard errors of 10 % around 900.
    assert found.live.estimated
    assert 540 < found.live.sessions < 1_260
    assert found.expired == Count(100, estimated=False)
    histogram = spans(found)
    assert set(histogram) == {(-DAY, -HOUR), (2 * HOUR, 4 * HOUR), (2 * DAY, 4 * DAY)}
    assert histogram[-DAY, -HOUR] == 100
    assert sum(histogram.values()) == pytest.approx(found.live.sessions + 100, abs=2)


async def test_the_oldest_expired_session_is_found(store: SQLSessionStore) -> None:
    """Its age has a resolution of 4.5 minutes, and shows whether the purge keeps up."""
    await insert_sessions(store.engine, [HOUR, -2 * HOUR, -DAY])

    oldest = (await collect_statistics(store.engine)).oldest_expired

    assert oldest is not None
    assert DAY <= oldest < DAY + HOUR


async def test_a_live_session_is_not_the_oldest_expired_one(store: SQLSessionStore) -> None:
    """The first deadline only counts if it has passed."""
    await insert_sessions(store.engine, [HOUR, 2 * HOUR])

    assert (await collect_statistics(store.engine)).oldest_expired is None


async def test_sizes_of_states_are_measured(store: SQLSessionStore) -> None:
    """Percentiles are sizes that occur. The histogram has powers of two."""
    sizes = [*range(1, 100), 5_000]
    await insert_sessions(store.engine, [HOUR] * 50 + [-HOUR] * 50, state_sizes=sizes)

    states = (await collect_statistics(store.engine)).states

    assert states is not None
    assert (states.measured, states.mean, states.total) == (100, 99.5, 9_950)
    assert (states.median, states.p95, states.p99, states.largest) == (50, 95, 99, 5_000)
    assert [
        (each.at_least, each.below, each.states) for each in states.histogram if each.states
    ] == [
        (0, 64, 63),
        (64, 128, 36),
        (4_096, 8_192, 1),
    ]


async def test_sizes_are_measured_in_a_sample(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total is projected from the measured states."""
    monkeypatch.setattr(survey, "MEASURED_STATES", 10)
    await insert_sessions(store.engine, [HOUR] * 40, state_sizes=[200] * 40)

    states = (await collect_statistics(store.engine)).states

    assert states is not None
    assert (states.measured, states.total) == (10, 8_000)


def test_every_moment_has_its_span() -> None:
    """The spans have no gaps and no bounds."""
    spans = expiries([])

    assert (spans[0].after, spans[-1].until) == (None, None)
    assert all(first.until == second.after for first, second in pairwise(spans))


@pytest.mark.parametrize(
    ("remaining", "span"),
    [
        (timedelta(0), (-HOUR, timedelta(0))),
        (timedelta(microseconds=1), (timedelta(0), HOUR / 2)),
        (HOUR, (HOUR / 2, HOUR)),
    ],
)
def test_the_end_of_a_span_belongs_to_it(
    remaining: timedelta, span: tuple[timedelta, timedelta]
) -> None:
    """A session whose deadline is now is expired, as in all operations."""
    group = survey.Group(remaining // timedelta(microseconds=1), 1)

    assert Expiry(*span, 1) in expiries([group])


@pytest.mark.parametrize("value", [Activity, Expiry, Kinds, Size, StateSizes, Statistics])
def test_the_annotations_of_the_values_can_be_evaluated(value: type) -> None:
    """Libraries such as Pydantic do so, to serialise a value."""
    assert get_type_hints(value).keys() == value.__annotations__.keys()


async def test_a_url_can_be_given(url: URL, store: SQLSessionStore) -> None:
    """Its engine is disposed: an open connection would be a warning, which fails the test."""
    await insert_sessions(store.engine, [HOUR])

    assert (await collect_statistics(url)).live.sessions == 1


async def test_an_engine_is_left_open(host_engine: AsyncEngine, store: SQLSessionStore) -> None:
    """The engine of an application is not disposed."""
    await collect_statistics(host_engine)

    assert host_engine.pool.checkedin() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_table_of_any_name(url: URL, name: str) -> None:
    """Names are quoted, in the system catalog too."""
    table = session_table(f"{name} {secrets.token_hex(4)}")
    await migrate.upgrade(url, table=table.name)
    engine = create_async_engine(url, poolclass=NullPool)
    await insert_sessions(engine, [HOUR, -HOUR], table=table)

    found = await collect_statistics(engine, table=table.name)
    await migrate.downgrade(url, "base", table=table.name)

    assert (found.live.sessions, found.expired.sessions) == (1, 1)
    storage = found.storage
    assert (storage.table_bytes or storage.file_bytes or 0) > 0


async def test_a_schema(url: URL, store: SQLSessionStore) -> None:
    """The table of the given schema is read."""
    async with store.engine.connect() as connection:
        schema = await connection.run_sync(lambda sync: inspect(sync).default_schema_name)
    await insert_sessions(store.engine, [HOUR])

    found = await collect_statistics(store.engine, schema=schema)

    assert found.live.sessions == 1
    assert (found.storage.table_bytes or found.storage.file_bytes or 0) > 0


async def test_a_missing_table_is_an_error(url: URL) -> None:
    """The error says that the table is missing."""
    with pytest.raises(DatabaseError, match=r"nowhere.*missing"):
        await collect_statistics(url, table="nowhere")


def test_the_documented_limits() -> None:
    """2,000 deadlines, 1,000 states, 100,000 counted."""
    assert (survey.SAMPLE, survey.MEASURED_STATES) == (2_000, 1_000)
    assert survey.COUNTED_ROWS == 100_000


async def test_an_error_of_python_in_a_driver_is_a_failure_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store explains it in the same way."""

    async def connect(*_: Any, **_options: Any) -> None:
        raise TypeError("cannot connect")

    monkeypatch.setattr(AsyncpgCreator, "connect", connect)

    with pytest.raises(DatabaseError, match="cannot connect"):
        await collect_statistics("postgresql://host/db")
