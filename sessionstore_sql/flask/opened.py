"""A store and the sessions in it, for the thread that works with them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.store import SQLSessionStore
from sessionstore_sql.web.setup import SessionSetup

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class OpenedStore:
    """A store with the options of an application.

    Args:
        store: The store.
        options: Options of ``SessionSetup``.
    """

    def __init__(self, store: SessionStorageBackend, options: dict[str, Any]) -> None:
        self.setup = SessionSetup(store, **options)
        self._store = store

    async def __aenter__(self) -> Self:
        if isinstance(self._store, AbstractAsyncContextManager):
            await self._store.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(self._store, AbstractAsyncContextManager):
            await self._store.__aexit__(exc_type, exc, traceback)


class StoreFactory:
    """Makes the store of a process.

    The first store is made at once, so that wrong options are found. Making a store does no I/O,
    so a child process can use the first one, too, if its parent has not.
    """

    def __init__(self, store: object, options: dict[str, Any]) -> None:
        self._make = _maker_of(store)
        self._options = options
        self._first: OpenedStore | None = OpenedStore(self._make(), options)

    def peek(self) -> OpenedStore:
        """Return the first store, before it is used."""
        assert self._first is not None
        return self._first

    def __call__(self) -> OpenedStore:
        """Return a store that was not returned before."""
        first, self._first = self._first, None
        return OpenedStore(self._make(), self._options) if first is None else first


def _maker_of(store: object) -> Callable[[], SessionStorageBackend]:
    if isinstance(store, str | URL):
        return lambda: SQLSessionStore(store)
    if isinstance(store, SQLSessionStore):
        raise TypeError(
            "give the URL of the database, or a function that returns a new SQLSessionStore: the "
            "store works in a thread of its own, and each process needs one"
        )
    if isinstance(store, SessionStorageBackend) and not isinstance(store, type):
        return lambda: store
    if callable(store):
        return cast("Callable[[], SessionStorageBackend]", store)
    raise TypeError(
        f"store is a URL, or a function that returns a store, not {type(store).__name__}"
    )
