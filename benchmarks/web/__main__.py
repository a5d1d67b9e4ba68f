"""``python -m benchmarks.web``."""

from __future__ import annotations

import argparse
import asyncio
import enum
import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.databases import DATABASES, about, fresh_database, one_line, settle
from benchmarks.measuring import Figures, progress
from benchmarks.options import comma_separated, integers
from benchmarks.peer import NotRunError, Slice, slice_of
from benchmarks.report import machine, table_of
from benchmarks.web.applications import APPLICATIONS, BASELINE
from benchmarks.web.client import connected_to
from benchmarks.web.serving import cpu_seconds, serving
from benchmarks.workload import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.databases import Target
    from benchmarks.web.applications import Application
    from benchmarks.web.client import Client

PACKAGES = ("crudauth", "fastapi", "litestar", "redis", "starlette", "starsessions", "uvicorn")


class Visit(enum.Enum):
    """The request that a connection repeats."""

    READ = "read"
    """A page that reads the session."""
    WRITE = "write"
    """A page that changes the session."""

    @property
    def method(self) -> str:
        """The method of the request."""
        return "GET" if self is Visit.READ else "POST"


@dataclass(slots=True)
class Running:
    """A peer that is served."""

    application: Application
    process: int
    client: Client

    async def measure(self, visit: Visit, connections: int, seconds: float) -> Slice:
        """Measure one slice; the CPU time is that of the server."""
        cpu, started = cpu_seconds(self.process), time.perf_counter()
        latencies = await self._repeat(visit, connections, seconds)
        elapsed = time.perf_counter() - started
        return slice_of(latencies, elapsed, cpu_seconds(self.process) - cpu)

    async def statements(self, visit: Visit, connections: int, seconds: float) -> float:
        """Return the number of statements or Redis commands per request."""
        await self.client.count(start=True)
        try:
            requests = len(await self._repeat(visit, connections, seconds))
        finally:
            count = await self.client.count(start=False)
        return count / requests

    async def _repeat(self, visit: Visit, connections: int, seconds: float) -> list[float]:
        return await self.client.repeat(
            visit.method, f"/{visit.value}", connections, seconds, str(STATE["user_id"]).encode()
        )


@dataclass(slots=True)
class Comparison:
    """All figures of one database."""

    database: str
    about: dict[str, str]
    not_run: dict[str, str] = field(default_factory=dict)
    figures: dict[tuple[Visit, int], dict[str, Figures]] = field(default_factory=dict)
    statements: dict[tuple[Visit, int], dict[str, float]] = field(default_factory=dict)


async def compare(target: Target, given: argparse.Namespace) -> Comparison:
    """Serve all peers, measure them in turn, and stop them."""
    comparison = Comparison(target.database, await about(target))
    with ExitStack() as stack:
        running: list[Running] = []
        for application in chosen(given.peers):
            progress(f"{target.database}: serving {application.name}")
            try:
                with ExitStack() as own:
                    port, process = own.enter_context(serving(application, target, given.loop))
                    client = own.enter_context(connected_to(port))
                    await client.start_sessions(target.sessions)
                    running.append(Running(application, process, client))
                    stack.push(own.pop_all())
            except Exception as error:  # noqa: BLE001  # the other peers can still run
                reason = str(error) if isinstance(error, NotRunError) else one_line(error)
                comparison.not_run[application.name] = reason
        await settle(target)
        for visit in Visit:
            for connections in given.connections:
                progress(f"{target.database}: {visit.value}, {connections} connections")
                await measure_in_turn(running, visit, connections, given, comparison)
    return comparison


async def measure_in_turn(
    running: Sequence[Running],
    visit: Visit,
    connections: int,
    given: argparse.Namespace,
    comparison: Comparison,
) -> None:
    """Count statements, which warms up; then take slices of each peer in turn."""
    slices: dict[str, list[Slice]] = {}
    statements = comparison.statements[visit, connections] = {}
    for each in running:
        name = each.application.name
        try:
            statements[name] = await each.statements(visit, connections, given.seconds)
        except Exception as error:  # noqa: BLE001  # the other peers can still run
            comparison.not_run[f"{name}, {visit.value}, {connections}"] = one_line(error)
        else:
            slices[name] = []
    able = [each for each in running if each.application.name in slices]
    for turn in range(given.rounds):
        # Each round starts with another peer, so that the order of the peers has no effect.
        start = turn % max(1, len(able))
        for each in (*able[start:], *able[:start]):
            slices[each.application.name].append(
                await each.measure(visit, connections, given.seconds)
            )
    comparison.figures[visit, connections] = {name: Figures(mine) for name, mine in slices.items()}


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def chosen(parts: Sequence[str]) -> list[Application]:
    """Return the selected peers, this package first, and their applications without sessions."""
    wanted = [
        each
        for each in APPLICATIONS
        if not parts or each is BASELINE or any(part.lower() in each.name.lower() for part in parts)
    ]
    floors = {each.floor for each in wanted}
    return [each for each in APPLICATIONS if each in wanted or each.name in floors]


def text_of(comparison: Comparison) -> str:
    """Return the report on one database as text."""
    lines = [f"== {comparison.database} ==", ""]
    lines += [f"  {name}: {value}" for name, value in comparison.about.items()]
    if comparison.not_run:
        lines += ["", "Not run:"]
        lines += [f"  {name}: {reason}" for name, reason in comparison.not_run.items()]
    for (visit, connections), figures in comparison.figures.items():
        lines += ["", f"{visit.value}, {connections} connections"]
        lines += table_of(_rows(figures, comparison.statements[visit, connections]))
    return "\n".join([*lines, ""])


def _rows(figures: dict[str, Figures], statements: dict[str, float]) -> Iterator[Sequence[str]]:
    headings = ("requests/s", "this/it", "low..high", "p50 ms", "p99 ms")
    yield ("", *headings, "server CPU us", "of sessions", "statements")
    ours = figures.get(BASELINE.name)
    for application in APPLICATIONS:
        mine = figures.get(application.name)
        if mine is None:
            continue
        ratio = ours.ratio_to(mine) if ours else None
        cost = session_cost(application, figures)
        yield (
            application.name,
            f"{mine.median('throughput'):,.0f}",
            f"{ratio.median:.2f}" if ratio else "-",
            f"{ratio.lowest:.2f}..{ratio.highest:.2f}" if ratio else "-",
            f"{mine.median('p50') * 1e3:.2f}",
            f"{mine.median('p99') * 1e3:.2f}",
            f"{mine.median('cpu_per_operation') * 1e6:.0f}",
            "-" if cost is None else f"{cost * 1e6:.0f}",
            f"{statements[application.name]:.2f}",
        )


def session_cost(application: Application, figures: dict[str, Figures]) -> float | None:
    """Return the CPU seconds that sessions add to a request on the server."""
    if application.floor not in figures or application.floor == application.name:
        return None
    with_sessions = figures[application.name].median("cpu_per_operation")
    return with_sessions - figures[application.floor].median("cpu_per_operation")


def as_json(
    comparisons: Sequence[Comparison], given: argparse.Namespace, on: dict[str, str]
) -> dict[str, Any]:
    """Return all figures, with every slice, as JSON."""
    return {
        "machine": on,
        "versions": {name: _version_of(name) for name in PACKAGES},
        "options": {
            name: getattr(given, name) for name in ("seconds", "rounds", "sessions", "pool", "loop")
        },
        "baseline": BASELINE.name,
        "peers": {each.name: each.description for each in chosen(given.peers)},
        "comparisons": [
            {
                "database": each.database,
                "about": each.about,
                "not_run": each.not_run,
                "figures": [
                    {
                        "visit": visit.value,
                        "connections": connections,
                        "peer": name,
                        "statements": each.statements[visit, connections][name],
                        "slices": [asdict(one) for one in mine.slices],
                    }
                    for (visit, connections), figures in each.figures.items()
                    for name, mine in figures.items()
                ],
            }
            for each in comparisons
        ],
    }


async def run(given: argparse.Namespace) -> None:
    """Measure, and print the results of each database when they are complete."""
    on = machine()
    for name, value in (on | {name: _version_of(name) for name in PACKAGES}).items():
        print(f"{name}: {value}")
    print(
        f"{given.rounds} rounds of {given.seconds} s for each figure, {given.sessions:,} sessions, "
        f"{given.pool} database connections for each peer, {given.loop}\n"
    )
    for each in chosen(given.peers):
        print(f"  {each.name}: {each.description}")
    comparisons: list[Comparison] = []
    for database in given.databases:
        try:
            async with fresh_database(database, pool=given.pool, sessions=given.sessions) as target:
                comparisons.append(await compare(target, given))
                print(f"\n{text_of(comparisons[-1])}", flush=True)
        except NotRunError as reason:
            print(f"\n== {database} ==\n\n  not run: {reason}\n", flush=True)
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(comparisons, given, on), indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.web",
        description="Measure what sessions add to a web request, for this package and others. "
        "See benchmarks/README.md.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="about two minutes; too short for publication")
    add("--databases", type=comma_separated(DATABASES), default=("postgresql",))
    add("--connections", type=integers, help="connections to the server (default: 1,16,64,256)")
    add("--seconds", type=float, help="length of a slice (default: 1)")
    add("--rounds", type=int, help="slices per peer and figure (default: 7)")
    add("--sessions", type=int, help="sessions of each peer (default: 5,000)")
    add("--pool", type=int, default=8, help="database connections of each peer (default: 8)")
    add("--loop", choices=("uvloop", "asyncio"), default="uvloop", help="event loop of the servers")
    add("--peers", type=comma_separated(None), default=(), help="parts of names")
    add("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args()
    quick: bool = given.quick
    given.connections = given.connections or ((1, 64) if quick else (1, 16, 64, 256))
    given.seconds = given.seconds or (0.3 if quick else 1.0)
    given.rounds = given.rounds or (2 if quick else 7)
    given.sessions = given.sessions or (500 if quick else 5_000)
    return given


def main() -> None:
    """Run the benchmark with the options of the command line."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    # The client always uses the fastest loop, because it shares the machine with the servers.
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(parse_options()))


if __name__ == "__main__":
    main()
