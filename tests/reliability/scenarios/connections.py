"""Every connection is ended by an administrator, again and again."""

from __future__ import annotations

import asyncio

from tests.reliability.scenarios.loads import load_on
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage

_ROUNDS, _TIMES, _PAUSE_S = 3, 8, 0.25


async def end_connections(stage: Stage, server: Server) -> None:
    """End them faster than a pool can be filled again."""
    async with load_on(server, stage) as workers:
        for _ in range(_ROUNDS):
            async with stage.fault(f"connections ended {_TIMES} times", workers):
                for _ in range(_TIMES):
                    await server.end_connections()
                    await asyncio.sleep(_PAUSE_S)
