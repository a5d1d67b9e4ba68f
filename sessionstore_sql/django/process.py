"""The session store of this process: made when the first session needs it, closed at the end."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from django.utils.asyncio import async_unsafe

from sessionstore_sql.django.configuration import make_store
from sessionstore_sql.django.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.store import SQLSessionStore

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _Process:
    """What there is one of in a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._inherited: list[LoopThread] = []

    def thread(self) -> LoopThread:
        """Return the thread; the settings are read, and a store is made, on the first call."""
        with self._lock:
            if self._thread is None:
                self._thread = LoopThread(make_store())
            return self._thread

    def close(self) -> None:
        """End the thread, if there is one."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def forget(self) -> None:
        """Leave to the parent of this process what is the parent's.

        Threads don't survive a fork, while sockets and locks seem to. To close an inherited
        connection would end the parent's, and SQLite forbids even that (its manual, "How To
        Corrupt An SQLite Database File", 2.6); so they are kept from the garbage collector.
        """
        self._lock = threading.Lock()
        if self._thread is not None:
            self._inherited.append(self._thread)
            self._thread = None


_process = _Process()
atexit.register(_process.close)
with suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_process.forget)


@async_unsafe(
    "This would keep the whole event loop waiting for the database. In an async view, use the "
    "session's async methods (aget, aset, asave, ..), or sync_to_async."
)
def wait_for(
    operation: Callable[Concatenate[SQLSessionStore, Parameters], Coroutine[Any, Any, Result]],
    *arguments: Parameters.args,
    **options: Parameters.kwargs,
) -> Result:
    """Return what ``operation`` returns, called with this process's store.

    Raises:
        SynchronousOnlyOperation: An event loop is running in this thread.
        ImproperlyConfigured: As ``make_store``.
    """
    return _process.thread().submit(operation, *arguments, **options).result()


async def result_of(
    operation: Callable[Concatenate[SQLSessionStore, Parameters], Coroutine[Any, Any, Result]],
    *arguments: Parameters.args,
    **options: Parameters.kwargs,
) -> Result:
    """Return what ``operation`` returns, called with this process's store.

    Raises:
        ImproperlyConfigured: As ``make_store``.
    """
    return await asyncio.wrap_future(_process.thread().submit(operation, *arguments, **options))


def close() -> None:
    """Close this process's session store; the next session makes another, as the settings then say.

    What a process does at its end by itself. Call it where the settings have changed, as in
    tests, or to let go of the database's connections; not while sessions are in use.
    """
    _process.close()
