"""Where the time of one of many waiting calls goes: ``python -m benchmarks.parts``.

The parts by themselves, none of which waits for another: a call as far as this process goes, with
a stub in place of the database, and the statement that answers many. Of each, the least that a
round took, which is what it takes where nothing disturbs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import orjson

from benchmarks.databases import DATABASES, about, fresh_database, settle
from benchmarks.options import comma_separated
from benchmarks.peer import NotRunError
from benchmarks.report import machine, table_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import STATE, TTL, TTL_MICROSECONDS, session_id
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.coalescing import CoalescedCalls
from sessionstore_sql.dialects.base import Row
from sessionstore_sql.execution import Effect
from sessionstore_sql.operations import as_loaded
from sessionstore_sql.schema import key_of, session_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from benchmarks.databases import Target
    from sessionstore_sql.calls import DirectCalls, Loaded
    from sessionstore_sql.dialects.base import Batches
    from sessionstore_sql.execution import PooledExecutor, Work

CALLERS = 64
ROWS = 32
"""Of a statement: two share 64 callers."""
SESSIONS = 20_000
IDS = [session_id(number) for number in range(SESSIONS)]
ROUNDS = 25
_CALLS, _STATEMENTS = 6_400, 100
"""In a round."""

STORED = orjson.dumps(STATE)
RECORD = SessionRecord(STATE, TTL)


class Stub:
    """Answers at once, in place of the executor and of batches."""

    observer = None

    def __init__(self, store: SQLSessionStore) -> None:
        # Two batches share the callers, as on every server.
        self.dialect = replace(store._executor.dialect, statements_at_once=CALLERS // ROWS)

    async def run(self, work: Work[Any], *_rest: object) -> Any:
        """Do the work without a connection."""
        await asyncio.sleep(0)
        return work(cast("Any", None))

    def load(self, _connection: object, keys: Sequence[bytes]) -> list[Any]:
        """Find all of them."""
        return [(key, STORED, TTL_MICROSECONDS) for key in keys]

    def create(self, _connection: object, rows: Sequence[Row]) -> Collection[bytes]:
        """Change all of them."""
        return {row.key for row in rows}

    update = update_ttl = delete = create


class StubCalls:
    """Single calls that are answered at once: who comes first is made alone."""

    async def load(self, _session_id: SessionId) -> Loaded:
        """Find it."""
        await asyncio.sleep(0)
        return STORED, TTL

    async def update_ttl(self, *_arguments: object) -> None:
        """Change it."""
        await asyncio.sleep(0)

    update = update_ttl


async def parts_of_calls() -> dict[str, float]:
    """Return what calls cost this process, in microseconds."""
    store = SQLSessionStore("sqlite://")
    stub = Stub(store)
    store._calls = CoalescedCalls(
        cast("DirectCalls", StubCalls()), cast("PooledExecutor", stub), cast("Batches", stub)
    )
    waiting: list[asyncio.Future[None]] = []

    async def switch(_session_id: SessionId) -> None:
        answer = asyncio.get_running_loop().create_future()
        waiting.append(answer)
        if len(waiting) == CALLERS:
            for each in waiting:
                each.set_result(None)
            waiting.clear()
        await answer

    some = SessionId(session_id(0))
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "a switch of tasks, and the benchmark's choice of an id": partial(_callers, switch),
        "SHA-256 of an id": partial(_repeat, lambda: key_of(some)),
        "reading the JSON of a state": partial(_repeat, lambda: orjson.loads(STORED)),
        "the record of a row": partial(_repeat, _record),
        "load, all of it but the statement": partial(_callers, store.load),
        "update_ttl, likewise": partial(_callers, lambda each: store.update_ttl(each, TTL)),
        "update, likewise": partial(_callers, lambda each: store.update(each, RECORD)),
    }
    rounds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, make in parts.items():
            started = time.process_time()
            await make()
            rounds[name].append((time.process_time() - started) / _CALLS * 1e6)
    await store.aclose()
    return {name: min(each) for name, each in rounds.items()}


async def _callers(call: Callable[[SessionId], Awaitable[object]]) -> None:
    """Let many callers make a call again and again."""
    draw = random.random

    async def caller() -> None:
        for _ in range(_CALLS // CALLERS):
            await call(SessionId(IDS[int(draw() * SESSIONS)]))

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def _repeat(work: Callable[[], object]) -> None:
    for _ in range(_CALLS):
        work()


def _record() -> SessionRecord:
    _, remaining = as_loaded(STORED, TTL_MICROSECONDS)
    return SessionRecord(STATE, remaining)


async def parts_of_statements(target: Target) -> list[Sequence[str]]:
    """Return what a row costs as one of ``ROWS`` in a statement, a line for each operation."""
    await create_session_table(target, "parts")
    await fill_session_table(target, "parts", target.sessions)
    await settle(target)
    lines: list[Sequence[str]] = [("one of 32 rows", "this process", "elapsed")]
    keys = [key_of(SessionId(each)) for each in IDS]
    async with SQLSessionStore(target.url, table="parts") as store:
        executor = store._executor
        batches = executor.dialect.batches(session_table("parts"))

        async def load(rows: Sequence[Row]) -> None:
            work = partial(batches.load, keys=[row.key for row in rows])
            found = list(await executor.run(work, Effect.READ))
            assert len(found) == ROWS

        def writing(write: Callable[..., Any]) -> Callable[[Sequence[Row]], Awaitable[None]]:
            async def change(rows: Sequence[Row]) -> None:
                done = await executor.run(partial(write, rows=rows), Effect.REPEATABLE)
                assert len(done) == ROWS

            return change

        for name, state, make in (
            ("load", b"", load),
            ("update_ttl", b"", writing(batches.update_ttl)),
            ("update", STORED, writing(batches.update)),
        ):
            at_once = executor.dialect.statements_at_once
            seconds, cpu = await _statements(make, keys, state, at_once)
            lines.append((name, f"{cpu:.1f} us", f"{seconds:.1f} us"))
    return lines


async def _statements(
    make: Callable[[Sequence[Row]], Awaitable[None]],
    keys: Sequence[bytes],
    state: bytes,
    at_once: int,
) -> tuple[float, float]:
    """Return the microseconds of a row, and this process's CPU of those, as lanes make them."""
    rounds = []
    for _ in range(ROUNDS):
        # Each has keys of its own: two statements never meet.
        chosen = random.sample(range(0, len(keys), ROWS), _STATEMENTS)
        batches = [
            [Row(key, TTL_MICROSECONDS, state) for key in sorted(keys[first : first + ROWS])]
            for first in chosen
        ]
        waiting = iter(batches)

        async def serve(waiting: Iterator[list[Row]] = waiting) -> None:
            for rows in waiting:
                await make(rows)

        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(serve() for _ in range(at_once)))
        rounds.append((time.perf_counter() - started, time.process_time() - cpu))
    share = 1e6 / _STATEMENTS / ROWS
    seconds, cpus = zip(*rounds, strict=True)
    return min(seconds) * share, min(cpus) * share


async def run(databases: Sequence[str]) -> None:
    """Measure and print."""
    for name, value in machine().items():
        print(f"{name}: {value}")
    gc.collect()
    gc.freeze()
    parts = await parts_of_calls()
    print("\n" + "\n".join(table_of([(name, f"{us:.1f} us") for name, us in parts.items()])) + "\n")
    for database in databases:
        print(f"== {database} ==\n")
        try:
            async with fresh_database(database, pool=2, sessions=SESSIONS) as target:
                print(f"  {(await about(target))['version']}\n")
                print("\n".join(table_of(await parts_of_statements(target))) + "\n")
        except NotRunError as reason:
            print(f"  not run: {reason}\n")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=__doc__)
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    asyncio.run(run(parser.parse_args().databases))


if __name__ == "__main__":
    main()
