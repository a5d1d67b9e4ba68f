"""``SQLStore``: Litestar's key-value store on the table of sessions."""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from litestar.stores.base import NamespacedStore

from sessionstore_sql.errors import (
    ConflictError,
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    UnknownIdError,
    UpdateError,
    for_operation,
)
from sessionstore_sql.litestar.entries import Entry, EntryCodec, Namespace
from sessionstore_sql.records import MAX_TTL, SessionRecord, is_encodable, require_ttl
from sessionstore_sql.schema import DEFAULT_TABLE
from sessionstore_sql.state_prefixes import StatePrefixStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.records import SessionId

_COLLISIONS = 10
"""How often an entry may appear and vanish between two statements before ``set`` gives up."""

_SECOND = timedelta(seconds=1)

_NO_EXPIRY = -1
"""The value of ``expires_in`` for a key that never expires, as in Litestar's other stores."""


class SQLStore(NamespacedStore):
    """A ``litestar.stores.base.Store`` for caches, rate limits and whatever takes a store.

    Keys are any text of any length. The database's clock decides which keys have expired. An
    operation that returned is committed. Any number of tasks, processes and machines may call the
    operations at the same time.

    A store that is registered with an application is closed with it. For sessions, use
    ``SQLSessionConfig``: Litestar's own session backend would adopt any id that a client sends.

    Args:
        engine_or_url: The database, as for ``SQLSessionStore``.
        namespace: Keeps stores in one table apart: each needs a name of its own.
        table: The name of the table. One of its own, made by
            ``migrate.upgrade(url, table=..)``, lets ``delete_all`` look at entries only, and not
            at every session.
        schema: The schema it is in; ``None`` for the connection's own.
        engine_options: For ``create_async_engine``, over the store's own; only with a URL.

    Attributes:
        namespace: This store's; its ``path`` has the names from the root down.

    Raises:
        TypeError, ValueError, ModuleNotFoundError: As ``SQLSessionStore``.
    """

    def __init__(
        self,
        engine_or_url: AsyncEngine | URL | str,
        *,
        namespace: str,
        table: str = DEFAULT_TABLE,
        schema: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.namespace = Namespace((namespace,))
        self._rows = StatePrefixStore(
            engine_or_url,
            table=table,
            schema=schema,
            codec=EntryCodec(),
            engine_options=engine_options,
        )

    def with_namespace(self, namespace: str) -> Self:
        """Return a store in a namespace of this name below this one's, on the same connections.

        It sees none of this store's entries; ``delete_all`` of this one removes its entries too.
        """
        child = copy(self)
        child.namespace = self.namespace.child(namespace)
        return child

    async def set(
        self, key: str, value: str | bytes, expires_in: int | timedelta | None = None
    ) -> None:
        """Set a value, whether there is one or not.

        One statement where the key is live, two where it is not. Of calls at the same time one is
        the last, and its value and its expiry are what stays.

        Args:
            key: Any text, the empty one included.
            value: Bytes, or text that is stored as UTF-8.
            expires_in: Seconds; zero is over at once. ``None``: never, which is a hundred years,
                and so is more than that.

        Raises:
            TypeError, ValueError: An argument has a wrong type, or ``expires_in`` is negative.
            DatabaseError: The database failed.
        """
        session_id, data = self.namespace.id_of(key), _bytes_of(value)
        ttl = MAX_TTL if expires_in is None else _ttl_of(expires_in)
        entry = Entry.new(self.namespace, data, expires=expires_in is not None)
        record = SessionRecord(entry.state, ttl)
        for _ in range(_COLLISIONS):
            try:
                await self._rows.update(session_id, record)
            except UnknownIdError:
                pass
            else:
                return
            try:
                await self._rows.create(session_id, record)
            except DuplicateIdError:
                continue
            return
        message = "the entry kept appearing and vanishing; try again"
        raise for_operation(UpdateError, DatabaseError(message, transient=True))

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return the value, or ``None`` where the key is not live. One statement, or two to renew.

        Args:
            key: The key.
            renew_for: Seconds that the entry lives from now on; zero is over at once. ``None``
                leaves its expiry alone. What never expires, or was set by another call since it
                was read, is left alone too.

        Raises:
            TypeError, ValueError: An argument has a wrong type, or ``renew_for`` is negative.
            DeserializationError: The row has another format. It is kept.
            DatabaseError: The database failed.
        """
        session_id = self.namespace.id_of(key)
        if renew_for is not None:
            return await self._renewed(session_id, _ttl_of(renew_for))
        found = await self._load(session_id)
        return None if found is None else found[0].value

    async def delete(self, key: str) -> None:
        """Remove an entry; nothing happens where the key is not live.

        Raises:
            DatabaseError: The database failed.
        """
        with suppress(UnknownIdError):
            await self._rows.delete(self.namespace.id_of(key))

    async def delete_all(self) -> None:
        """Remove the entries of this namespace and of those below it, and nothing else.

        Not one transaction, but one to a thousand rows of the table: what is set while it runs
        may stay or go.

        Raises:
            DatabaseError: The database failed. Some of the entries may be gone.
        """
        await self._rows.delete_prefix(self.namespace.prefix)

    async def exists(self, key: str) -> bool:
        """Whether the key is live.

        Raises:
            DeserializationError: The row has another format. It is kept.
            DatabaseError: The database failed.
        """
        return await self._load(self.namespace.id_of(key)) is not None

    async def expires_in(self, key: str) -> int | None:
        """Return the remaining seconds of the key, rounded up.

        -1 if it never expires, as in Litestar's other stores, and ``None`` if it is not live.

        Raises:
            DeserializationError: The row has another format. It is kept.
            DatabaseError: The database failed.
        """
        found = await self._load(self.namespace.id_of(key))
        if found is None:
            return None
        entry, ttl = found
        return -(-ttl // _SECOND) if entry.expires else _NO_EXPIRY

    async def delete_expired(self, batch_size: int | None = None) -> int:
        """Delete the expired rows of the whole table, including sessions; return their number.

        Args:
            batch_size: The maximum number of rows, at least 1. ``None``: all.

        Raises:
            DatabaseError: The database failed.
        """
        return await self._rows.delete_expired(batch_size)

    async def aclose(self) -> None:
        """Close the engine that was made from a URL; what ``async with`` does at its end.

        The stores of its other namespaces share it. A call made afterwards opens it again.
        """
        await self._rows.aclose()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _load(self, session_id: SessionId) -> tuple[Entry, timedelta] | None:
        record = await self._rows.load(session_id)
        return None if record is None else (self._entry_in(record), record.ttl)

    async def _renewed(self, session_id: SessionId, ttl: timedelta) -> bytes | None:
        session = await self._rows.load_session(session_id)
        if session is None:
            return None
        entry = self._entry_in(session.record)
        if entry.expires:
            # Not if another call has set a value since, which may never expire.
            with suppress(ConflictError, UnknownIdError):
                record = SessionRecord(session.record.state, ttl)
                await self._rows.update_if(session_id, record, session.version)
        return entry.value

    def _entry_in(self, record: SessionRecord) -> Entry:
        try:
            return Entry.of_state(self.namespace, record.state)
        except DeserializationError as error:
            cause = error
        raise for_operation(LoadError, cause)


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise TypeError(f"a value is bytes or a str, not {type(value).__name__}")
    if not is_encodable(value):
        raise ValueError("a str value must be encodable as UTF-8")
    return value.encode()


def _ttl_of(life: float | timedelta) -> timedelta:
    if not isinstance(life, timedelta):
        life = timedelta(seconds=min(life, MAX_TTL.total_seconds()))
    ttl = min(life, MAX_TTL)
    require_ttl(ttl)
    return ttl
