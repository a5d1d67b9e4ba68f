"""Measures how extending sessions affects the database: ``python -m benchmarks.wear``.

Two tables differ in their index: it is on the bucket of the deadline, as the migrations create it,
or on the deadline itself. Both get the same touches, in alternating parts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import DATABASES, execute, settle
from benchmarks.each_database import on_each_database
from benchmarks.measuring import progress
from benchmarks.options import comma_separated
from benchmarks.report import table_of
from benchmarks.seeding import create_session_table, fill_session_table
from benchmarks.workload import TTL, session_id
from sessionstore_sql import SessionId, SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.databases import Target

CALLERS = 64
PARTS = 10


@dataclass(slots=True)
class Wear:
    """A table, and its measurements."""

    name: str
    """Name of the table, which tells where its index is."""
    seconds: float = 0.0
    before: Sizes | None = None
    after: Sizes | None = None
    hot: float | None = None
    """Share of HOT updates, which change no index; PostgreSQL only."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes."""

    data: int
    indexes: int


async def measure_wear(target: Target, touches: int) -> list[Wear]:
    """Touch the sessions of both tables."""
    ids = [SessionId(session_id(number)) for number in range(target.sessions)]
    wears = [Wear("wear_bucket"), Wear("wear_deadline")]
    targets = {each.name: _target_of(target, each.name) for each in wears}
    for each in wears:
        await create_session_table(targets[each.name], each.name)
    await _index_the_deadline(targets["wear_deadline"], "wear_deadline")
    for each in wears:
        await fill_session_table(targets[each.name], each.name, target.sessions)
        await settle(targets[each.name])
        each.before = await _sizes(targets[each.name], each.name)
    for part in range(PARTS):
        progress(f"{target.database}: part {part + 1} of {PARTS}")
        for each in wears:
            each.seconds += await _touch(targets[each.name], each.name, ids, touches // PARTS)
    for each in wears:
        if target.database == "sqlite":
            await settle(targets[each.name])
        each.after = await _sizes(targets[each.name], each.name)
        each.hot = await _hot(target, each.name, touches)
    return wears


def _target_of(target: Target, table: str) -> Target:
    """Return the place of a table; on SQLite its own file, whose size can be measured."""
    if target.database != "sqlite":
        return target
    path = Path(target.path).with_name(f"{table}.db")
    return replace(target, url=target.url.set(database=str(path)))


async def _index_the_deadline(target: Target, table: str) -> None:
    """Replace the index on the bucket by one on the deadline."""
    index = f"{table}_expiry_bucket"
    on = f" ON {table}" if target.database in {"mysql", "mariadb"} else ""
    await execute(
        target.url,
        f"DROP INDEX {index}{on}",
        f"CREATE INDEX {table}_deadline ON {table} (deadline)",
    )


async def _touch(target: Target, table: str, ids: Sequence[SessionId], count: int) -> float:
    """Touch random sessions, and return the duration."""
    remaining = iter(random.choices(ids, k=count))
    options = {"pool_size": target.pool}
    async with SQLSessionStore(target.url, table=table, engine_options=options) as store:
        started = time.perf_counter()

        async def caller() -> None:
            for each in remaining:
                await store.update_ttl(each, TTL)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return time.perf_counter() - started


async def _sizes(target: Target, table: str) -> Sizes:
    if target.database == "postgresql":
        rows = await execute(
            target.url, f"SELECT pg_relation_size('{table}'), pg_indexes_size('{table}')"
        )
    elif target.database == "sqlite":
        return Sizes((await asyncio.to_thread(Path(target.path).stat)).st_size, 0)
    else:
        await execute(target.url, f"ANALYZE TABLE {table}")
        rows = await execute(
            target.url,
            "SELECT data_length, index_length FROM information_schema.tables "
            f"WHERE table_schema = DATABASE() AND table_name = '{table}'",
        )
    return Sizes(int(rows[0][0]), int(rows[0][1]))


async def _hot(target: Target, table: str, touches: int) -> float | None:
    """Return the share of HOT updates, when PostgreSQL's statistics are complete."""
    if target.database != "postgresql":
        return None
    updated = hot = 0
    for _ in range(20):
        rows = await execute(
            target.url,
            f"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '{table}'",
        )
        updated, hot = rows[0]
        if updated >= touches // PARTS * PARTS:
            return int(hot) / int(updated)
        await asyncio.sleep(0.5)
    raise RuntimeError(f"PostgreSQL has counted {updated} of {touches} updates")


def report(wears: Sequence[Wear], touches: int) -> str:
    """Return the two tables side by side."""
    rows: list[Sequence[str]] = [("", "touches/s", "HOT", "table grew", "indexes grew")]
    for each in wears:
        assert each.before is not None
        assert each.after is not None
        rows.append(
            (
                "index on the bucket" if "bucket" in each.name else "index on the deadline",
                f"{touches / each.seconds:,.0f}",
                "-" if each.hot is None else f"{each.hot:.1%}",
                _growth(each.before.data, each.after.data),
                _growth(each.before.indexes, each.after.indexes),
            )
        )
    return "\n".join(table_of(rows))


def _growth(before: int, after: int) -> str:
    return f"{after / before:.2f} x ({after / 1e6:.1f} MB)" if before else "-"


async def run(databases: Sequence[str], sessions: int, touches: int, pool: int) -> None:
    """Measure and print the results."""

    async def measure(target: Target) -> str:
        return report(await measure_wear(target, touches), touches)

    heading = f"{touches:,} update_ttl over {sessions:,} sessions, {CALLERS} callers"
    await on_each_database(databases, measure, pool=pool, sessions=sessions, heading=heading)


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wear", description=__doc__)
    parser.add_argument("--databases", type=comma_separated(DATABASES), default=DATABASES)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--touches", type=int, default=100_000)
    parser.add_argument("--pool", type=int, default=4)
    given = parser.parse_args()
    asyncio.run(run(given.databases, given.sessions, given.touches, given.pool))


if __name__ == "__main__":
    main()
