"""The processes that call the store while faults happen."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.reliability.history import Operation, read_histories
from tests.reliability.worker import Settings, open_board

_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Target:
    """What a store is made with."""

    url: str
    options: dict[str, Any]


class WorkerError(Exception):
    """A worker did what no fault of the database explains."""


class Workers:
    """As many processes as there are targets, each with a store of its own."""

    def __init__(self, folder: Path, targets: Sequence[Target], state_size: int) -> None:
        self._folder = folder
        self._targets = targets
        self._state_size = state_size
        self._processes: list[tuple[Settings, Process]] = []
        self._names = (f"worker-{number}" for number in itertools.count(1))
        self._histories: list[Path] = []
        self._board = open_board(folder, len(targets))

    def __len__(self) -> int:
        return len(self._targets)

    async def start(self) -> None:
        """Start them, and wait until each has written something."""
        now = time.monotonic_ns()
        for number in range(len(self)):
            self._processes.append(await self._start(number))
        await self.until_answered(now, within_s=30)

    async def restart(self, number: int) -> None:
        """Kill a process in the middle of whatever it does, and start another in its place."""
        _, process = self._processes[number]
        process.kill()
        await process.wait()
        self._processes[number] = await self._start(number)

    async def until_answered(self, since: int, *, within_s: float) -> None:
        """Wait until each process has had a write acknowledged after ``since``.

        Raises:
            WorkerError: It took longer, or a process has ended.
        """
        deadline = time.monotonic() + within_s
        while silent := [
            number for number in range(len(self)) if self._board.answered(number) <= since
        ]:
            for settings, process in self._processes:
                if process.returncode is not None:
                    raise WorkerError(f"{settings.name} ended with code {process.returncode}")
            if time.monotonic() > deadline:
                raise WorkerError(f"workers {silent} had no write in {within_s} s")
            await asyncio.sleep(_POLL_S)

    async def stop(self, *, within_s: float) -> None:
        """Let running calls return, and wait until the processes have ended.

        Raises:
            WorkerError: One ended badly, or did not end in time and was killed.
        """
        for _, process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        waits = (self._end(*each, within_s) for each in self._processes)
        complaints = [each for each in await asyncio.gather(*waits) if each is not None]
        self._board.close()
        if complaints:
            raise WorkerError("; ".join(complaints))

    def history(self) -> list[Operation]:
        """Return what all of them have done."""
        return read_histories(self._histories)

    async def _start(self, number: int) -> tuple[Settings, Process]:
        settings = self._settings(number)
        self._histories.append(settings.history)
        argument = orjson.dumps(asdict(settings)).decode()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.reliability.worker", argument
        )
        return settings, process

    def _settings(self, number: int) -> Settings:
        target = self._targets[number]
        return Settings(
            folder=str(self._folder),
            name=next(self._names),
            number=number,
            workers=len(self),
            url=target.url,
            options=target.options,
            state_size=self._state_size,
        )

    @staticmethod
    async def _end(settings: Settings, process: Process, within_s: float) -> str | None:
        try:
            code = await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"{settings.name} did not end in {within_s} s"
        return None if code == 0 else f"{settings.name} ended with code {code}"
