"""Measures the cost of a purge: ``python -m benchmarks.purge``.

It measures the time per row in tables of different sizes, for the first and the last batches, and
the latency of loads during the purge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import DATABASES, settle
from benchmarks.each_database import on_each_database
from benchmarks.measuring import progress
from benchmarks.options import comma_separated, integers
from benchmarks.peer import percentiles
from benchmarks.report import table_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import session_id
from sessionstore_sql import SessionId, SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.databases import Target

BATCH = 1_000
SIZES = (1_000, 100_000, 1_000_000)
LARGEST = 5_000_000
READERS = 8
LOOK = 10
"""Number of batches that count as the first, and as the last."""
_QUIET_SECONDS = 3.0
_ENOUGH = 500
"""Minimum number of loads for a p99; a small table is empty before that."""


@dataclass(frozen=True, slots=True)
class Purge:
    """The measurements of one purge."""

    rows: int
    seconds: list[float]
    """Seconds of each batch; empty if the command purged."""
    quiet: list[float]
    """Latencies of loads before the purge."""
    busy: list[float]
    """Latencies of loads during the purge."""

    @property
    def first(self) -> float:
        """Seconds per row in the first batches."""
        return statistics.median(self.seconds[:LOOK]) / BATCH

    @property
    def last(self) -> float:
        """Seconds per row in the last batches."""
        return statistics.median(self.seconds[-LOOK:]) / BATCH


async def measure_purge(target: Target, rows: int, given: argparse.Namespace) -> Purge:
    """Add ``rows`` expired sessions to a table with live ones, and purge it."""
    table = f"purge_{rows}"
    progress(f"{target.database}: a table of {rows:,} expired sessions")
    await create_session_table(target, table)
    await fill_session_table(target, table, target.sessions)
    await fill_session_table(target, table, rows, expired=True, first=target.sessions)
    await settle(target)
    options = {"pool_size": target.pool}
    async with (
        # The purge has its own connection.
        SQLSessionStore(target.url, table=table, engine_options=options) as store,
        SQLSessionStore(target.url, table=table, engine_options={"pool_size": 1}) as purger,
    ):
        await _load_for(store, target.sessions, asyncio.create_task(asyncio.sleep(0.5)))
        quiet = await _load_for(
            store, target.sessions, asyncio.create_task(asyncio.sleep(_QUIET_SECONDS))
        )
        if given.idle:
            await _start_idle(purger)
        progress(f"{target.database}: purging {rows:,}")
        work = _command(target, table) if given.command else _purge_all(purger, given.pause)
        purging = asyncio.create_task(work)
        busy = await _load_for(store, target.sessions, purging)
        seconds = await purging
    return Purge(rows, seconds, quiet, busy)


async def _command(target: Target, table: str) -> list[float]:
    """Purge with the command, in its own process, with its default pauses."""
    url = target.url.render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sessionstore_sql", "purge", "--table", table),
        *("--batch-size", str(BATCH)),
        env={**os.environ, "SESSIONSTORE_URL": url},
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError("the command failed")
    return []


async def _start_idle(purger: SQLSessionStore) -> None:
    """Connect, and set the lowest CPU priority for the threads of the connection."""
    before = _threads()
    await purger.load(SessionId.generate())
    for thread in _threads() - before:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _threads() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


async def _purge_all(store: SQLSessionStore, pause: float) -> list[float]:
    """Purge in batches; return the duration of each full batch."""
    seconds: list[float] = []
    removed = BATCH
    while removed == BATCH:
        started = time.perf_counter()
        removed = await store.delete_expired(BATCH)
        if removed == BATCH:
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(pause)
    return seconds


async def _load_for(
    store: SQLSessionStore, sessions: int, other: asyncio.Task[object] | asyncio.Task[list[float]]
) -> list[float]:
    """Load live sessions until ``other`` is done; return the latencies."""
    latencies: list[float] = []

    async def reader() -> None:
        while not other.done():
            number = random.randrange(sessions)
            started = time.perf_counter()
            assert await store.load(SessionId(session_id(number))) is not None
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(reader() for _ in range(READERS)))
    return latencies


def report(purges: Sequence[Purge]) -> str:
    """Return one line for each size."""
    headings = ("rows", "us/row first", "us/row last", "last/first")
    rows: list[Sequence[str]] = [
        (*headings, "load p50 ms", "while purging", "load p99 ms", "while purging", "p99 ratio")
    ]
    for each in purges:
        (quiet50, quiet99), (busy50, busy99) = percentiles(each.quiet), percentiles(each.busy)
        enough = len(each.busy) >= _ENOUGH
        rows.append(
            (
                f"{each.rows:,}",
                f"{each.first * 1e6:.1f}" if each.seconds else "-",
                f"{each.last * 1e6:.1f}" if each.seconds else "-",
                f"{each.last / each.first:.2f}" if each.seconds else "-",
                f"{quiet50 * 1e3:.2f}",
                f"{busy50 * 1e3:.2f}",
                f"{quiet99 * 1e3:.2f}",
                f"{busy99 * 1e3:.2f}" if enough else "-",
                f"{busy99 / quiet99:.2f}" if enough else "-",
            )
        )
    return "\n".join(table_of(rows))


async def run(given: argparse.Namespace, sizes: Sequence[int]) -> None:
    """Measure and print the results."""

    async def measure(target: Target) -> str:
        return report([await measure_purge(target, size, given) for size in sizes])

    how = "pauses of the command" if given.command else f"{given.pause} s between batches"
    heading = (
        f"batches of {BATCH:,}, {how}, {given.live:,} live sessions, {READERS} readers"
        f"{', purging on idle CPU time' if given.idle else ''}"
    )
    await on_each_database(
        given.databases, measure, pool=given.pool, sessions=given.live, heading=heading
    )


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purge", description=__doc__)
    add = parser.add_argument
    add("--databases", type=comma_separated(DATABASES), default=DATABASES)
    add("--rows", type=integers, default=SIZES, help="sizes of the tables")
    add("--rows-5m", action="store_true", help="also measure five million rows")
    add("--live", type=int, default=20_000, help="number of live sessions that the readers load")
    add("--pool", type=int, default=4)
    add("--pause", type=float, default=0.0, help="seconds between two batches")
    add("--command", action="store_true", help="purge with `sessionstore-sql purge`")
    add("--idle", action="store_true", help="purge on idle CPU time; SQLite on Linux only")
    given = parser.parse_args()
    if given.idle and set(given.databases) != {"sqlite"}:
        parser.error("--idle requires --databases sqlite, which purges in this process")
    if given.command and (given.idle or given.pause):
        parser.error("--command cannot be combined with --pause or --idle")
    sizes = (*given.rows, *((LARGEST,) if given.rows_5m else ()))
    asyncio.run(run(given, sizes))


if __name__ == "__main__":
    main()
