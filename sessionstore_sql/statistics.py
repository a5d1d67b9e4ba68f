"""How many sessions there are, when they expire, and how much room they take.

Made for the database at night, so it never looks at everything; what is estimated says so.

- Deadlines are read of 2,000 sessions, the sizes of states of 1,000, chosen by their keys, which
  are digests and so as good as lots. They also tell how many sessions there are in all.
- If that makes out up to 100,000, or on demand, they are counted: from the index on
  ``expiry_bucket`` alone, which is far smaller than the table.
- Expired sessions are counted from the same index in any case: they are few where purging works.

Nothing is locked. How long a statement may take is the engine's to say; the store's own gives up
after 10 seconds (but not on SQLite), and what was not had by then is estimated, or missing.

There is no age in it: a row tells when its session expires, and nothing of when it was created
or last used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql.dialects.storage import Storage, Vacuum
from sessionstore_sql.engines import create_engine, dialect_of
from sessionstore_sql.execution import PooledExecutor
from sessionstore_sql.schema import DEFAULT_TABLE, session_table
from sessionstore_sql.survey import COUNTED_ROWS, Group, Survey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import URL

    from sessionstore_sql.survey import Sample

__all__ = [
    "Count",
    "Expiry",
    "Size",
    "StateSizes",
    "Statistics",
    "Storage",
    "Vacuum",
    "collect_statistics",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_EXPIRY_EDGES = (
    timedelta(days=-30),
    timedelta(days=-7),
    timedelta(days=-1),
    timedelta(hours=-1),
    timedelta(0),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(days=1),
    timedelta(days=2),
    timedelta(days=4),
    timedelta(days=7),
    timedelta(days=14),
    timedelta(days=30),
    timedelta(days=90),
    timedelta(days=365),
)
_SIZE_EDGES = (*(2**exponent for exponent in range(6, 17)), 2**18, 2**20, 2**24)


@dataclass(frozen=True, slots=True)
class Count:
    """A number of sessions."""

    sessions: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Expiry:
    """The sessions that expire within one span of time.

    Attributes:
        after: Where it begins, in relation to the moment of the statistics: negative in the past.
            ``None``: no bound.
        until: Where it ends, included; ``None``: no bound.
        sessions: How many there are.
    """

    after: timedelta | None
    until: timedelta | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Size:
    """The measured states of one class of sizes: ``at_least`` bytes or more, and ``below`` that.

    ``None`` where there is no bound.
    """

    at_least: int
    below: int | None
    states: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSizes:
    """The sizes of states, in bytes as they are stored: an estimate unless all were measured.

    Attributes:
        measured: How many states the figures are from, expired ones included.
        mean, median, p95, p99, largest: Zero where there is none.
        total: Of all sessions, made out from the mean.
        histogram: From the smallest size to the largest.
    """

    measured: int
    mean: float
    median: int
    p95: int
    p99: int
    largest: int
    total: int
    histogram: tuple[Size, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What there is in the table of sessions.

    Attributes:
        taken_at: When, by the database's clock. What expired until then is expired.
        live: The sessions that are live.
        expired: The rows that are yet to be purged.
        oldest_expired: For how long the one that expired first has been waiting to be purged,
            and up to 4.5 minutes more, as the index has it; ``None``: there is none.
        expiries: All sessions by the time that remains to them, from the past to the future. As
            exact as the two counts, but where rows were counted from the index, each is placed
            within 4.5 minutes.
        states: ``None``: they could not be measured in time.
        storage: What the database's own books say.
    """

    taken_at: datetime
    live: Count
    expired: Count
    oldest_expired: timedelta | None
    expiries: tuple[Expiry, ...]
    states: StateSizes | None
    storage: Storage


async def collect_statistics(
    target: AsyncEngine | URL | str,
    *,
    table: str = DEFAULT_TABLE,
    schema: str | None = None,
    exact: bool = False,
) -> Statistics:
    """Return how many sessions there are, when they expire, and how much room they take.

    Args:
        target: As for ``SQLSessionStore``. A URL's engine is closed in the end.
        table: The name of the table.
        schema: The schema it is in; ``None`` for the connection's own.
        exact: Count the sessions, however many there are. What is not had in time is estimated
            after all.

    Raises:
        TypeError, ValueError, ModuleNotFoundError: As ``SQLSessionStore``.
        DatabaseError: The database failed.
    """
    async with _survey(target, table, schema) as survey:
        now_us = await survey.now()
        census = await _census(survey, now_us, exact=exact)
        oldest = await survey.first_bucket() if census.expired.sessions else None
        sizes = await survey.state_sizes()
        return Statistics(
            taken_at=_EPOCH + now_us * _MICROSECOND,
            live=census.live,
            expired=census.expired,
            oldest_expired=None if oldest is None else (now_us - oldest) * _MICROSECOND,
            expiries=_expiries(census.groups),
            states=None if sizes is None else _state_sizes(sizes, census.total),
            storage=await survey.storage(census.total),
        )


class _Census(NamedTuple):
    live: Count
    expired: Count
    groups: Sequence[Group]

    @property
    def total(self) -> int:
        return self.live.sessions + self.expired.sessions


@asynccontextmanager
async def _survey(
    target: AsyncEngine | URL | str, table: str, schema: str | None
) -> AsyncIterator[Survey]:
    sessions = session_table(table, schema=schema)
    engine = target if isinstance(target, AsyncEngine) else create_engine(target)
    try:
        yield Survey(PooledExecutor(engine, dialect_of(engine), sessions.fullname), sessions)
    finally:
        if engine is not target:
            await engine.dispose()


async def _census(survey: Survey, now_us: int, *, exact: bool) -> _Census:
    sample = await survey.sample(now_us)
    if sample.complete:
        return _counted([Group(remaining, 1) for remaining in sample.remaining])
    if exact or sample.population <= COUNTED_ROWS:
        groups = await survey.count(now_us)
        if groups is not None:
            return _counted(groups)
    return _estimated(sample, await survey.count_expired())


def _counted(groups: Sequence[Group]) -> _Census:
    expired = sum(group.sessions for group in groups if group.is_expired)
    live = sum(group.sessions for group in groups) - expired
    return _Census(
        Count(round(live), estimated=False), Count(round(expired), estimated=False), groups
    )


def _estimated(sample: Sample, expired: int | None) -> _Census:
    """Project the sample onto all sessions; ``expired`` of them are, if that is known."""
    drawn = [Group(remaining, 1) for remaining in sample.remaining]
    drawn_expired = sum(group.is_expired for group in drawn)
    population = sample.population
    projected = round(population * drawn_expired / len(drawn)) if expired is None else expired
    live = max(0, population - projected)
    one_expired = projected / max(1, drawn_expired)
    one_live = live / max(1, len(drawn) - drawn_expired)
    return _Census(
        Count(live, estimated=True),
        Count(projected, estimated=expired is None),
        [Group(each.remaining, one_expired if each.is_expired else one_live) for each in drawn],
    )


def _expiries(groups: Sequence[Group]) -> tuple[Expiry, ...]:
    edges = [edge // _MICROSECOND for edge in _EXPIRY_EDGES]
    sessions = [0.0] * (len(edges) + 1)
    for group in groups:
        sessions[bisect_left(edges, group.remaining)] += group.sessions
    bounds = pairwise((None, *_EXPIRY_EDGES, None))
    return tuple(
        Expiry(after, until, round(count))
        for (after, until), count in zip(bounds, sessions, strict=True)
    )


def _state_sizes(sizes: Sequence[int], total: int) -> StateSizes:
    ordered = sorted(sizes)
    states = [0] * (len(_SIZE_EDGES) + 1)
    for size in ordered:
        states[bisect_right(_SIZE_EDGES, size)] += 1
    mean = sum(ordered) / max(1, len(ordered))
    bounds = pairwise((0, *_SIZE_EDGES, None))
    return StateSizes(
        measured=len(ordered),
        mean=mean,
        median=_percentile(ordered, 0.5),
        p95=_percentile(ordered, 0.95),
        p99=_percentile(ordered, 0.99),
        largest=ordered[-1] if ordered else 0,
        total=round(mean * total),
        histogram=tuple(
            Size(at_least or 0, below, count)
            for (at_least, below), count in zip(bounds, states, strict=True)
        ),
    )


def _percentile(ordered: Sequence[int], share: float) -> int:
    """Return the smallest size that is not exceeded by ``share`` of them."""
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0
