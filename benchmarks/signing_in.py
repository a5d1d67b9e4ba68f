"""How long sign-ins take that are made at the same time, coalesced and one by one.

python -m benchmarks.signing_in [--databases ..] [--callers 64] [--rounds 12]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.databases import DATABASES
from benchmarks.each_database import on_each_database
from benchmarks.options import comma_separated
from benchmarks.report import table_of
from benchmarks.seeding import create_session_table
from benchmarks.workload import STATE
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.schema import DEFAULT_TABLE

if TYPE_CHECKING:
    from benchmarks.databases import Target

_RECORD = SessionRecord(STATE, timedelta(days=14))
_KINDS = ("without a session", "from a session", "from a session, with a limit")


async def _round(store: SQLSessionStore, kind: str, callers: int) -> float:
    """Return the milliseconds that one sign-in of each user takes."""
    ids: list[SessionId | None] = [None] * callers
    if kind != _KINDS[0]:
        anonymous = [SessionId.generate() for _ in range(callers)]
        await asyncio.gather(*(store.create(each, _RECORD) for each in anonymous))
        ids = [*anonymous]
    limit = 5 if kind == _KINDS[2] else None
    start = time.perf_counter()
    await asyncio.gather(
        *(
            store.sign_in(
                old_id, SessionId.generate(), _RECORD, subject=f"user {user}", max_sessions=limit
            )
            for user, old_id in enumerate(ids)
        )
    )
    return (time.perf_counter() - start) * 1_000


async def measure(target: Target, callers: int, rounds: int) -> str:
    """Return the figures of one database. Rounds of both stores alternate."""
    await create_session_table(target, DEFAULT_TABLE)
    lines = [("", "one by one, ms", "coalesced, ms")]
    async with (
        SQLSessionStore(target.url) as coalesced,
        SQLSessionStore(target.url, coalesce=False) as alone,
    ):
        for kind in _KINDS:
            taken: dict[SQLSessionStore, list[float]] = {alone: [], coalesced: []}
            for _ in range(rounds):
                for store, durations in taken.items():
                    durations.append(await _round(store, kind, callers))
            one_by_one, together = (statistics.median(each) for each in taken.values())
            lines.append((kind, f"{one_by_one:.0f}", f"{together:.0f}"))
    return "\n".join(table_of(lines))


async def main() -> None:
    """Measure on every database that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signing_in")
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    await on_each_database(
        options.databases,
        lambda target: measure(target, options.callers, options.rounds),
        pool=5,
        sessions=0,
        heading=f"{options.callers} sign-ins at the same time, median of {options.rounds} rounds",
    )


if __name__ == "__main__":
    asyncio.run(main())
