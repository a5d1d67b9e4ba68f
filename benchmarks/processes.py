"""Measures several worker processes on one server: ``python -m benchmarks.processes``.

A web application runs in several processes, and each has few callers. Their calls share nothing
with those of other processes. The CPU time of PostgreSQL, if it runs on this machine, is shown
beside that of the processes, so that the cost of the whole can be seen.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, text
from sqlalchemy.pool import NullPool

from benchmarks.databases import DATABASES, settle
from benchmarks.each_database import on_each_database
from benchmarks.measuring import progress
from benchmarks.options import comma_separated, integers
from benchmarks.report import table_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import TTL, session_id
from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.sql.engines import create_engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from benchmarks.databases import Target

TABLE = "processes"
_TOUCH_EVERY = 5
"""One of so many calls extends the session, as the middleware does by default; others load it."""

_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Work:
    """What one process does."""

    url: URL
    callers: int
    sessions: int
    seconds: float


def serve(work: Work, parent: Connection) -> None:
    """Run one worker process. It reports when it is ready, and what it did."""
    asyncio.run(_serve(work, parent))


async def _serve(work: Work, parent: Connection) -> None:
    async with SQLSessionStore(work.url, table=TABLE) as store:
        draw = random.Random(os.getpid()).random

        async def call_until(end: float) -> int:
            calls = 0
            while time.perf_counter() < end:
                each = SessionId(session_id(int(draw() * work.sessions)))
                calls += 1
                if calls % _TOUCH_EVERY:
                    await store.load(each)
                else:
                    await store.update_ttl(each, TTL)
            return calls

        async def all_call(seconds: float) -> int:
            end = time.perf_counter() + seconds
            return sum(await asyncio.gather(*(call_until(end) for _ in range(work.callers))))

        await all_call(0.2)
        parent.send("ready")
        await asyncio.get_running_loop().run_in_executor(None, parent.recv)
        cpu, started = time.process_time(), time.perf_counter()
        calls = await all_call(work.seconds)
        parent.send((calls, time.perf_counter() - started, time.process_time() - cpu))
        await asyncio.get_running_loop().run_in_executor(None, parent.recv)


async def measure(target: Target, processes: int, callers: int, seconds: float) -> Sequence[str]:
    """Return one line of the table."""
    progress(f"{target.database}: {processes} processes, {callers} callers each")
    context = multiprocessing.get_context("spawn")
    work = Work(target.url, callers, target.sessions, seconds)
    pipes = [context.Pipe() for _ in range(processes)]
    workers = [
        context.Process(target=serve, args=(replace(work), theirs), daemon=True)
        for _, theirs in pipes
    ]
    for worker in workers:
        worker.start()
    ours = [mine for mine, _ in pipes]
    for pipe in ours:
        await asyncio.to_thread(pipe.recv)
    backends = await _backends(target)
    before = _cpu_seconds(backends)
    for pipe in ours:
        pipe.send("go")
    done = [await asyncio.to_thread(pipe.recv) for pipe in ours]
    server = _cpu_seconds(backends) - before
    for pipe in ours:
        pipe.send("end")
    for worker in workers:
        await asyncio.to_thread(worker.join)
    calls = sum(each[0] for each in done)
    rate = sum(each[0] / each[1] for each in done)
    client_us = sum(each[2] for each in done) / calls * 1e6
    server_us = f"{server / calls * 1e6:.0f} us" if backends else "-"
    return (str(processes), str(callers), f"{rate:,.0f}", f"{client_us:.0f} us", server_us)


async def _backends(target: Target) -> list[int]:
    """Return the processes of PostgreSQL that serve this database; none if they are not here."""
    if target.database != "postgresql":
        return []
    engine = create_engine(target.url, {"poolclass": NullPool})
    try:
        async with engine.connect() as connection:
            found = [int(pid) for pid in (await connection.execute(text(_BACKENDS))).scalars()]
    finally:
        await engine.dispose()
    return [pid for pid in found if _is_here(pid)]


def _is_here(process: int) -> bool:
    return Path(f"/proc/{process}/stat").exists()


def _cpu_seconds(processes: Sequence[int]) -> float:
    ticks = 0
    for each in processes:
        with suppress(OSError):
            fields = (
                Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            )
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def run(options: argparse.Namespace) -> None:
    """Measure and print the results."""

    async def measure_all(target: Target) -> str:
        await create_session_table(target, TABLE)
        await fill_session_table(target, TABLE, target.sessions)
        await settle(target)
        lines = [("processes", "callers", "calls/s", "client CPU", "server CPU")]
        for processes in options.processes:
            for callers in options.callers:
                line = await measure(target, processes, callers, options.seconds)
                lines.append(tuple(line))  # type: ignore[arg-type]
        return "\n".join(table_of(lines))

    await on_each_database(options.databases, measure_all, pool=5, sessions=options.sessions)


def main() -> None:
    """Run the benchmark on the selected databases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    add = parser.add_argument
    add("--databases", type=comma_separated(DATABASES), default=DATABASES)
    add("--processes", type=integers, default=(1, 2, 4))
    add("--callers", type=integers, default=(1, 2, 8, 64), help="in each process")
    add("--seconds", type=float, default=1.0)
    add("--sessions", type=int, default=20_000)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
