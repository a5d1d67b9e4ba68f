"""Another file fills the disk under load, and is removed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sqlalchemy import URL

from tests.reliability.history import READS, Operation, Outcome
from tests.reliability.scenarios.loads import load_on
from tests.reliability.servers.disk import Disk
from tests.reliability.servers.mysql import MySQLFamilyServer
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.stage import Stage
from tests.reliability.workers import Target, Workers

_TIMES = 2
_FULL_S = 4
_SHOWS_S = 30
"""Within which some write has found the disk full."""
_NO_ROOM_ON_POSTGRESQL = ("No space left on device",)
_NO_ROOM_ON_MYSQL = ("(1114,", "(1021,", "(1030,")
_NO_ROOM_ON_SQLITE = ("database or disk is full", "disk I/O error")
"""What errors of a full disk say."""
_STATE_SIZE = 20_000
"""Bytes of the largest states: what is free inside the database's files is soon used."""
_SQLITE_PROCESSES = 3
_LOOKS_AGAIN_S = 90
"""Within which MySQL has written its binary log: it looks for room each minute."""


async def fill_tables(stage: Stage, server: PostgreSQL) -> None:
    """Leave no room for the tables; the log is on another disk."""
    disk = _disk(stage, 160)
    server.data = disk.folder / "data"
    server.log = stage.folder / "log"
    server.process.own(server.log)
    async with load_on(server, stage, state_size=_STATE_SIZE) as workers:
        await _fill(stage, disk, workers, *_NO_ROOM_ON_POSTGRESQL)
    stage.complaints += unnoticed(stage, *_NO_ROOM_ON_POSTGRESQL)


async def fill_log(stage: Stage, server: PostgreSQL) -> None:
    """Leave no room for the log: a server that cannot write it gives up, and has to be started."""
    disk = _disk(stage, 100)
    server.log = disk.folder / "log"
    server.process.own(server.log)
    server.installer_options = ("--wal-segsize=1",)
    async with load_on(server, stage, state_size=_STATE_SIZE) as workers:
        for _ in range(_TIMES):
            async with stage.fault("disk full, server ended and was started", workers):
                async with disk.full():
                    await server.process.until_ended()
                await server.start()


async def fill_mysql(stage: Stage, server: MySQLFamilyServer) -> None:
    """Leave no room for tables and redo log; a binary log is on another disk."""
    if server.backend == "mysql":
        server.settings["log-bin"] = stage.folder / "server" / "binlog"
    disk = _disk(stage, 300)
    server.data = disk.folder / "data"
    async with load_on(server, stage, state_size=_STATE_SIZE) as workers:
        await _fill(stage, disk, workers, *_NO_ROOM_ON_MYSQL)
    stage.complaints += unnoticed(stage, *_NO_ROOM_ON_MYSQL)


async def fill_binary_log(stage: Stage, server: MySQLFamilyServer) -> None:
    """Leave no room for MySQL's binary log: writes wait until it looks again, once a minute."""
    disk = _disk(stage, 100)
    server.settings["log-bin"] = disk.folder / "binlog"
    async with load_on(server, stage, state_size=_STATE_SIZE) as workers:
        fault = stage.fault("disk full", workers, within_s=_LOOKS_AGAIN_S)
        async with fault, disk.full():
            await asyncio.sleep(_FULL_S)


async def fill_sqlite(stage: Stage) -> None:
    """Leave no room for the file and its log."""
    disk = _disk(stage, 48)
    url = URL.create("sqlite+aiosqlite", database=str(disk.folder / "sessions.db"))
    target = Target(url.render_as_string(), {})
    loads = stage.load(url, [target] * _SQLITE_PROCESSES, state_size=_STATE_SIZE)
    async with loads as workers:
        await _fill(stage, disk, workers, *_NO_ROOM_ON_SQLITE)
    stage.complaints += unnoticed(stage, *_NO_ROOM_ON_SQLITE)


def unnoticed(stage: Stage, *signs: str) -> list[str]:
    """Return what is missing of a full disk: each time, writes that failed and loads that worked.

    Args:
        stage: After the load.
        signs: What the errors of a full disk say, one of which each time has to show.
    """
    return [
        f"{what} while the disk was full ({fault.what})"
        for fault in stage.faults
        for what in _missing(_during(stage.operations, fault.began, fault.healed), signs)
    ]


def _missing(operations: Sequence[Operation], signs: Sequence[str]) -> list[str]:
    refused = [
        each.invoked
        for each in operations
        if each.outcome is Outcome.FAILED
        and each.name not in READS
        and any(sign in (each.error or "") for sign in signs)
    ]
    if not refused:
        return ["no write failed for want of room"]
    works = any(
        each.name in READS and each.outcome is Outcome.DONE and each.invoked > min(refused)
        for each in operations
    )
    return [] if works else ["no load worked"]


def _during(operations: Sequence[Operation], began: int, ended: int) -> list[Operation]:
    return [each for each in operations if each.invoked >= began and (each.returned or 0) <= ended]


def _disk(stage: Stage, megabytes: int) -> Disk:
    disk = Disk(stage.folder / "disk", megabytes)
    stage.stop_at_end(disk.unmount)
    return disk


async def _fill(stage: Stage, disk: Disk, workers: Workers, *signs: str) -> None:
    """Fill the disk, twice, until it shows: databases have room left in their own files."""
    for _ in range(_TIMES):
        async with stage.fault("disk full", workers), disk.full():
            began, until = time.monotonic_ns(), time.monotonic() + _SHOWS_S
            while time.monotonic() < until:
                if not _missing(_during(workers.history(), began, time.monotonic_ns()), signs):
                    break
                await asyncio.sleep(1)
            await asyncio.sleep(_FULL_S)
