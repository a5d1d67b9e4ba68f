"""Measures the parts of a coalesced call: ``python -m benchmarks.parts``.

Each part is measured on its own: the work of a call in this process, with a stub in place of the
database, and the statement that answers many calls. The result is the minimum of the rounds, which
is the least disturbed one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from copy import copy
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import orjson

from benchmarks.databases import DATABASES, settle
from benchmarks.each_database import on_each_database
from benchmarks.options import comma_separated
from benchmarks.report import table_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import STATE, TTL, TTL_MICROSECONDS, session_id
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.batching import BatchingDispatcher
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.dialects.sqlite.driver import OneTurnChannel
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.event_loop import TimeLimits
from sessionstore_sql.sql.operation_kinds import SessionTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

    from benchmarks.databases import Target
    from sessionstore_sql.sql.dialects.base import Batches
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.execution import PooledExecutor
    from sessionstore_sql.sql.operation_kinds import Work
    from sessionstore_sql.sql.statements import Statements

CALLERS = 64
ROWS = 32
"""Rows of one statement: two statements share 64 callers."""
SESSIONS = 20_000
IDS = [session_id(number) for number in range(SESSIONS)]
ROUNDS = 25
_CALLS, _STATEMENTS = 6_400, 100
"""In a round."""

STORED = orjson.dumps(STATE)
RECORD = SessionRecord(STATE, TTL)


class Stub:
    """Replaces the executor and the batches, and answers at once."""

    observer = None

    def __init__(self, store: SQLSessionStore) -> None:
        # Two batches share the callers, as on every server.
        self.dialect = copy(store._pool.dialect)
        self.dialect.statements_at_once = CALLERS // ROWS
        self.here = store._pool.here

    async def run_in(
        self, _here: object, work: Work[Any], _effect: Effect, *arguments: Any, **_: object
    ) -> Any:
        """Do the work without a connection."""
        await asyncio.sleep(0)
        return work(None, *arguments)

    def rows(self, _connection: object, _parameters: object) -> list[Any]:
        """Find one row."""
        return [(STORED, TTL_MICROSECONDS)]

    def count(self, _connection: object, _parameters: object) -> int:
        """Change one row."""
        return 1

    def load(self, _connection: object, keys: Sequence[bytes]) -> list[Any]:
        """Find all of them."""
        return [(key, STORED, TTL_MICROSECONDS) for key in keys]

    def create(self, _connection: object, rows: Sequence[Row]) -> Collection[bytes]:
        """Change all of them."""
        return {row.key for row in rows}

    update = update_ttl = delete = create


async def parts_of_calls() -> dict[str, float]:
    """Return the cost of calls in this process, in microseconds."""
    store = SQLSessionStore("sqlite://")
    stub = Stub(store)
    statements = cast("Statements", SimpleNamespace(load=stub, update=stub, update_ttl=stub))
    table = SessionTable(
        store._pool.dialect, statements, cast("Batches", stub), cast("Endings", stub)
    )
    store._dispatcher = BatchingDispatcher(cast("PooledExecutor", stub), table)
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
        "task switch, and choosing an id": partial(_callers, switch),
        "SHA-256 of an id": partial(_repeat, lambda: key_of(some)),
        "parsing the JSON of a state": partial(_repeat, lambda: orjson.loads(STORED)),
        "creating the record": partial(_repeat, _record),
        "a time limit, for connecting and for the answer": _within_limits,
        "the same with asyncio.timeout": _within_timeouts,
        "load without its statement": partial(_callers, store.load),
        "update_ttl without its statement": partial(
            _callers, lambda each: store.update_ttl(each, TTL)
        ),
        "update without its statement": partial(_callers, lambda each: store.update(each, RECORD)),
    }
    rounds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(ROUNDS):
        for name, make in parts.items():
            started = time.process_time()
            await make()
            rounds[name].append((time.process_time() - started) / _CALLS * 1e6)
    await store.aclose()
    found = {name: min(each) for name, each in rounds.items()}
    return found | {"load of a single caller without its statement": await part_of_a_leased_call()}


async def part_of_a_leased_call() -> float:
    """Return the cost of one caller's load without its statement, in microseconds."""

    async def fetch(_self: OneTurnChannel, _text: str, _bound: object) -> Sequence[Any]:
        return [(STORED, TTL_MICROSECONDS)]

    real = OneTurnChannel.fetch
    rounds = []
    async with SQLSessionStore("sqlite://") as store:
        async with store.engine.connect() as connection:
            await connection.run_sync(session_table().create)
        each = SessionId(session_id(0))
        await store.load(each)  # which leases the connection
        OneTurnChannel.fetch = fetch  # type: ignore[method-assign]
        try:
            for _ in range(ROUNDS):
                started = time.process_time()
                for _ in range(_CALLS // CALLERS):
                    await store.load(each)
                rounds.append((time.process_time() - started) * CALLERS / _CALLS * 1e6)
        finally:
            OneTurnChannel.fetch = real  # type: ignore[method-assign]
    return min(rounds)


async def _callers(call: Callable[[SessionId], Awaitable[object]]) -> None:
    """Let many callers repeat a call."""
    draw = random.random

    async def caller() -> None:
        for _ in range(_CALLS // CALLERS):
            await call(SessionId(IDS[int(draw() * SESSIONS)]))

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def _within_limits() -> None:
    """Set the time limits of attempts as the store does."""
    limits = TimeLimits(asyncio.get_running_loop())
    for _ in range(_CALLS):
        with limits.of_this_task() as limit:
            limit.set(22)
            limit.set(12)


async def _within_timeouts() -> None:
    """Set them with the standard library."""
    loop = asyncio.get_running_loop()
    for _ in range(_CALLS):
        async with asyncio.timeout(22) as timeout:  # noqa: ASYNC100  # only its cost counts
            timeout.reschedule(loop.time() + 12)


async def _repeat(work: Callable[[], object]) -> None:
    for _ in range(_CALLS):
        work()


def _record() -> SessionRecord:
    return SessionRecord(STATE, timedelta(microseconds=1) * TTL_MICROSECONDS)


async def parts_of_statements(target: Target) -> list[Sequence[str]]:
    """Return the cost of one of ``ROWS`` rows in a statement, one line per operation."""
    await create_session_table(target, "parts")
    await fill_session_table(target, "parts", target.sessions)
    await settle(target)
    lines: list[Sequence[str]] = [("one of 32 rows", "this process", "elapsed")]
    keys = [key_of(SessionId(each)) for each in IDS]
    async with SQLSessionStore(target.url, table="parts") as store:
        executor = store._pool
        batches = executor.dialect.batches(session_table("parts"))

        async def load(rows: Sequence[Row]) -> None:
            keys = [row.key for row in rows]
            found = list(await executor.run(batches.load, Effect.READ, keys))
            assert len(found) == ROWS

        def writing(write: Callable[..., Any]) -> Callable[[Sequence[Row]], Awaitable[None]]:
            async def change(rows: Sequence[Row]) -> None:
                done = await executor.run(write, Effect.REPEATABLE, rows)
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
    """Return the elapsed and the CPU microseconds per row of a statement."""
    rounds = []
    for _ in range(ROUNDS):
        # Each statement has its own keys, so that no two wait for each other.
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
    """Measure and print the results."""

    async def measure(target: Target) -> str:
        return "\n".join(table_of(await parts_of_statements(target)))

    gc.collect()
    gc.freeze()
    parts = await parts_of_calls()
    heading = "\n".join(table_of([(name, f"{us:.1f} us") for name, us in parts.items()]))
    await on_each_database(databases, measure, pool=2, sessions=SESSIONS, heading=f"\n{heading}")


def main() -> None:
    """Run the benchmark on the selected databases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=__doc__)
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    asyncio.run(run(parser.parse_args().databases))


if __name__ == "__main__":
    main()
