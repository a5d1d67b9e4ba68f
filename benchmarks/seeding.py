"""Fills tables before the measurement, as fast as each database allows."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import insert

from benchmarks.databases import execute, scratch_engine
from benchmarks.workload import STATE, TTL_MICROSECONDS, session_id
from sessionstore_sql.schema import session_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import FromClause
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.sql.dml import Insert

    from benchmarks.databases import Target

_CHUNK = 5_000
_SERVER_CHUNK = 100_000

_APART = 600_000
"""Microseconds between two expired sessions: about 450 to a bucket."""

_STATE = orjson.dumps(STATE)


async def insert_rows(target: Target, table: FromClause, rows: Iterator[dict[str, Any]]) -> None:
    """Insert ``rows`` into the table of a peer."""
    statement: Insert = insert(table)  # type: ignore[arg-type]  # a TableClause works too
    engine = scratch_engine(target.url, autocommit=False)
    try:
        chunk: list[dict[str, Any]] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                await _insert_chunk(engine, statement, chunk)
                chunk = []
        if chunk:
            await _insert_chunk(engine, statement, chunk)
    finally:
        await engine.dispose()


async def _insert_chunk(
    engine: AsyncEngine, statement: Insert, chunk: Sequence[dict[str, Any]]
) -> None:
    async with engine.begin() as connection:
        await connection.execute(statement, chunk)


async def create_session_table(target: Target, table: str) -> None:
    """Create a table like this store's, with the migrations."""
    engine = scratch_engine(target.url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(session_table(table).create)
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Sessions to create: their numbers and deadlines."""

    table: str
    numbers: range
    deadline: int
    """Deadline of the first session, in microseconds."""
    step: int
    """Difference between the deadlines of two sessions, in microseconds."""

    def part(self, start: int, size: int) -> _Batch:
        """Return the sessions with these numbers."""
        deadline = self.deadline + start * self.step
        return replace(self, numbers=self.numbers[start : start + size], deadline=deadline)


async def fill_session_table(
    target: Target, table: str, count: int, *, expired: bool = False, first: int = 0
) -> None:
    """Insert sessions into a table like this store's, starting with number ``first``.

    Args:
        target: The database.
        table: The name of the table.
        count: The number of sessions.
        expired: Whether their deadlines lie before now, one after another; else all are live.
        first: The number of the first session.
    """
    now = time.time_ns() // 1_000
    numbers = range(first, first + count)
    if expired:
        batch = _Batch(table, numbers, now - 1_000_000 - count * _APART, _APART)
    else:
        batch = _Batch(table, numbers, now + TTL_MICROSECONDS, 0)
    if target.database == "sqlite":
        await insert_rows(target, session_table(table), _rows(batch))
        return
    insert_into = _postgresql if target.database == "postgresql" else _mysql
    for start in range(0, count, _SERVER_CHUNK):
        await execute(target.url, insert_into(batch.part(start, _SERVER_CHUNK)))


def postgresql_key(number: str) -> str:
    """Return SQL for the key of the session with this number."""
    session = f"encode(sha256(convert_to('session-' || {number}, 'UTF8')), 'hex')"
    return f"sha256(convert_to(left({session}, 32), 'UTF8'))"


def _postgresql(batch: _Batch) -> str:
    """Return an INSERT of sessions that the server generates."""
    first, last = batch.numbers[0], batch.numbers[-1]
    return (
        f"INSERT INTO {batch.table} (id, deadline, state) "
        f"SELECT {postgresql_key('n')}, {batch.deadline} + (n - {first})::bigint * {batch.step}, "
        f"'\\x{_STATE.hex()}'::bytea FROM generate_series({first}, {last}) AS n"
    )


def _mysql(batch: _Batch) -> str:
    """Return the same INSERT for MySQL and MariaDB, which have no generate_series."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    powers = range(len(str(len(batch.numbers) - 1)))
    joined = " CROSS JOIN ".join(f"({digits}) AS d{power}" for power in powers)
    number = " + ".join(f"d{power}.d * {10**power}" for power in powers)
    session = f"LEFT(SHA2(CONCAT('session-', {batch.numbers[0]} + n), 256), 32)"
    return (
        f"INSERT INTO {batch.table} (id, deadline, state) "
        f"SELECT UNHEX(SHA2({session}, 256)), {batch.deadline} + n * {batch.step}, "
        f"UNHEX('{_STATE.hex()}') "
        f"FROM (SELECT {number} AS n FROM {joined}) AS numbers WHERE n < {len(batch.numbers)}"
    )


def _rows(batch: _Batch) -> Iterator[dict[str, Any]]:
    for index, number in enumerate(batch.numbers):
        yield {
            "id": hashlib.sha256(session_id(number).encode()).digest(),
            "deadline": batch.deadline + index * batch.step,
            "state": _STATE,
        }
