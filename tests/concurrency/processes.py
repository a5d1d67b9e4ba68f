"""Processes that start each round of a race at the same time."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Concatenate, NamedTuple, TypeAlias

from sessionstore_sql import (
    ConflictError,
    DuplicateIdError,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
)
from tests.concurrency.stores import StoreMaker

TIMEOUT_S = 60
"""Seconds after which a process that has not reached the start has failed."""

Start: TypeAlias = Callable[[], None]
"""Waits until every process has reached the same point."""

Race: TypeAlias = Callable[Concatenate[SQLSessionStore, Start, int, ...], Awaitable[Any]]
"""The calls of one process, given a store, the start of a round, and its number."""


class Processes:
    """Processes that run races when they are told to."""

    def __init__(self, count: int) -> None:
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._barrier = context.Barrier(count, timeout=TIMEOUT_S)
        self._processes: list[tuple[Any, Connection]] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, self._barrier, number), daemon=True
            )
            process.start()
            theirs.close()
            self._processes.append((process, ours))

    async def run(self, maker: StoreMaker, race: Race, *arguments: Any) -> list[Any]:
        """Return the result of ``race`` from each process, or raise the first error."""
        url = maker.url.render_as_string(hide_password=False)
        for _, connection in self._processes:
            connection.send((url, maker.options, race, _sent(arguments)))
        answers = [await asyncio.to_thread(connection.recv) for _, connection in self._processes]
        # A process that fails breaks the barrier for the others: report its own error.
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if failures:
            raise min(failures, key=lambda error: type(error).__name__ == "BrokenBarrierError")
        return answers

    def close(self) -> None:
        """Stop the processes and wait for them."""
        for process, connection in self._processes:
            connection.send(None)
            process.join(TIMEOUT_S)
            connection.close()
            process.close()


async def outcome(call: Awaitable[Any]) -> Any:
    """Return the result of ``call``, or the error if another call was faster."""
    try:
        return await call
    except (ConflictError, DuplicateIdError, UnknownIdError) as error:
        return error


class _IdText(NamedTuple):
    text: str


def _sent(value: Any) -> Any:
    """Return ``value`` with the text of each session id, which cannot be pickled."""
    match value:
        case SessionId():
            return _IdText(value.value)
        case list():
            return [_sent(each) for each in value]
        case tuple():
            return tuple(_sent(each) for each in value)
        case _:
            return value


def _received(value: Any) -> Any:
    """Return what was given to ``_sent``."""
    match value:
        case _IdText():
            return SessionId(value.text)
        case list():
            return [_received(each) for each in value]
        case tuple():
            return tuple(_received(each) for each in value)
        case _:
            return value


def _serve(connection: Connection, barrier: Barrier, number: int) -> None:
    def start() -> None:
        barrier.wait()

    async def run(url: str, options: dict[str, Any], race: Race, arguments: Any) -> Any:
        async with SQLSessionStore(url, **options) as store:
            async with store.engine.connect():
                pass  # connected before the start
            return await race(store, start, number, *_received(arguments))

    while (task := connection.recv()) is not None:
        try:
            answer = asyncio.run(run(*task))
        except Exception as error:  # noqa: BLE001  # the test raises it
            barrier.abort()
            answer = error
        connection.send(answer)
        if isinstance(answer, Exception):
            barrier.reset()
    connection.close()
