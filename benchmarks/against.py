"""Compares the hot operations of this checkout with those of another one, in one run.

    python -m benchmarks.against CHECKOUT [--databases ..] [--rounds N]

Both run as processes of their own, each on its own database of the same server, and take turns:
slices of the two alternate, so that both meet the same noise. The figure is the median of the
ratios of neighbouring slices. Below 1, this checkout is slower.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.databases import DATABASES, fresh_database
from benchmarks.options import comma_separated, integers
from benchmarks.peer import NotRunError

HERE = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("against_worker.py")
OPERATIONS = ("load", "touch", "update")


class Worker:
    """A process that measures one checkout."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, checkout: Path, url: str, sessions: int) -> Worker:
        """Return a worker whose table is filled."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), url, str(sessions)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            cwd=checkout,
        )
        worker = cls(process)
        if await worker._line() != "ready":
            raise NotRunError(f"the worker of {checkout} failed")
        return worker

    async def measure(self, operation: str, callers: int, seconds: float) -> tuple[float, float]:
        """Return calls per second, and microseconds of CPU per call."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{operation} {callers} {seconds}\n".encode())
        rate, cpu = (await self._line()).split()
        return float(rate), float(cpu)

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()


async def compare(options: argparse.Namespace, database: str) -> None:
    """Print the ratios on one database."""
    async with AsyncExitStack() as stack:
        workers: list[Worker] = []
        for checkout in (HERE, options.checkout.resolve()):
            target = await stack.enter_async_context(fresh_database(database, pool=5, sessions=0))
            url = target.url.render_as_string(hide_password=False)
            worker = await Worker.start(checkout, url, options.sessions)
            stack.push_async_callback(worker.stop)
            workers.append(worker)
        for operation in OPERATIONS:
            for callers in options.callers:
                rates, cpus = [], []
                for turn in range(options.rounds):
                    order = workers if turn % 2 else workers[::-1]
                    measured = {
                        each: await each.measure(operation, callers, options.seconds)
                        for each in order
                    }
                    (rate, cpu), (other_rate, other_cpu) = (measured[each] for each in workers)
                    rates.append(rate / other_rate)
                    cpus.append(cpu / other_cpu)
                print(
                    f"{database:10} {operation:6} {callers:3} callers: calls/s "
                    f"{statistics.median(rates):.3f}, CPU per call {statistics.median(cpus):.3f}",
                    flush=True,
                )


async def main() -> None:
    """Compare on every database that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against")
    parser.add_argument("checkout", type=Path, help="a checkout of the other commit")
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    parser.add_argument("--callers", type=integers, default=(1, 64))
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for database in options.databases:
        try:
            await compare(options, database)
        except NotRunError as reason:
            print(f"{database:10} not run: {reason}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
