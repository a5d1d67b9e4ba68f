"""Rows below the store's interface: written, back-dated and counted by raw SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore_sql import SessionId
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named, now
from tests.databases import TARGETS

TABLE = session_table()
SERVER_TARGETS = [target for target in TARGETS if target.database != "sqlite"]


def key_of(session_id: SessionId) -> bytes:
    """Return the key as the contract defines it, computed here once more."""
    return hashlib.sha256(session_id.value.encode()).digest()


async def database_time(engine: AsyncEngine) -> int:
    """Return the database's clock, in microseconds since 1970."""
    async with engine.connect() as connection:
        time: int = (await connection.execute(select(now()))).scalar_one()
    return time


async def insert_rows(engine: AsyncEngine, deadlines: Iterable[tuple[SessionId, int]]) -> None:
    """Insert sessions of an empty state with these deadlines, in microseconds since 1970."""
    async with engine.begin() as connection:
        name = connection.dialect.name
        values = [
            f"({_binary(name, key_of(session_id))}, {deadline}, {_binary(name, b'{}')})"
            for session_id, deadline in deadlines
        ]
        for start in range(0, len(values), 1_000):
            chunk = ", ".join(values[start : start + 1_000])
            await connection.exec_driver_sql(
                f"INSERT INTO {TABLE.name} (id, deadline, state) VALUES {chunk}"
            )


async def set_deadline(
    connection: AsyncConnection, session_id: SessionId, microseconds: int
) -> None:
    """Move the deadline to so many microseconds from now; negative: into the past."""
    binary = dialect_named(connection.dialect.name).binary
    await connection.execute(
        update(TABLE)
        .where(TABLE.c.id == bindparam("key", type_=binary))
        .values(deadline=now() + bindparam("microseconds", microseconds)),
        {"key": key_of(session_id)},
    )


async def back_date(engine: AsyncEngine, session_ids: Iterable[SessionId]) -> None:
    """Let the sessions have expired a minute ago."""
    async with engine.connect() as connection:
        for session_id in session_ids:
            await set_deadline(connection, session_id, -60_000_000)
        await connection.commit()


async def deadline_of(engine: AsyncEngine, session_id: SessionId) -> int | None:
    """Return the deadline in the row, live or expired, or ``None`` without a row."""
    async with engine.connect() as connection:
        binary = dialect_named(connection.dialect.name).binary
        statement = select(TABLE.c.deadline).where(TABLE.c.id == bindparam("key", type_=binary))
        return (await connection.execute(statement, {"key": key_of(session_id)})).scalar()


async def keys(engine: AsyncEngine) -> set[bytes]:
    """Return the keys of all rows, live and expired."""
    async with engine.connect() as connection:
        return {bytes(key) for key in await connection.scalars(select(TABLE.c.id))}


async def row_count(engine: AsyncEngine) -> int:
    """Return the number of rows, live and expired."""
    async with engine.connect() as connection:
        statement = select(func.count()).select_from(TABLE)
        return (await connection.execute(statement)).scalar_one()


def _binary(database: str, value: bytes) -> str:
    return f"decode('{value.hex()}', 'hex')" if database == "postgresql" else f"X'{value.hex()}'"
