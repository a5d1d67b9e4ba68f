"""The worker of ``benchmarks.against``: repeats operations with the package that it can import.

    python against_worker.py URL SESSIONS

It reads lines from its standard input, each an operation, a number of callers and seconds, and
writes the calls per second and the microseconds of CPU per call of this process.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from datetime import timedelta

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate

TTL = timedelta(days=14)
RECORD = SessionRecord({"user_id": 184_467, "note": "x" * 380}, TTL)


async def main(url: str, sessions: int) -> None:
    """Fill the table, then do what each line says."""
    await migrate.upgrade(url)
    ids = [SessionId.generate() for _ in range(sessions)]
    async with SQLSessionStore(url) as store:
        for start in range(0, sessions, 500):
            part = ids[start : start + 500]
            await asyncio.gather(*(store.create(each, RECORD) for each in part))
        calls = {
            "load": store.load,
            "touch": lambda each: store.update_ttl(each, TTL),
            "update": lambda each: store.update(each, RECORD),
        }
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            name, callers, seconds = line.split()
            call, count = calls[name], 0
            end = time.perf_counter() + float(seconds)

            async def repeat() -> int:
                done = 0
                while time.perf_counter() < end:  # noqa: B023
                    await call(random.choice(ids))  # type: ignore[no-untyped-call]  # noqa: B023
                    done += 1
                return done

            start_s, cpu = time.perf_counter(), time.process_time()
            count = sum(await asyncio.gather(*(repeat() for _ in range(int(callers)))))
            elapsed, used = time.perf_counter() - start_s, time.process_time() - cpu
            print(count / elapsed, used / count * 1e6, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
