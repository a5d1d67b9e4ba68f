"""What to run, from the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import DATABASES
from benchmarks.workload import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CALLERS = (1, 8, 64, 256)
GROWTH = (1_000, 100_000, 1_000_000)
LARGEST_GROWTH = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run."""

    databases: tuple[str, ...]
    operations: tuple[Operation, ...]
    callers: tuple[int, ...]
    seconds: float
    rounds: int
    peers: tuple[str, ...]
    """Parts of names; none means all."""
    sessions: int
    pool: int
    growth: tuple[int, ...]
    uvloop: bool
    json: Path | None
    plots: Path | None


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="This store beside others: interleaved, in one go. See benchmarks/README.md.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="about three minutes; too short to be quoted")
    add("--databases", type=comma_separated(DATABASES), default=DATABASES, help="comma-separated")
    names = [operation.value for operation in Operation]
    add("--operations", type=comma_separated(names), help=f"of {', '.join(names)}")
    add("--callers", type=integers, help="default: 1,8,64,256")
    add("--seconds", type=float, help="of a slice (default: 1)")
    add("--rounds", type=int, help="slices of each peer for each figure (default: 5)")
    add(
        "--peers",
        type=comma_separated(None),
        default=(),
        help="parts of names; this store always runs",
    )
    add("--sessions", type=int, help="made in advance for each peer (default: 20,000)")
    add("--pool", type=int, default=8, help="connections of each peer (default: 8)")
    add("--growth", type=integers, help="sizes of the growth table; 0 for none")
    add("--growth-10m", action="store_true", help="ten million sessions too")
    add("--uvloop", action="store_true", help="the event loop for all Python peers")
    add("--json", type=Path, help="write all figures to this file")
    add("--plots", type=Path, metavar="DIR", help="write SVG charts into this folder")
    given = parser.parse_args(arguments)
    quick: bool = given.quick
    operations = given.operations or (("load", "touch") if quick else names)
    growth = given.growth or (() if quick else GROWTH)
    options = Options(
        databases=tuple(given.databases),
        operations=tuple(operation for operation in Operation if operation.value in operations),
        callers=given.callers or ((1, 64) if quick else CALLERS),
        seconds=given.seconds or (0.25 if quick else 1.0),
        rounds=given.rounds or (2 if quick else 5),
        peers=tuple(given.peers),
        sessions=given.sessions or (5_000 if quick else 20_000),
        pool=given.pool,
        growth=tuple(size for size in growth if size) + (LARGEST_GROWTH,) * given.growth_10m,
        uvloop=given.uvloop,
        json=given.json,
        plots=given.plots,
    )
    if options.sessions < max(options.callers):
        parser.error("there are more callers than sessions")
    return options


def comma_separated(known: Sequence[str] | None) -> Callable[[str], tuple[str, ...]]:
    """Return what reads a list of names, all of them ``known``."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(",") if part.strip())
        unknown = [name for name in found if known is not None and name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return found

    return names


def integers(text: str) -> tuple[int, ...]:
    """Read a list of numbers, such as ``1_000,20_000``."""
    return tuple(int(part.replace("_", "")) for part in text.split(","))
