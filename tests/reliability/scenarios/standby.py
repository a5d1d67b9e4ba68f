"""A PostgreSQL primary with a synchronous hot standby, which takes over under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL

from sessionstore_sql.sql.urls import normalise_url
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.stage import Stage
from tests.reliability.workers import Workers

_TIMES = 2
_SYNCHRONOUS = {"synchronous_standby_names": "*"}
"""A commit returns when a standby has it on its disk too, whichever it is; without one, none
returns."""
_READ_ONLY_S = 2
_STANDBY_AWAY_S = 3


async def fail_over(stage: Stage) -> None:
    """Kill the primary, promote the standby, and have a new standby made; then the other way."""
    primary, standby = _pair(stage)
    async with _load(stage, primary, standby) as workers:
        for _ in range(_TIMES):
            async with stage.fault("primary killed, standby promoted", workers):
                primary.kill()
                await standby.promote()
                primary, standby = standby, primary
                await standby.follow(primary)
            await primary.until_followed()


async def switch_over(stage: Stage) -> None:
    """Make the primary read-only and exchange the roles of the two; then exchange back."""
    primary, standby = _pair(stage)
    async with _load(stage, primary, standby) as workers:
        for _ in range(_TIMES):
            async with stage.fault(f"read-only for {_READ_ONLY_S} s, then switched", workers):
                await primary.reject_writes()
                await asyncio.sleep(_READ_ONLY_S)
                primary.stop()
                await standby.promote()
                primary, standby = standby, primary
                await standby.start_as_standby(primary)
                await standby.accept_writes()
            await primary.until_followed()
    stage.complaints += unnoticed(stage)


async def lose_standby(stage: Stage) -> None:
    """Kill the standby, without which no commit returns, and start it again."""
    primary, standby = _pair(stage)
    async with _load(stage, primary, standby) as workers:
        for _ in range(_TIMES):
            async with stage.fault(f"standby killed for {_STANDBY_AWAY_S} s", workers):
                standby.kill()
                await asyncio.sleep(_STANDBY_AWAY_S)
                await standby.start()
            await primary.until_followed()


def _pair(stage: Stage) -> tuple[PostgreSQL, PostgreSQL]:
    return (
        PostgreSQL(stage.folder / "one", _SYNCHRONOUS),
        PostgreSQL(stage.folder / "two", _SYNCHRONOUS),
    )


@asynccontextmanager
async def _load(stage: Stage, primary: PostgreSQL, standby: PostgreSQL) -> AsyncIterator[Workers]:
    """Start both, and call whichever takes writes, by a URL that names both."""
    for server in (primary, standby):
        stage.stop_at_end(server.stop)
    # Until there is a standby, a commit would wait for one.
    primary.settings["synchronous_standby_names"] = ""
    await primary.create()
    await standby.follow(primary)
    primary.settings |= _SYNCHRONOUS
    primary.stop()
    await primary.start()
    await primary.until_followed()
    # The standby first: a client that uses the first host that answers could never write.
    url = at_both(standby, primary)
    async with stage.load(url, targets(url, *primary.drivers)) as workers:
        yield workers


def at_both(one: PostgreSQL, other: PostgreSQL) -> URL:
    """Return a URL of two servers, for a store to find the one that takes writes."""
    user, database = one.url.username, one.url.database
    return normalise_url(
        f"postgresql://{user}@127.0.0.1:{one.port},127.0.0.1:{other.port}/{database}"
    )


def unnoticed(stage: Stage) -> list[str]:
    """Return what is missing if no connection was found to be read-only, which is the point."""
    is_noticed = any("read-only" in (each.error or "") for each in stage.operations)
    return [] if is_noticed else ["no connection was found to be read-only"]
