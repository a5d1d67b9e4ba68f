"""How long it takes to end a user's sessions among many, and all of a user who has many.

python -m benchmarks.revoking [--databases ..] [--sessions 1000000] [--of-one 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.databases import DATABASES, execute, settle
from benchmarks.each_database import on_each_database
from benchmarks.options import comma_separated
from benchmarks.seeding import create_session_table, fill_session_table
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.accounts.subjects import subject_digest
from sessionstore_sql.schema import DEFAULT_TABLE

if TYPE_CHECKING:
    from benchmarks.databases import Target

USERS = 100
"""Number of users whose sessions are revoked one after another."""
SESSIONS_OF_A_USER = 3

_RECORD = SessionRecord({}, timedelta(days=14))
_PREFIX = {
    "postgresql": "substring(id from 1 for 16)",
    "mysql": "LEFT(id, 16)",
    "mariadb": "LEFT(id, 16)",
    "sqlite": "substr(id, 1, 16)",
}
"""The first half of a key, which serves as a handle."""


async def measure(target: Target, of_one: int) -> str:
    """Return the figures of one database."""
    await create_session_table(target, DEFAULT_TABLE)
    await fill_session_table(target, DEFAULT_TABLE, target.sessions)
    is_postgresql = target.database == "postgresql"
    about = "'{}'::bytea" if is_postgresql else "'{}'"
    of_a_user = (
        f"handle = {_PREFIX[target.database]}, created = deadline, authenticated = deadline, "
        f"seen = deadline, version = 1, about = {about}"
    )
    await execute(target.url, f"UPDATE {DEFAULT_TABLE} SET subject = id, {of_a_user}")
    await settle(target)
    async with SQLSessionStore(target.url) as store:
        of_several = await _end_few_sessions_each(store)
        digest = subject_digest("one", None).hex()
        value = f"'\\x{digest}'::bytea" if is_postgresql else f"x'{digest}'"
        some = f"SELECT id FROM {DEFAULT_TABLE} LIMIT {of_one}"
        chosen = f"WHERE id IN (SELECT id FROM ({some}) AS chosen)"
        await execute(target.url, f"UPDATE {DEFAULT_TABLE} SET subject = {value} {chosen}")
        return f"  {of_several}\n  {await _end_all_of_one_user(store)}"


async def _end_few_sessions_each(store: SQLSessionStore) -> str:
    for user in range(USERS):
        for _ in range(SESSIONS_OF_A_USER):
            await store.sign_in(None, SessionId.generate(), _RECORD, subject=f"user {user}")
    taken = []
    for user in range(USERS):
        start = time.perf_counter()
        assert await store.revoke(f"user {user}") == SESSIONS_OF_A_USER
        taken.append((time.perf_counter() - start) * 1_000)
    slowest = statistics.quantiles(taken, n=20)[-1]
    return (
        f"{SESSIONS_OF_A_USER} sessions of a user: fastest {min(taken):.2f} ms, "
        f"median {statistics.median(taken):.2f} ms, 95 % within {slowest:.2f} ms"
    )


async def _end_all_of_one_user(store: SQLSessionStore) -> str:
    steps: list[float] = []
    endings = store._table.endings  # noqa: SLF001  # each step is timed
    revoke = endings.revoke

    def timed(*arguments: object, **options: object) -> object:
        start = time.perf_counter()
        try:
            return revoke(*arguments, **options)  # type: ignore[arg-type]
        finally:
            steps.append(time.perf_counter() - start)

    endings.revoke = timed  # type: ignore[method-assign, assignment]
    start = time.perf_counter()
    ended = await store.revoke("one")
    total = time.perf_counter() - start
    return (
        f"{ended:,} sessions of one user: {total:.1f} s in {len(steps)} steps, "
        f"the longest {max(steps):.2f} s"
    )


async def main() -> None:
    """Measure on every database that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.revoking")
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--of-one", type=int, default=100_000)
    options = parser.parse_args()
    await on_each_database(
        options.databases,
        lambda target: measure(target, options.of_one),
        pool=5,
        sessions=options.sessions,
        heading=f"{options.sessions:,} sessions",
    )


if __name__ == "__main__":
    asyncio.run(main())
