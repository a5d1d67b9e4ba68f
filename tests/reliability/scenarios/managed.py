"""Poolers of cloud providers between the store and PostgreSQL, simulated."""

from __future__ import annotations

import asyncio

from sessionstore_sql import migrate
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.managed import PGCAT, RDS_PROXY, SUPAVISOR, ManagedPooler, Words
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.servers.process import ask
from tests.reliability.stage import Stage

_CLOSINGS, _PAUSE_S = 20, 0.1
_LOSSES = 4
_FULL_S = 2
_UPGRADES = 5
_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


async def through_pgcat(stage: Stage, server: PostgreSQL) -> None:
    """Through a pooler that words its errors as pgcat does."""
    await _play(stage, server, PGCAT)


async def through_supavisor(stage: Stage, server: PostgreSQL) -> None:
    """Through a pooler that words its errors as Supavisor does."""
    await _play(stage, server, SUPAVISOR)


async def through_rds_proxy(stage: Stage, server: PostgreSQL) -> None:
    """Through a pooler that words its errors as RDS Proxy does."""
    await _play(stage, server, RDS_PROXY)


async def _play(stage: Stage, server: PostgreSQL, words: Words) -> None:
    stage.stop_at_end(server.stop)
    await server.create()
    pooler = ManagedPooler(server.url, words)
    async with pooler.running() as url:
        drivers = targets(url, *server.drivers)
        async with stage.load(server.url, drivers) as workers:
            async with stage.fault(f"clients closed {_CLOSINGS} times", workers):
                closed = 0
                for _ in range(_CLOSINGS):
                    closed += pooler.close_idle_clients()
                    await asyncio.sleep(_PAUSE_S)
            async with stage.fault(f"server lost {_LOSSES} times", workers):
                for _ in range(_LOSSES):
                    pooler.lose_server()
                    await asyncio.sleep(_PAUSE_S)
            async with stage.fault(f"full for {_FULL_S} s", workers):
                pooler.is_full = True
                pooler.lose_server()
                await asyncio.sleep(_FULL_S)
                pooler.is_full = False
            async with stage.fault("upgraded", workers):
                for _ in range(_UPGRADES):
                    await migrate.upgrade(url)
        if closed == 0:
            stage.complaints.append("no client was idle when idle clients were closed")
        if pooler.rejections < len(drivers):
            stage.complaints.append("a store sent nothing that the pooler rejects")
    if await ask(server.url, _LOCKS) > 0:
        stage.complaints.append("an upgrade has left its lock in the pool")
