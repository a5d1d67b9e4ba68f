"""The statements behind ``sessionstore_sql.statistics``: what is read of a table, and how much.

The key of a session is a SHA-256 digest, so the first rows in the order of the keys are as good
as drawn by lot, whatever the sessions hold and whenever they were made; and how far they reach
into the range of all keys says how many rows there are. That needs neither TABLESAMPLE, which
only PostgreSQL has (and which takes whole pages, of rows that were written together), nor the
optimizer's statistics, which every database keeps in its own way, or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, cast, func, literal, select, union_all

from sessionstore_sql.dialects import Failure, now
from sessionstore_sql.dialects.purging import expired_count
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.execution import Effect
from sessionstore_sql.failures import classify
from sessionstore_sql.schema import BUCKET_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Executable, Row, Table

    from sessionstore_sql.dialects.storage import Storage
    from sessionstore_sql.execution import PooledExecutor

SAMPLE = 2_000
"""Rows of which the deadline is read: enough for the number of rows within 5 %, 19 times of 20.

Not more, as PostgreSQL reads a page of the table for each, which takes seconds from a slow disk.
"""

MEASURED_STATES = 1_000
"""Rows of which the size of the state is read, the first of the sample. MySQL and MariaDB read all
of a state for it."""

COUNTED_ROWS = 100_000
"""Rows that are counted one by one, from the index. Were they read from the table, as PostgreSQL
may have to before a vacuum, that would still be a matter of a second."""

_KEYS = 2**256

_JUST_EXPIRED = -1
"""Stands for what has expired of the current bucket; no deadline is before 1970."""


class Group(NamedTuple):
    """So many sessions, whose deadlines are so many microseconds away."""

    remaining: int
    sessions: float

    @property
    def is_expired(self) -> bool:
        """Whether the deadline has come."""
        return self.remaining <= 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The first sessions in the order of their keys, and how many there seem to be in all."""

    remaining: Sequence[int]
    """Microseconds."""
    last_key: bytes
    complete: bool
    """Whether these are all."""

    @property
    def population(self) -> int:
        """How many sessions there are in all, made out from how closely the keys lie.

        Of no use where the sample is complete: then they are as many as it has.
        """
        # Of n keys spread evenly over 0 to 1, the k-th is at k / (n + 1) on average; with k - 1,
        # the estimate is without bias.
        return round((len(self.remaining) - 1) * _KEYS / (int.from_bytes(self.last_key, "big") + 1))


class Survey:
    """Reads one table, as it is at one moment of the database's clock."""

    def __init__(self, executor: PooledExecutor, table: Table) -> None:
        self._executor = executor
        self._table = table

    async def now(self) -> int:
        """Return the database's clock, in microseconds since 1970 UTC."""
        return int((await self._rows(select(now())))[0][0])

    async def sample(self, now_us: int) -> Sample:
        """Return the deadlines of up to ``SAMPLE`` sessions, as distances from ``now_us``."""
        columns = self._table.c
        # SQLite lets a text be written to the column by hand.
        deadline = cast(columns.deadline, BigInteger).label("deadline")
        statement = select(columns.id, deadline).order_by(columns.id).limit(SAMPLE)
        rows = await self._rows(statement)
        return Sample(
            remaining=[row.deadline - now_us for row in rows],
            last_key=rows[-1].id if rows else b"",
            complete=len(rows) < SAMPLE,
        )

    async def count(self, now_us: int) -> list[Group] | None:
        """Return all sessions by bucket, at the middle of each; ``None``: not had in time.

        The bucket of ``now_us`` comes in two, what is expired of it and what is live.
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
        """Return the number of expired sessions; ``None``: it was not had in time."""
        rows = await self._rows_in_time(expired_count(self._table))
        return None if rows is None else int(rows[0][0])

    async def first_bucket(self) -> int | None:
        """Return when the bucket with the first deadline begins; ``None``: there are no sessions.

        In microseconds since 1970 UTC. The deadline itself, up to 4.5 minutes later, would take a
        look at every row of the bucket.
        """
        bucket = (await self._rows(select(func.min(self._table.c.expiry_bucket))))[0][0]
        return None if bucket is None else int(bucket) << BUCKET_SHIFT

    async def state_sizes(self) -> list[int] | None:
        """Return the bytes of up to ``MEASURED_STATES`` states; ``None``: not had in time."""
        columns = self._table.c
        statement = select(func.length(columns.state)).order_by(columns.id).limit(MEASURED_STATES)
        rows = await self._rows_in_time(statement)
        return None if rows is None else [size for (size,) in rows]

    async def storage(self, rows: int) -> Storage:
        """Return what the database's books say about a table of so many rows."""
        dialect = self._executor.dialect
        return await self._executor.run(
            lambda connection: dialect.storage(connection, self._table, rows), Effect.READ
        )

    async def _rows_in_time(self, statement: Executable) -> Sequence[Row[Any]] | None:
        """Return the rows, or ``None`` where the server gave up on them."""
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


def _literal(number: int) -> ColumnElement[int]:
    return literal(number, BigInteger)
