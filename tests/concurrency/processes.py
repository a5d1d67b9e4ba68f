"""Rivals in processes of their own, which start each round of a race together."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Concatenate, TypeAlias

from sessionstore_sql import DuplicateIdError, SQLSessionStore, UnknownIdError
from tests.concurrency.stores import StoreMaker

TIMEOUT_S = 60
"""After which a rival that does not come to the start has failed."""

Start: TypeAlias = Callable[[], None]
"""Waits until every rival has got as far as this one."""

Race: TypeAlias = Callable[Concatenate[SQLSessionStore, Start, int, ...], Awaitable[Any]]
"""What one rival does, given a store, the start of a round, and its number."""


class Processes:
    """Processes that wait for races to run."""

    def __init__(self, count: int) -> None:
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(count, timeout=TIMEOUT_S)
        self._rivals: list[tuple[Any, Connection]] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._barrier, number), daemon=True
            )
            process.start()
            theirs.close()
            self._rivals.append((process, ours))

    async def run(self, maker: StoreMaker, race: Race, *arguments: Any) -> list[Any]:
        """Return what each rival returns from ``race``, or raise what one raised."""
        url = maker.url.render_as_string(hide_password=False)
        for _, connection in self._rivals:
            connection.send((url, maker.options, race, arguments))
        answers = [await asyncio.to_thread(connection.recv) for _, connection in self._rivals]
        # The others' errors are of the start that one who failed did not come to.
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if failures:
            raise min(failures, key=lambda error: type(error).__name__ == "BrokenBarrierError")
        return answers

    def close(self) -> None:
        """Let the processes end, and wait for it."""
        for process, connection in self._rivals:
            connection.send(None)
            process.join(TIMEOUT_S)
            connection.close()
            process.close()


async def outcome(call: Awaitable[Any]) -> Any:
    """Return the result of ``call``, or the error that only a rival's success explains."""
    try:
        return await call
    except (DuplicateIdError, UnknownIdError) as error:
        return error


def _serve(connection: Connection, barrier: Barrier, number: int) -> None:
    def start() -> None:
        barrier.wait()

    async def run(url: str, options: dict[str, Any], race: Race, arguments: Any) -> Any:
        async with SQLSessionStore(url, **options) as store:
            async with store.engine.connect():
                pass  # connected before the start
            return await race(store, start, number, *arguments)

    while (task := connection.recv()) is not None:
        try:
            answer = asyncio.run(run(*task))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test raises it
            barrier.abort()
            answer = error
        connection.send(answer)
        if isinstance(answer, Exception):
            barrier.reset()
    connection.close()
