"""The session store of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate
from weakref import WeakKeyDictionary

from django.utils.asyncio import async_unsafe

from sessionstore_sql.django.configuration import make_sessions, make_store
from sessionstore_sql.web.background import BackgroundStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.store import SQLSessionStore
    from sessionstore_sql.web.loop_thread import Parameters, Result
    from sessionstore_sql.web.sessions import Sessions

background = BackgroundStore(lambda: make_store())  # noqa: PLW0108  # looked up when it is called

_sessions: WeakKeyDictionary[SessionStorageBackend, Sessions] = WeakKeyDictionary()


@async_unsafe(
    "This would block the event loop until the database has responded. In an async view, use the "
    "session's async methods (aget, aset, asave, ..), or sync_to_async."
)
def wait_for(
    operation: Callable[Concatenate[SQLSessionStore, Parameters], Coroutine[Any, Any, Result]],
    *arguments: Parameters.args,
    **options: Parameters.kwargs,
) -> Result:
    """Return what ``operation`` returns when it is called with this process's store.

    Raises:
        SynchronousOnlyOperation: An event loop is running in this thread.
        ImproperlyConfigured: As ``make_store``.
    """
    return background.run(operation, *arguments, **options)


async def result_of(
    operation: Callable[Concatenate[SQLSessionStore, Parameters], Coroutine[Any, Any, Result]],
    *arguments: Parameters.args,
    **options: Parameters.kwargs,
) -> Result:
    """Return what ``operation`` returns when it is called with this process's store.

    Raises:
        ImproperlyConfigured: As ``make_store``.
    """
    return await background.arun(operation, *arguments, **options)


def sessions_in(store: SessionStorageBackend) -> Sessions:
    """Return the sessions of this project in a store, with their options."""
    found = _sessions.get(store)
    if found is None:
        found = _sessions[store] = make_sessions(store)
    return found


def close() -> None:
    """Close the session store of this process.

    A process does this at its end by itself. Call it after settings have changed, as in tests, or
    to close the connections, but not while sessions are in use. The next session opens another
    store.
    """
    background.close()
