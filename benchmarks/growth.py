"""Measures tables of different sizes; the sizes take turns."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.databases import settle
from benchmarks.measuring import Figures, Plan, progress
from benchmarks.peers.ours import CoalescingPeer
from benchmarks.workload import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.databases import Target
    from benchmarks.peer import Slice

OPERATIONS = (Operation.LOAD, Operation.TOUCH, Operation.UPDATE, Operation.CREATE)
CALLERS = (1, 64)
_WARM_UP = 0.1


@dataclass(slots=True)
class Growth:
    """The figures of one database by table size."""

    database: str
    figures: dict[tuple[Operation, int], dict[int, Figures]]


async def measure_growth(target: Target, sizes: Sequence[int], plan: Plan) -> Growth:
    """Create a table of each size, and measure this store on them in turn."""
    growth = Growth(target.database, {})
    peers: dict[int, CoalescingPeer] = {}
    try:
        for size in sizes:
            progress(f"{target.database}: a table of {size:,} sessions")
            peer = CoalescingPeer(target.resized(size))
            peer.table = f"bench_growth_{size}"
            await peer.open()
            peers[size] = peer
        await settle(target)
        gc.collect()
        gc.freeze()
        for operation in OPERATIONS:
            for callers in CALLERS:
                progress(f"{target.database}: growth, {operation.value}, {callers} callers")
                growth.figures[operation, callers] = await _in_turn(peers, operation, callers, plan)
    finally:
        gc.unfreeze()
        for peer in peers.values():
            await peer.close()
    return growth


async def _in_turn(
    peers: dict[int, CoalescingPeer], operation: Operation, callers: int, plan: Plan
) -> dict[int, Figures]:
    slices: dict[int, list[Slice]] = {size: [] for size in peers}
    for peer in peers.values():
        await peer.measure(operation, callers, _WARM_UP)
    for _ in range(plan.rounds):
        for size, peer in peers.items():
            slices[size].append(await peer.measure(operation, callers, plan.seconds))
    return {size: Figures(mine) for size, mine in slices.items()}
