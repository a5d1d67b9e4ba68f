"""The options of the command line."""

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
    """The options of one run."""

    databases: tuple[str, ...]
    operations: tuple[Operation, ...]
    callers: tuple[int, ...]
    seconds: float
    rounds: int
    peers: tuple[str, ...]
    """Parts of names; empty for all peers."""
    sessions: int
    pool: int
    growth: tuple[int, ...]
    uvloop: bool
    json: Path | None
    plots: Path | None


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare this store with others. See benchmarks/README.md.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="about three minutes; too short for publication")
    add("--databases", type=comma_separated(DATABASES), default=DATABASES, help="comma-separated")
    names = [operation.value for operation in Operation]
    add("--operations", type=comma_separated(names), help=f"of {', '.join(names)}")
    add("--callers", type=integers, help="default: 1,8,64,256")
    add("--seconds", type=float, help="length of a slice (default: 1)")
    add("--rounds", type=int, help="slices per peer and figure (default: 5)")
    add(
        "--peers",
        type=comma_separated(None),
        default=(),
        help="parts of names; this store always runs",
    )
    add("--sessions", type=int, help="sessions of each peer (default: 20,000)")
    add("--pool", type=int, default=8, help="connections of each peer (default: 8)")
    add("--growth", type=integers, help="table sizes; 0 for none")
    add("--growth-10m", action="store_true", help="also measure ten million sessions")
    add("--uvloop", action="store_true", help="use uvloop for all Python peers")
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
    """Return a parser of comma-separated names that must be ``known``."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(",") if part.strip())
        unknown = [name for name in found if known is not None and name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return found

    return names


def integers(text: str) -> tuple[int, ...]:
    """Parse comma-separated numbers, such as ``1_000,20_000``."""
    return tuple(int(part.replace("_", "")) for part in text.split(","))
