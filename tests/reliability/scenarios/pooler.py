"""PgBouncer in transaction mode between the store and PostgreSQL; either of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sessionstore_sql import migrate
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.pgbouncer import PgBouncer, not_preparing, preparing
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.servers.process import ask, execute
from tests.reliability.servers.programs import Program
from tests.reliability.stage import Stage
from tests.reliability.workers import Target

_TIMES = 2
_AWAY_S = 0.5
_ENDINGS, _PAUSE_S = 8, 0.25
_UPGRADES = 5
_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


async def through_pgbouncer(stage: Stage, server: PostgreSQL) -> None:
    """Through one that knows prepared statements, with each driver as it is."""
    bouncer = PgBouncer(stage.folder / "pgbouncer", server, {"max_prepared_statements": 200})
    drivers = targets(bouncer.url, *server.drivers)
    await _play(stage, server, bouncer, preparing(), drivers)


async def through_old_pgbouncer(stage: Stage, server: PostgreSQL) -> None:
    """Through one that does not, with a driver that can do without."""
    bouncer = PgBouncer(stage.folder / "pgbouncer", server, {})
    unprepared = {"engine_options": {"connect_args": {"prepare_threshold": None}}}
    drivers = [
        Target(each.url, each.options | unprepared)
        for each in targets(bouncer.url, "postgresql+psycopg")
    ]
    await _play(stage, server, bouncer, not_preparing(), drivers)


async def _play(
    stage: Stage,
    server: PostgreSQL,
    bouncer: PgBouncer,
    program: Program,
    drivers: Sequence[Target],
) -> None:
    stage.stop_at_end(server.stop)
    stage.stop_at_end(bouncer.stop)
    await server.create()
    # It drops those that the store asks for.
    timeouts = {"statement_timeout": "10s", "lock_timeout": "3s"}
    await execute(
        server.url, *(f"ALTER ROLE postgres SET {name} = '{s}'" for name, s in timeouts.items())
    )
    await bouncer.start(program)
    async with stage.load(server.url, drivers) as workers:
        for _ in range(_TIMES):
            async with stage.fault("PgBouncer killed", workers):
                bouncer.kill()
                await asyncio.sleep(_AWAY_S)
                await bouncer.start(program)
        for _ in range(_TIMES):
            async with stage.fault("server killed", workers):
                server.kill()
                await asyncio.sleep(_AWAY_S)
                await server.start()
        async with stage.fault(f"connections ended {_ENDINGS} times", workers):
            for _ in range(_ENDINGS):
                await server.end_connections()
                await asyncio.sleep(_PAUSE_S)
        async with stage.fault("upgraded", workers):
            for _ in range(_UPGRADES):
                await migrate.upgrade(drivers[0].url)
        if await ask(server.url, _LOCKS) > 0:
            stage.complaints.append("an upgrade has left its lock in the pool")
