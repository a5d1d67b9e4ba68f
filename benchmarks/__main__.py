"""``python -m benchmarks``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.databases import about, fresh_database
from benchmarks.growth import measure_growth
from benchmarks.measuring import Plan, compare
from benchmarks.options import parse_options
from benchmarks.peer import NotRunError
from benchmarks.peers import BASELINE, PEERS
from benchmarks.plots import write_plots
from benchmarks.report import as_json, growth_text, machine, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.growth import Growth
    from benchmarks.measuring import Comparison
    from benchmarks.options import Options
    from benchmarks.peer import Peer


async def run(options: Options) -> None:
    """Measure, and print the results of each database when they are complete."""
    comparisons: list[Comparison] = []
    growths: list[Growth] = []
    on = machine()
    for name, value in on.items():
        print(f"{name}: {value}")
    print(
        f"{options.rounds} rounds of {options.seconds} s for each figure, {options.sessions:,} "
        f"sessions, {options.pool} connections for each peer, "
        f"{'uvloop' if options.uvloop else 'asyncio'}\n"
    )
    plan = Plan(options.operations, options.callers, options.seconds, options.rounds)
    for database in options.databases:
        try:
            async with fresh_database(
                database, pool=options.pool, sessions=options.sessions
            ) as target:
                described = await about(target)
                comparison = await compare(target, chosen(options.peers), plan, described)
                comparisons.append(comparison)
                print(text_of(comparison, options, BASELINE.name), flush=True)
            if options.growth:
                async with fresh_database(database, pool=options.pool, sessions=0) as target:
                    growth = await measure_growth(target, options.growth, plan)
                    growths.append(growth)
                    print(growth_text(growth), flush=True)
        except NotRunError as reason:
            print(f"== {database} ==\n\n  not run: {reason}\n", flush=True)
    if options.json is not None:
        figures = as_json(comparisons, growths, options, BASELINE.name, on)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.plots is not None:
        write_plots(options.plots, comparisons, growths, options, BASELINE.name)


def chosen(parts: Sequence[str]) -> list[type[Peer]]:
    """Return the selected peers, this store first."""
    return [
        peer
        for peer in PEERS
        if peer is BASELINE or not parts or any(part.lower() in peer.name.lower() for part in parts)
    ]


def loop_factory(options: Options) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the event loop."""
    if not options.uvloop:
        return None
    try:
        import uvloop
    except ImportError:
        sys.exit("uvloop is not installed")
    return uvloop.new_event_loop


def main() -> None:
    """Run the benchmarks that the command line selects."""
    options = parse_options()
    with asyncio.Runner(loop_factory=loop_factory(options)) as runner:
        runner.run(run(options))


if __name__ == "__main__":
    main()
