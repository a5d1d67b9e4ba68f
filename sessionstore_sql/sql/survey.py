"""Reads the numbers for ``sessionstore_sql.statistics``: a sample, or counts from an index.

The key of a session is a SHA-256 digest. So the first rows in key order are a random sample, no
matter what the sessions contain or when they were created, and the last key of the sample says
how many rows there are in all. This needs neither TABLESAMPLE, which only PostgreSQL has and which
samples whole pages of rows that were written together, nor the optimizer's statistics, which every
database keeps in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, LargeBinary, case, cast, func, literal, select, union_all

from sessionstore_sql.codec import ENCRYPTED, KEY_ID_BYTES, key_id_in
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.schema import BUCKET_SHIFT
from sessionstore_sql.sql.dialects import Failure
from sessionstore_sql.sql.dialects.clauses import expired_count, now
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.failures import classify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Executable, Row, Table

    from sessionstore_sql.sql.dialects.storage import Connections, Storage
    from sessionstore_sql.sql.execution import PooledExecutor

SAMPLE = 2_000
"""Number of rows whose deadlines are read: the estimated total is within 5 % in 19 of 20 cases.

PostgreSQL reads about one page of the table for each row, which takes seconds from a slow disk.
"""

MEASURED_STATES = 1_000
"""Number of rows whose state sizes are read, the first of the sample. MySQL and MariaDB read the
whole state to determine its size."""

COUNTED_ROWS = 100_000
"""Maximum number of rows that are counted one by one, in the index. Before its first vacuum,
PostgreSQL reads the table instead, which takes about a second for so many."""

_KEYS = 2**256

_JUST_EXPIRED = -1
"""Stands for the expired rows of the current bucket. No deadline is before 1970."""


class Group(NamedTuple):
    """A number of sessions with about the same deadline."""

    remaining: int
    """Microseconds until the deadline; negative if it has passed."""
    sessions: float

    @property
    def is_expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining <= 0


@dataclass(frozen=True, slots=True)
class Count:
    """A number of sessions.

    Attributes:
        sessions: The number.
        estimated: Whether it was projected from a sample, and not counted.
    """

    sessions: int
    estimated: bool


class Census(NamedTuple):
    """All sessions of the table, counted or estimated."""

    live: Count
    expired: Count
    groups: Sequence[Group]

    @property
    def total(self) -> int:
        """Number of live and expired sessions."""
        return self.live.sessions + self.expired.sessions


class Kind(NamedTuple):
    """Whose session a row is, and how it is encrypted."""

    is_signed_in: bool
    key: str | None
    """The hashed name of the key, in hexadecimal digits; ``None`` if the state is not encrypted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first sessions in key order, and an estimate of their total number.

    Attributes:
        remaining: Microseconds until the deadline of each session.
        last_key: The last key that was read.
        complete: Whether the table has no other rows.
    """

    remaining: Sequence[int]
    last_key: bytes
    complete: bool

    @property
    def population(self) -> int:
        """Estimated number of sessions in the table. Only valid if the sample is not complete."""
        # If n keys are spread evenly over 0 to 1, the k-th is at k / (n + 1) on average. With
        # k - 1, the estimate is unbiased.
        return round((len(self.remaining) - 1) * _KEYS / (int.from_bytes(self.last_key, "big") + 1))


class Survey:
    """Reads one table."""

    def __init__(self, executor: PooledExecutor, table: Table) -> None:
        self._executor = executor
        self._table = table

    async def now(self) -> int:
        """Return the database's clock, in microseconds since 1970 UTC."""
        return int((await self._rows(select(now())))[0][0])

    async def census(self, now_us: int, *, exact: bool) -> Census:
        """Return the number of sessions, and their deadlines relative to ``now_us``.

        A table of at most ``SAMPLE`` rows is read completely. Up to ``COUNTED_ROWS`` rows, or if
        ``exact``, the rows are counted in the index. Otherwise, or if that takes too long, the
        sample is projected onto the table.
        """
        sample = await self.sample(now_us)
        if sample.complete:
            return _counted([Group(remaining, 1) for remaining in sample.remaining])
        if exact or sample.population <= COUNTED_ROWS:
            groups = await self.count(now_us)
            if groups is not None:
                return _counted(groups)
        return _estimated(sample, await self.count_expired())

    async def sample(self, now_us: int) -> Sample:
        """Return the deadlines of up to ``SAMPLE`` sessions, relative to ``now_us``."""
        columns = self._table.c
        # SQLite stores a text if one is written into the column by hand.
        deadline = cast(columns.deadline, BigInteger).label("deadline")
        statement = select(columns.id, deadline).order_by(columns.id).limit(SAMPLE)
        rows = await self._rows(statement)
        return Sample(
            remaining=[row.deadline - now_us for row in rows],
            last_key=rows[-1].id if rows else b"",
            complete=len(rows) < SAMPLE,
        )

    async def count(self, now_us: int) -> list[Group] | None:
        """Return the number of sessions per bucket, or ``None`` if counting takes too long.

        All sessions of a bucket are treated as if they expired in its middle. The bucket of
        ``now_us`` is split into its expired and its live sessions.
        """
        bucket, current = self._table.c.expiry_bucket, now_us >> BUCKET_SHIFT
        each = select(bucket.label("bucket"), func.count().label("sessions")).group_by(bucket)
        just_expired = select(_literal(_JUST_EXPIRED), func.count()).where(
            bucket == _literal(current), self._table.c.deadline <= _literal(now_us)
        )
        rows = await self._rows_in_time(union_all(each, just_expired))
        if rows is None:
            return None
        counted: dict[int, int] = {row.bucket: row.sessions for row in rows}
        expired = counted.pop(_JUST_EXPIRED)
        live = counted.pop(current, expired) - expired
        middle = 1 << (BUCKET_SHIFT - 1)
        groups = [
            Group((number << BUCKET_SHIFT) + middle - now_us, sessions)
            for number, sessions in counted.items()
        ]
        return [*groups, Group(0, expired), Group(1, live)]

    async def count_expired(self) -> int | None:
        """Return the number of expired sessions, or ``None`` if counting takes too long."""
        rows = await self._rows_in_time(expired_count(self._table))
        return None if rows is None else int(rows[0][0])

    async def first_bucket(self) -> int | None:
        """Return the start of the bucket with the first deadline; ``None`` for an empty table.

        In microseconds since 1970 UTC. The deadline itself is up to 4.5 minutes later. To find it,
        every row of the bucket would have to be read.
        """
        bucket = (await self._rows(select(func.min(self._table.c.expiry_bucket))))[0][0]
        return None if bucket is None else int(bucket) << BUCKET_SHIFT

    async def state_sizes(self) -> list[int] | None:
        """Return the sizes of ``MEASURED_STATES`` states, or ``None`` if that takes too long."""
        columns = self._table.c
        statement = select(func.length(columns.state)).order_by(columns.id).limit(MEASURED_STATES)
        rows = await self._rows_in_time(statement)
        return None if rows is None else [size for (size,) in rows]

    async def kinds(self) -> list[Kind] | None:
        """Return the kinds of ``MEASURED_STATES`` sessions, or ``None`` if that takes too long."""
        columns = self._table.c
        is_signed_in = case((columns.subject.is_not(None), 1), else_=0).label("is_signed_in")
        size = len(ENCRYPTED) + KEY_ID_BYTES
        header = func.substr(columns.state, 1, size, type_=LargeBinary()).label("header")
        kinds = select(is_signed_in, header)
        statement = kinds.order_by(columns.id).limit(MEASURED_STATES)
        rows = await self._rows_in_time(statement)
        if rows is None:
            return None
        return [Kind(bool(row.is_signed_in), _key_in(row.header)) for row in rows]

    async def storage(self) -> Storage:
        """Return the size of the table, from the system catalog."""
        dialect = self._executor.dialect
        return await self._executor.run(
            lambda connection: dialect.storage(connection, self._table), Effect.READ
        )

    async def connections(self) -> Connections | None:
        """Return the number of connections to the server; ``None`` if there is no server."""
        dialect = self._executor.dialect
        return await self._executor.run(dialect.connections, Effect.READ)

    async def _rows_in_time(self, statement: Executable) -> Sequence[Row[Any]] | None:
        """Return the rows, or ``None`` if the server cancelled the statement at its time limit."""
        try:
            return await self._rows(statement)
        except DatabaseError as error:
            cause = error.__cause__
            assert cause is not None
            if classify(cause, self._executor.dialect, sent=True) is not Failure.TIMED_OUT:
                raise
            return None

    async def _rows(self, statement: Executable) -> Sequence[Row[Any]]:
        return await self._executor.run(
            lambda connection: connection.execute(statement).all(), Effect.READ
        )


def _key_in(start: object) -> str | None:
    """Return the key of a state. SQLite may hold a value of any type, if it was written by hand."""
    key = key_id_in(bytes(start)) if isinstance(start, bytes | bytearray | memoryview) else None
    return None if key is None else key.hex()


def _counted(groups: Sequence[Group]) -> Census:
    expired = sum(group.sessions for group in groups if group.is_expired)
    live = sum(group.sessions for group in groups) - expired
    return Census(
        Count(round(live), estimated=False), Count(round(expired), estimated=False), groups
    )


def _estimated(sample: Sample, expired: int | None) -> Census:
    """Project the sample onto all sessions. ``expired`` is their number if it was counted."""
    drawn = [Group(remaining, 1) for remaining in sample.remaining]
    drawn_expired = sum(group.is_expired for group in drawn)
    population = sample.population
    projected = round(population * drawn_expired / len(drawn)) if expired is None else expired
    live = max(0, population - projected)
    one_expired = projected / max(1, drawn_expired)
    one_live = live / max(1, len(drawn) - drawn_expired)
    return Census(
        Count(live, estimated=True),
        Count(projected, estimated=expired is None),
        [Group(each.remaining, one_expired if each.is_expired else one_live) for each in drawn],
    )


def _literal(number: int) -> ColumnElement[int]:
    return literal(number, BigInteger)
