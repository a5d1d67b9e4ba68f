"""Turns what a survey has read into distributions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from sessionstore_sql.statistics.values import Expiry, Kinds, Size, StateSizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.survey import Group, Kind

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


def expiries(groups: Sequence[Group]) -> tuple[Expiry, ...]:
    """Return the numbers of sessions by the time to their deadline."""
    edges = [edge // _MICROSECOND for edge in _EXPIRY_EDGES]
    sessions = [0.0] * (len(edges) + 1)
    for group in groups:
        sessions[bisect_left(edges, group.remaining)] += group.sessions
    bounds = pairwise((None, *_EXPIRY_EDGES, None))
    return tuple(
        Expiry(after, until, round(count))
        for (after, until), count in zip(bounds, sessions, strict=True)
    )


def state_sizes(sizes: Sequence[int], total: int) -> StateSizes:
    """Return the distribution of the sizes that were measured, projected onto ``total`` states."""
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


def kinds_of(read: Sequence[Kind], total: int) -> Kinds:
    """Return the kinds of the sessions that were read, projected onto ``total`` sessions."""
    scale = total / max(1, len(read))
    keys = Counter(each.key for each in read)
    signed_in = round(scale * sum(each.is_signed_in for each in read))
    return Kinds(
        measured=len(read),
        signed_in=signed_in,
        anonymous=max(0, total - signed_in),
        keys={name: round(scale * count) for name, count in keys.most_common()},
    )


def _percentile(ordered: Sequence[int], share: float) -> int:
    """Return the smallest size that is not exceeded by ``share`` of them."""
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0
