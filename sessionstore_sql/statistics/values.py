"""The values that the functions return."""

from __future__ import annotations

# Libraries such as Pydantic evaluate the annotations, so their names are imported at runtime.
from collections.abc import Mapping  # noqa: TC003
from dataclasses import dataclass
from datetime import datetime, timedelta  # noqa: TC003

from sessionstore_sql.sql.dialects.storage import Connections, Storage  # noqa: TC001
from sessionstore_sql.sql.survey import Count  # noqa: TC001


@dataclass(frozen=True, slots=True)
class Expiry:
    """The number of sessions that expire within one span of time.

    Attributes:
        after: The start of the span, relative to the time of the statistics: negative in the past.
            ``None``: the span has no start.
        until: The end of the span, inclusive. ``None``: the span has no end.
        sessions: The number of sessions.
    """

    after: timedelta | None
    until: timedelta | None
    sessions: int


@dataclass(frozen=True, slots=True)
class Size:
    """The number of measured states within one range of sizes.

    Attributes:
        at_least: The smallest size of the range, in bytes.
        below: The size at which the next range begins. ``None``: the range has no end.
        states: The number of states.
    """

    at_least: int
    below: int | None
    states: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSizes:
    """The sizes of states in bytes, as they are stored. An estimate unless all were measured.

    Attributes:
        measured: The number of states that were measured. Expired sessions are included.
        mean: The mean size. This and the following values are zero if there are no states.
        median: The size that half of the states do not exceed.
        p95: The size that 95 % of the states do not exceed.
        p99: The size that 99 % of the states do not exceed.
        largest: The largest measured size.
        total: The size of all states, projected from the mean.
        histogram: The number of measured states per range of sizes, in ascending order.
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
class Kinds:
    """Sessions by kind, expired ones included. An estimate unless all were read.

    Attributes:
        measured: The number of sessions that were read.
        signed_in: The number of sessions of users.
        anonymous: The number of other sessions.
        keys: The number of sessions by the name of the key that encrypts them, in hashed form as
            it is stored: 8 hexadecimal digits. ``None`` stands for states that are not encrypted.
    """

    measured: int
    signed_in: int
    anonymous: int
    keys: Mapping[str | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The sessions in a table, and the space that they use.

    Attributes:
        taken_at: The time of the statistics, by the database's clock. Sessions whose deadline is
            not later are expired.
        live: The number of live sessions.
        expired: The number of expired sessions that are not purged yet.
        oldest_expired: How long the session that expired first has been expired, and up to
            4.5 minutes more, because that is the resolution of the index. ``None``: no session is
            expired.
        expiries: All sessions by the time to their deadline, from the past to the future. The
            numbers are as exact as ``live`` and ``expired``. If the sessions were counted in the
            index, each is placed within 4.5 minutes.
        states: The sizes of states. ``None``: measuring them took too long.
        kinds: The sessions by kind. ``None``: reading them took too long.
        storage: The sizes on disk, from the system catalog.
    """

    taken_at: datetime
    live: Count
    expired: Count
    oldest_expired: timedelta | None
    expiries: tuple[Expiry, ...]
    states: StateSizes | None
    kinds: Kinds | None
    storage: Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The numbers that change from minute to minute.

    Attributes:
        taken_at: The time of the measurement, by the database's clock.
        live: The number of live sessions.
        expired: The number of expired sessions that are not purged yet.
        oldest_expired: As in ``Statistics``.
        connections: The connections to the database server. ``None`` on SQLite.
    """

    taken_at: datetime
    live: Count
    expired: Count
    oldest_expired: timedelta | None
    connections: Connections | None
