"""Inserts sessions with given deadlines and sizes, without the store."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import BigInteger, Table, bindparam, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named, now

TABLE = session_table()


async def insert_sessions(
    engine: AsyncEngine,
    remaining: Iterable[timedelta],
    *,
    state_sizes: Iterable[int] | None = None,
    table: Table = TABLE,
) -> None:
    """Insert a session for each remaining time; negative times have expired.

    The key of the n-th session is a digest of n.
    """
    times = [each // timedelta(microseconds=1) for each in remaining]
    sizes = [2] * len(times) if state_sizes is None else list(state_sizes)
    async with engine.begin() as connection:
        binary = dialect_named(connection.dialect.name).binary
        await connection.execute(
            insert(table).values(
                id=bindparam("key", type_=binary),
                deadline=now() + bindparam("remaining", type_=BigInteger),
                state=bindparam("content", type_=binary),
            ),
            [
                {
                    "key": hashlib.sha256(str(number).encode()).digest(),
                    "remaining": each,
                    "content": secrets.token_bytes(size),  # it cannot be compressed
                }
                for number, (each, size) in enumerate(zip(times, sizes, strict=True))
            ],
        )
