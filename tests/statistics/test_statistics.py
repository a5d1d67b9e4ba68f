"""What the statistics say of a table, on every database."""

from __future__ import annotations

import secrets
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import URL, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import DatabaseError, SQLSessionStore, migrate, statistics, survey
from sessionstore_sql.schema import session_table
from sessionstore_sql.statistics import Count, Expiry, Statistics, collect_statistics
from tests.migrations.databases import ODD_NAMES
from tests.statistics.rows import insert_sessions

pytestmark = pytest.mark.anyio

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIXED = (
    [timedelta(minutes=10)] * 5 + [3 * HOUR] * 20 + [10 * DAY] * 5 + [-2 * HOUR] * 7 + [-DAY * 40]
)
"""30 live and 8 expired, each in the midst of a span of the histogram."""


def spans(found: Statistics) -> dict[tuple[timedelta | None, timedelta | None], int]:
    """Return the spans of time that have sessions."""
    return {(each.after, each.until): each.sessions for each in found.expiries if each.sessions}


MIXED_SPANS = {
    (None, -30 * DAY): 1,
    (-DAY, -HOUR): 7,
    (timedelta(0), HOUR / 2): 5,
    (2 * HOUR, 4 * HOUR): 20,
    (7 * DAY, 14 * DAY): 5,
}


async def test_an_empty_table_has_nothing(store: SQLSessionStore) -> None:
    """No session is no special case: every figure is there, and zero."""
    found = await collect_statistics(store.engine)

    assert found.live == found.expired == Count(0, estimated=False)
    assert found.oldest_expired is None
    assert spans(found) == {}
    assert found.states is not None
    assert (found.states.measured, found.states.mean, found.states.total) == (0, 0, 0)
    assert found.states.median == found.states.p95 == found.states.p99 == found.states.largest == 0


async def test_few_sessions_are_counted(store: SQLSessionStore) -> None:
    """As many as the sample takes need no estimate."""
    await insert_sessions(store.engine, MIXED)

    found = await collect_statistics(store.engine)

    assert (found.live, found.expired) == (Count(30, estimated=False), Count(8, estimated=False))
    assert spans(found) == MIXED_SPANS


@pytest.mark.parametrize("exact", [False, True])
async def test_more_sessions_are_counted_in_the_index(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    """Up to 100,000, or however many on demand; the sample only says how many there may be."""
    monkeypatch.setattr(survey, "SAMPLE", 10)
    monkeypatch.setattr(statistics, "COUNTED_ROWS", 0 if exact else 1_000)
    await insert_sessions(store.engine, MIXED)

    found = await collect_statistics(store.engine, exact=exact)

    assert (found.live, found.expired) == (Count(30, estimated=False), Count(8, estimated=False))
    assert spans(found) == MIXED_SPANS


async def test_the_present_bucket_is_told_apart_exactly(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has just expired is counted as such, although the index knows 4.5 minutes only."""
    monkeypatch.setattr(survey, "SAMPLE", 2)
    seconds = [-2, -1, 0, 60, 61]
    await insert_sessions(store.engine, [timedelta(seconds=each) for each in seconds])

    found = await collect_statistics(store.engine)

    assert (found.live.sessions, found.expired.sessions) == (2, 3)
    assert spans(found) == {(-HOUR, timedelta(0)): 3, (timedelta(0), HOUR / 2): 2}


async def test_many_sessions_are_estimated(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The distance between keys says how many there are; those expired are counted all the same."""
    monkeypatch.setattr(survey, "SAMPLE", 100)
    monkeypatch.setattr(statistics, "COUNTED_ROWS", 100)
    await insert_sessions(store.engine, [3 * HOUR] * 450 + [3 * DAY] * 450 + [-2 * HOUR] * 100)

    found = await collect_statistics(store.engine)

    # The keys are always the same ones: of 900, give or take 4 standard errors of 10 %.
    assert found.live.estimated
    assert 540 < found.live.sessions < 1_260
    assert found.expired == Count(100, estimated=False)
    histogram = spans(found)
    assert set(histogram) == {(-DAY, -HOUR), (2 * HOUR, 4 * HOUR), (2 * DAY, 4 * DAY)}
    assert histogram[-DAY, -HOUR] == 100
    assert sum(histogram.values()) == pytest.approx(found.live.sessions + 100, abs=2)


async def test_the_oldest_expired_session_is_found(store: SQLSessionStore) -> None:
    """How long it has been waiting, in steps of 4.5 minutes, tells whether purging keeps up."""
    await insert_sessions(store.engine, [HOUR, -2 * HOUR, -DAY])

    oldest = (await collect_statistics(store.engine)).oldest_expired

    assert oldest is not None
    assert DAY <= oldest < DAY + HOUR


async def test_live_sessions_are_no_oldest_expired_one(store: SQLSessionStore) -> None:
    """The deadline that comes first has to have come."""
    await insert_sessions(store.engine, [HOUR, 2 * HOUR])

    assert (await collect_statistics(store.engine)).oldest_expired is None


async def test_sizes_of_states_are_measured(store: SQLSessionStore) -> None:
    """Percentiles are sizes that occur; the sizes fall into classes of powers of two."""
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


async def test_sizes_are_of_a_sample(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many states as are measured, the total of all is made out."""
    monkeypatch.setattr(survey, "MEASURED_STATES", 10)
    await insert_sessions(store.engine, [HOUR] * 40, state_sizes=[200] * 40)

    states = (await collect_statistics(store.engine)).states

    assert states is not None
    assert (states.measured, states.total) == (10, 8_000)


def test_every_moment_has_its_span() -> None:
    """The spans follow each other without a gap, from the past to the future."""
    spans = statistics._expiries([])

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
    """A deadline that has come is expired, as everywhere."""
    group = survey.Group(remaining // timedelta(microseconds=1), 1)

    assert Expiry(*span, 1) in statistics._expiries([group])


async def test_a_url_will_do(url: URL, store: SQLSessionStore) -> None:
    """It is opened as a store opens it, and closed: a connection left would be a warning here."""
    await insert_sessions(store.engine, [HOUR])

    assert (await collect_statistics(url)).live.sessions == 1


async def test_an_engine_is_left_open(host_engine: AsyncEngine, store: SQLSessionStore) -> None:
    """A host's engine, in transactions, serves as well, and is the host's to close."""
    await collect_statistics(host_engine)

    assert host_engine.pool.checkedin() == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_table_of_any_name(url: URL, name: str) -> None:
    """Names are quoted, and found in the database's books too."""
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
    """The table of the schema that was asked for is the one that is looked at."""
    async with store.engine.connect() as connection:
        schema = await connection.run_sync(lambda sync: inspect(sync).default_schema_name)
    await insert_sessions(store.engine, [HOUR])

    found = await collect_statistics(store.engine, schema=schema)

    assert found.live.sessions == 1
    assert (found.storage.table_bytes or found.storage.file_bytes or 0) > 0


async def test_a_missing_table_is_an_error(url: URL) -> None:
    """Which says so, and how to make it."""
    with pytest.raises(DatabaseError, match=r"nowhere.*missing"):
        await collect_statistics(url, table="nowhere")


def test_the_bounds_are_those_of_the_documentation() -> None:
    """2,000 deadlines, 1,000 states, 100,000 counted."""
    assert (survey.SAMPLE, survey.MEASURED_STATES) == (2_000, 1_000)
    assert survey.COUNTED_ROWS == 100_000
