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
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from benchmarks.databases import Target
    from sessionstore_sql.calls import DirectCalls, Loaded
    from sessionstore_sql.dialects.base import Batches
    from sessionstore_sql.execution import PooledExecutor, Work

CALLERS = 64
ROWS = 32
"""Of a statement: two share 64 callers."""
SESSIONS = 20_000
ROUNDS = 25
_CALLS, _STATEMENTS = 6_400, 100
"""In a round."""

STORED = orjson.dumps(STATE)
RECORD = SessionRecord(STATE, TTL)


class Stub:
    """Answers at once, in place of single calls, of their executor, and of batches."""

    observer = None

    def __init__(self, store: SQLSessionStore) -> None:
        self.dialect = store._executor.dialect

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

    update = update_ttl = delete = live = create


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
    parts = {"a switch of tasks, and the benchmark's choice of an id": await _each(switch)}
    parts |= {
        "SHA-256 of an id": _alone(lambda: key_of(some)),
        "reading the JSON of a state": _alone(lambda: orjson.loads(STORED)),
        "the record of a row": _alone(
            lambda: SessionRecord(STATE, (as_loaded(STORED, TTL_MICROSECONDS) or (None, TTL))[1])
        ),
        "load, all of it but the statement": await _each(store.load),
        "update_ttl, likewise": await _each(lambda each: store.update_ttl(each, TTL)),
        "update, likewise": await _each(lambda each: store.update(each, RECORD)),
    }
    await store.aclose()
    return parts


async def _each(call: Callable[[SessionId], Awaitable[object]]) -> float:
    """Return the microseconds of a call, of many callers that repeat it."""
    ids = [session_id(number) for number in range(SESSIONS)]

    async def caller() -> None:
        draw = random.random
        for _ in range(_CALLS // CALLERS):
            await call(SessionId(ids[int(draw() * SESSIONS)]))

    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        rounds.append(time.process_time() - started)
    return min(rounds) / _CALLS * 1e6


def _alone(work: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(_CALLS):
            work()
        rounds.append(time.process_time() - started)
    return min(rounds) / _CALLS * 1e6


async def parts_of_statements(target: Target) -> list[Sequence[str]]:
    """Return what a row costs as one of ``ROWS`` in a statement, a line for each operation."""
    await create_session_table(target, "parts")
    await fill_session_table(target, "parts", target.sessions)
    await settle(target)
    lines: list[Sequence[str]] = [("one of 32 rows", "this process", "waiting")]
    keys = [key_of(SessionId(session_id(number))) for number in range(target.sessions)]
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
            cpu, rest = await _statement(make, keys, state)
            lines.append((name, f"{cpu:.1f} us", f"{rest:.1f} us"))
    return lines


async def _statement(
    make: Callable[[Sequence[Row]], Awaitable[None]], keys: Sequence[bytes], state: bytes
) -> tuple[float, float]:
    """Return the microseconds of a row: this process's CPU, and what else there was to wait for."""
    rounds = []
    for _ in range(ROUNDS):
        chosen = [sorted(random.sample(keys, ROWS)) for _ in range(_STATEMENTS)]
        batches = [[Row(key, TTL_MICROSECONDS, state) for key in some] for some in chosen]
        cpu, started = time.process_time(), time.perf_counter()
        for rows in batches:
            await make(rows)
        rounds.append((time.perf_counter() - started, time.process_time() - cpu))
    seconds, cpu = min(rounds)
    share = 1e6 / _STATEMENTS / ROWS
    return cpu * share, max(0.0, seconds - cpu) * share


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
