"""A process that has one store and calls it until it is told to stop: ``SIGTERM``."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sessionstore_sql import SQLSessionStore
from tests.reliability.board import Board
from tests.reliability.history import Recorder
from tests.reliability.load import SLOTS, Load
from tests.reliability.recorded import RecordedStore


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker has to know."""

    folder: str
    """Where the board and the histories are."""
    name: str
    number: int
    workers: int
    url: str
    options: dict[str, Any]
    """Of the store."""
    state_size: int
    """Bytes of the largest states."""

    @property
    def history(self) -> Path:
        """The file of this worker's history."""
        return Path(self.folder) / f"{self.name}.history"


def open_board(folder: Path, workers: int) -> Board:
    """Return the board of a run with so many workers."""
    return Board(folder / "board", slots=workers * SLOTS, workers=workers)


async def work(settings: Settings) -> None:
    """Call the store until the process is told to stop."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    board = open_board(Path(settings.folder), settings.workers)
    recorder = Recorder(settings.history)

    def note_write() -> None:
        board.set_answered(settings.number, time.monotonic_ns())

    async with SQLSessionStore(settings.url, **settings.options) as store:
        recorded = RecordedStore(store, recorder, note_write)
        load = Load(
            store=recorded,
            board=board,
            worker=settings.number,
            name=settings.name,
            stopping=stopping,
            state_size=settings.state_size,
        )
        await load.run()
    recorder.close()
    board.close()


if __name__ == "__main__":
    asyncio.run(work(Settings(**orjson.loads(sys.argv[1]))))
