"""The store of a process: opened when the first session needs it, and never shared by a fork."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, Generic

from sessionstore_sql.web.loop_thread import LoopThread, Parameters, Result, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class BackgroundStore(Generic[Store]):
    """A store in a thread of its own, for callers in any thread, event loop and process.

    The thread and the store begin with the first call in a process. They end with ``close``, with
    this object or with the process. A child process that was forked begins with a store of its
    own.

    Args:
        make_store: Makes a store. It is called once in each process.
    """

    def __init__(self, make_store: Callable[[], Store]) -> None:
        self._make_store = make_store
        self._lock = threading.Lock()
        self._thread: LoopThread[Store] | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._inherited: list[LoopThread[Store]] = []
        _stores.add(self)

    def run(
        self,
        operation: Callable[Concatenate[Store, Parameters], Coroutine[Any, Any, Result]],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        """Return what ``operation`` returns when it is called with the store.

        It runs in the store's event loop, and this thread waits for it.
        """
        return self.thread().submit(operation, *arguments, **options).result()

    async def arun(
        self,
        operation: Callable[Concatenate[Store, Parameters], Coroutine[Any, Any, Result]],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result:
        """Return what ``operation`` returns when it is called with the store.

        It runs in the store's event loop, while the event loop of the caller goes on.
        """
        return await asyncio.wrap_future(self.thread().submit(operation, *arguments, **options))

    def thread(self) -> LoopThread[Store]:
        """Return the thread, which the first call starts."""
        with self._lock:
            if self._thread is None:
                self._thread = LoopThread(self._make_store())
                self._finalizer = weakref.finalize(self, self._thread.stop)
                self._finalizer.atexit = False  # ``_close_all`` waits for the end.
            return self._thread

    def close(self) -> None:
        """Close the store and end its thread. The next call opens another one."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if thread is not None:
            thread.close()

    def forget(self) -> None:
        """Leave the store to the parent of this process, which was forked.

        Threads do not survive a fork; sockets and locks do. Closing an inherited connection
        would end the parent's, and SQLite forbids even that (its manual, "How To Corrupt An
        SQLite Database File", 2.6). So inherited objects are kept from the garbage collector.
        """
        self._lock = threading.Lock()
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._thread is not None:
            self._inherited.append(self._thread)
            self._thread = None


_stores: weakref.WeakSet[BackgroundStore[Any]] = weakref.WeakSet()


def _close_all() -> None:
    for store in list(_stores):
        store.close()


def _forget_all() -> None:
    for store in list(_stores):
        store.forget()


atexit.register(_close_all)
with suppress(AttributeError):  # Windows has no fork.
    os.register_at_fork(after_in_child=_forget_all)
