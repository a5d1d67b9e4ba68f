"""Runs a measurement on each database that is available."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.databases import about, fresh_database
from benchmarks.peer import NotRunError
from benchmarks.report import machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.databases import Target


async def on_each_database(
    databases: Sequence[str],
    measure: Callable[[Target], Awaitable[str]],
    *,
    pool: int,
    sessions: int,
    heading: str = "",
) -> None:
    """Print what is measured on each database, or why it cannot be measured there.

    Args:
        databases: Names of databases, in the order of the output.
        measure: Returns the report on an empty database, which is dropped afterwards.
        pool: Number of connections of each store.
        sessions: Number of sessions of each store.
        heading: What all measurements have in common.
    """
    for name, value in machine().items():
        print(f"{name}: {value}")
    if heading:
        print(heading)
    for database in databases:
        print(f"\n== {database} ==\n")
        try:
            async with fresh_database(database, pool=pool, sessions=sessions) as target:
                for name, value in (await about(target)).items():
                    print(f"  {name}: {value}")
                print(f"\n{await measure(target)}", flush=True)
        except NotRunError as reason:
            print(f"  not run: {reason}", flush=True)
