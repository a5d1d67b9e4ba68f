"""Measures peers in short alternating slices, so that other load affects all of them."""

from __future__ import annotations

import gc
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.databases import one_line, settle
from benchmarks.peer import NotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.databases import Target
    from benchmarks.peer import Peer, Slice
    from benchmarks.workload import Operation

_WARM_UP = 0.1
"""Seconds of warm-up, not counted: connections are opened, statements prepared."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of throughputs: the median of the rounds, the lowest and the highest."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One peer, one operation, one number of callers: one slice from each round."""

    slices: list[Slice]

    def median(self, name: str) -> float:
        """Return the median of one figure over the rounds."""
        return float(statistics.median(getattr(each, name) for each in self.slices))

    def ratio_to(self, other: Figures) -> Ratio:
        """Return the ratio of this throughput to that of ``other``, round by round."""
        pairs = zip(self.slices, other.slices, strict=True)
        ratios = [mine.throughput / theirs.throughput for mine, theirs in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))


@dataclass(slots=True)
class Comparison:
    """All figures of one database."""

    database: str
    about: dict[str, str]
    peers: dict[str, str] = field(default_factory=dict)
    """The peers that ran, and their configuration."""
    versions: dict[str, str] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    """What did not run, and the reason."""
    figures: dict[tuple[Operation, int], dict[str, Figures]] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """The measurements of every peer."""

    operations: Sequence[Operation]
    callers: Sequence[int]
    seconds: float
    rounds: int


async def compare(
    target: Target, peers: Sequence[type[Peer]], plan: Plan, about: dict[str, str]
) -> Comparison:
    """Open all peers on a database, measure them in turn, and close them."""
    comparison = Comparison(target.database, about)
    running: list[Peer] = []
    try:
        for kind in peers:
            peer = await _opened(kind, target, comparison)
            if peer is not None:
                running.append(peer)
        await settle(target)
        # Otherwise each garbage collection would visit the modules of all peers.
        gc.collect()
        gc.freeze()
        for operation in plan.operations:
            for callers in plan.callers:
                able = [peer for peer in running if operation in peer.operations]
                comparison.figures[operation, callers] = await _in_turn(
                    able, operation, callers, plan, comparison
                )
    finally:
        gc.unfreeze()
        for peer in running:
            await peer.close()
    return comparison


async def _opened(kind: type[Peer], target: Target, comparison: Comparison) -> Peer | None:
    if target.database not in kind.databases:
        return None
    peer = kind(target)
    progress(f"{target.database}: opening {kind.name}")
    try:
        await peer.open()
    except NotRunError as reason:
        comparison.not_run[kind.name] = str(reason)
        return None
    except Exception as error:  # noqa: BLE001  # the other peers can still run
        comparison.not_run[kind.name] = f"did not open: {one_line(error)}"
        return None
    try:
        await peer.verify()
        comparison.versions |= await peer.describe()
    except Exception as error:  # noqa: BLE001  # the other peers can still run
        comparison.not_run[kind.name] = f"did not work: {one_line(error)}"
        await peer.close()
        return None
    comparison.peers[kind.name] = kind.description
    return peer


async def _in_turn(
    peers: Sequence[Peer],
    operation: Operation,
    callers: int,
    plan: Plan,
    comparison: Comparison,
) -> dict[str, Figures]:
    progress(f"{comparison.database}: {operation.value}, {callers} callers")
    slices: dict[str, list[Slice]] = {peer.name: [] for peer in peers}

    async def take(peer: Peer, seconds: float) -> None:
        if peer.name not in slices:  # it failed in an earlier round
            return
        try:
            slices[peer.name].append(await peer.measure(operation, callers, seconds))
        except Exception as error:  # noqa: BLE001  # the other peers can still run
            where = f"{peer.name}, {operation.value}, {callers} callers"
            comparison.not_run[where] = f"failed: {one_line(error)}"
            del slices[peer.name]

    for peer in peers:
        await take(peer, _WARM_UP)
    for mine in slices.values():
        mine.clear()
    for turn in range(plan.rounds):
        # Each round starts with another peer, so that the order of the peers has no effect.
        start = turn * max(1, len(peers) // plan.rounds) % max(1, len(peers))
        for peer in (*peers[start:], *peers[:start]):
            await take(peer, plan.seconds)
    return {name: Figures(mine) for name, mine in slices.items() if len(mine) == plan.rounds}


def progress(message: str) -> None:
    """Report progress on standard error."""
    print(message, file=sys.stderr, flush=True)
