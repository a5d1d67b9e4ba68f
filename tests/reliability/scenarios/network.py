"""The network between the store and its server: cut, slow, losing answers, silent."""

from __future__ import annotations

import asyncio

from tests.faults.proxy import Proxy
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage

_ANSWERS_LOST = 40
_CUT_S, _SLOW_S, _SILENT_S = 2, 4, 14
_DELAY_S = 0.3


async def break_network(stage: Stage, server: Server) -> None:
    """Put a proxy in between, and let it fail in each way that a network does."""
    stage.stop_at_end(server.stop)
    await server.create()
    proxy = Proxy(server.url)
    async with proxy.running(server.url) as url:
        drivers = targets(url, *server.drivers)
        async with stage.load(server.url, drivers) as workers:
            async with stage.fault(f"cut for {_CUT_S} s", workers):
                proxy.cut()
                await asyncio.sleep(_CUT_S)
                proxy.is_cut = False
            async with stage.fault(f"{_ANSWERS_LOST} responses lost", workers):
                proxy.lose_answers = _ANSWERS_LOST
                while proxy.lose_answers > 0:  # noqa: ASYNC110  # the proxy counts them down
                    await asyncio.sleep(0.01)
            async with stage.fault(f"{_DELAY_S} s slower for {_SLOW_S} s", workers):
                proxy.delay_s = _DELAY_S
                await asyncio.sleep(_SLOW_S)
                proxy.delay_s = 0
            async with stage.fault(f"silent for {_SILENT_S} s", workers):
                proxy.is_silent = True
                await asyncio.sleep(_SILENT_S)
                proxy.is_silent = False
