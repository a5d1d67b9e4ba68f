"""Handles SIGINT and SIGTERM while a command runs, and returns the exit code for them."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sessionstore_sql.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

_THREAD_TIMEOUT_S = 5


class Interruption:
    """Whether a signal has asked the command to end.

    Attributes:
        requested: Set by the first signal. Work that can end early waits for it.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._signal: signal.Signals | None = None

    def note(self, received: signal.Signals) -> None:
        """Record a signal. The first one decides the exit code."""
        self._signal = self._signal or received
        self.requested.set()

    def announce(self) -> ExitCode:
        """Print why the command ended early, and return the exit code for it."""
        assert self._signal is not None
        click.echo(f"Interrupted by {self._signal.name}.", err=True)
        return _EXIT_CODES[self._signal]


def run(
    work: Callable[[Interruption], Coroutine[Any, Any, ExitCode]], *, orderly: bool = False
) -> ExitCode:
    """Run ``work`` in a new event loop, and return its exit code.

    A signal cancels the work, and uncommitted changes are rolled back.

    Args:
        work: Called with the ``Interruption`` of this run.
        orderly: The first signal only sets ``Interruption.requested``, so that the work can end
            where it leaves nothing unfinished. The second signal cancels it.
    """
    return asyncio.run(_run(work, orderly=orderly))


async def _run(
    work: Callable[[Interruption], Coroutine[Any, Any, ExitCode]], *, orderly: bool
) -> ExitCode:
    interruption = Interruption()
    task = asyncio.ensure_future(work(interruption))

    def interrupt(received: signal.Signals) -> None:
        requested_before = interruption.requested.is_set()
        interruption.note(received)
        if requested_before or not orderly:
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
    """Wait for threads that were started during the run, while the event loop is still open.

    aiosqlite 0.22.1 does not wait for the thread of a connection that could not be opened. The
    thread would print a traceback if the loop were closed.
    """
    await asyncio.get_running_loop().shutdown_default_executor()
    for thread in set(threading.enumerate()) - others:
        thread.join(_THREAD_TIMEOUT_S)


@contextmanager
def _signals_handled(interrupt: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call ``interrupt`` in the running loop for SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()

    def handle(number: int, _frame: object) -> None:
        # Windows has no loop.add_signal_handler.
        loop.call_soon_threadsafe(interrupt, signal.Signals(number))

    before = {each: signal.signal(each, handle) for each in _EXIT_CODES}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
