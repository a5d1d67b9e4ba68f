"""SIGINT and SIGTERM while a command works: an end in good order, and the exit code for it."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sessionstore_sql.command_line.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


_THREAD_TIMEOUT_S = 5


class Interruption:
    """Whether somebody wants the command to end.

    Attributes:
        requested: Set by the first signal. Work that can end in good order waits for it.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._signal: signal.Signals | None = None

    def note(self, received: signal.Signals) -> None:
        """Take notice of a signal; the first one counts."""
        self._signal = self._signal or received
        self.requested.set()

    def announce(self) -> ExitCode:
        """Say why the command ended early, and return the exit code that says the same."""
        assert self._signal is not None
        click.echo(f"Interrupted by {self._signal.name}.", err=True)
        return _EXIT_CODES[self._signal]


def run(
    work: Callable[[Interruption], Coroutine[Any, Any, ExitCode]], *, orderly: bool = False
) -> ExitCode:
    """Run ``work`` in an event loop of its own, and return its exit code.

    A signal cancels it: what it has not committed is rolled back. Where it is ``orderly``, it is
    asked first, to end where it is good to end, and cancelled by the second signal.
    """
    return asyncio.run(_run(work, orderly=orderly))


async def _run(
    work: Callable[[Interruption], Coroutine[Any, Any, ExitCode]], *, orderly: bool
) -> ExitCode:
    interruption = Interruption()
    task = asyncio.ensure_future(work(interruption))

    def interrupt(received: signal.Signals) -> None:
        asked_before = interruption.requested.is_set()
        interruption.note(received)
        if asked_before or not orderly:
            task.cancel()

    others = set(threading.enumerate())
    with _signals_handled(interrupt):
        try:
            return await task
        except asyncio.CancelledError:
            if not interruption.requested.is_set():
                raise
            return interruption.announce()
        finally:
            await _threads_ended(others)


async def _threads_ended(others: set[threading.Thread]) -> None:
    """Wait for threads that were started meanwhile, while there is a loop to report to.

    aiosqlite 0.22.1 doesn't wait for the one of a connection that could not be opened, which then
    prints a traceback of its own if the loop is closed.
    """
    await asyncio.get_running_loop().shutdown_default_executor()
    for thread in set(threading.enumerate()) - others:
        thread.join(_THREAD_TIMEOUT_S)


@contextmanager
def _signals_handled(interrupt: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call ``interrupt`` in the running loop for every signal that means the end."""
    loop = asyncio.get_running_loop()

    def handle(number: int, _frame: object) -> None:
        # Not loop.add_signal_handler: Windows has none.
        loop.call_soon_threadsafe(interrupt, signal.Signals(number))

    before = {each: signal.signal(each, handle) for each in _EXIT_CODES}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
