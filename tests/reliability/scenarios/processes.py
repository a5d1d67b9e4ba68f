"""Processes of the application are killed in the middle of whatever they do."""

from __future__ import annotations

import random

from sqlalchemy import URL

from tests.reliability.stage import Stage
from tests.reliability.workers import Target

_PROCESSES, _ROUNDS, _KILLED = 8, 6, 3


async def kill_processes_on_sqlite(stage: Stage) -> None:
    """Write a SQLite file with many processes, and kill some of them, again and again."""
    url = URL.create("sqlite+aiosqlite", database=str(stage.folder / "sessions.db"))
    target = Target(url.render_as_string(), {})
    async with stage.load(url, [target] * _PROCESSES) as workers:
        for _ in range(_ROUNDS):
            async with stage.fault(f"{_KILLED} of {_PROCESSES} processes killed", workers):
                for number in random.sample(range(_PROCESSES), _KILLED):
                    await workers.restart(number)
