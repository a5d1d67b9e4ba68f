"""Measures what one purge at a time is worth: ``python -m benchmarks.purge_nodes``.

Several processes, each with a store of its own, purge the same table at the same moment, with and
without the lock that lets one of them purge at a time. It measures the time until no expired
session is left, the time that all nodes spent in statements, and the latency of loads meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
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
NODES = (1, 2, 4)
READERS = 8
SERVERS = tuple(each for each in DATABASES if each != "sqlite")
"""SQLite has one writer, and so no such lock."""


@dataclass
class Purge:
    """The measurements of one purge by several nodes."""

    nodes: int
    exclusively: bool
    seconds: float = 0
    spent: float = 0
    """Seconds that all nodes together waited for the database."""
    batches: int = 0
    loads: list[float] = field(default_factory=list)


async def measure(target: Target, nodes: int, given: argparse.Namespace, mode: bool) -> Purge:
    """Add expired sessions to a table with live ones, and have ``nodes`` stores purge it."""
    purge = Purge(nodes, mode)
    table = f"nodes_{nodes}_{int(mode)}"
    progress(f"{target.database}: {nodes} nodes, {'one at a time' if mode else 'all at once'}")
    await create_session_table(target, table)
    await fill_session_table(target, table, given.live)
    await fill_session_table(target, table, given.rows, expired=True, first=given.live)
    await settle(target)
    stores = [
        SQLSessionStore(target.url, table=table, engine_options={"pool_size": 1})
        for _ in range(nodes)
    ]
    async with SQLSessionStore(target.url, table=table) as reading:
        await asyncio.gather(*(each.count_expired() for each in [reading, *stores]))
        started = time.perf_counter()
        purging = asyncio.ensure_future(
            asyncio.gather(*(_purge_all(each, purge, given.pause) for each in stores))
        )
        await asyncio.gather(*(_load(reading, given.live, purging, purge) for _ in range(READERS)))
        removed = sum(await purging)
        purge.seconds = time.perf_counter() - started
    for each in stores:
        await each.aclose()
    assert removed == given.rows, f"{removed} of {given.rows} rows were counted"
    return purge


async def _purge_all(store: SQLSessionStore, purge: Purge, pause: timedelta) -> int:
    """Purge as ``delete_expired_in_batches`` does; return how many sessions were removed."""
    total = 0
    while True:
        started = time.perf_counter()
        call = store.delete_expired_exclusively if purge.exclusively else store.delete_expired
        removed = await call(BATCH)
        took = time.perf_counter() - started
        purge.spent += took
        purge.batches += 1
        total += removed or 0
        if removed is None or removed < BATCH:
            return total
        await asyncio.sleep(max(pause.total_seconds(), took))


async def _load(
    store: SQLSessionStore, live: int, other: asyncio.Future[list[int]], purge: Purge
) -> None:
    while not other.done():
        number = random.randrange(live)
        started = time.perf_counter()
        assert await store.load(SessionId(session_id(number))) is not None
        purge.loads.append(time.perf_counter() - started)


def report(purges: Sequence[Purge]) -> str:
    """Return one line for each number of nodes, with and without the lock."""
    rows: list[Sequence[str]] = [
        ("nodes", "lock", "seconds", "in statements", "batches", "load p50 ms", "load p99 ms")
    ]
    for each in purges:
        p50, p99 = percentiles(each.loads)
        rows.append(
            (
                f"{each.nodes}",
                "yes" if each.exclusively else "no",
                f"{each.seconds:.1f}",
                f"{each.spent:.1f}",
                f"{each.batches}",
                f"{p50 * 1e3:.2f}",
                f"{p99 * 1e3:.2f}",
            )
        )
    return "\n".join(table_of(rows))


async def run(given: argparse.Namespace) -> None:
    """Measure and print the results."""

    async def measure_all(target: Target) -> str:
        return report(
            [
                await measure(target, nodes, given, mode)
                for nodes in given.nodes
                for mode in (True, False)
            ]
        )

    heading = f"{given.rows:,} expired and {given.live:,} live sessions, batches of {BATCH:,}"
    await on_each_database(
        given.databases, measure_all, pool=4, sessions=given.live, heading=heading
    )


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purge_nodes", description=__doc__)
    add = parser.add_argument
    add("--databases", type=comma_separated(SERVERS), default=SERVERS)
    add("--nodes", type=integers, default=NODES)
    add("--rows", type=int, default=50_000, help="number of expired sessions")
    add("--live", type=int, default=20_000, help="number of live sessions that the readers load")
    add(
        "--pause",
        type=lambda text: timedelta(seconds=float(text)),
        default=timedelta(milliseconds=100),
        help="seconds between two batches of one node; default: 0.1",
    )
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
