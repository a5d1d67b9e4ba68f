"""Each operation as a call on a live session, for tests that run them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DeleteExpiredError,
    LoadError,
    SessionId,
    SessionStorageBackend,
    SessionStoreError,
    UpdateError,
    UpdateTtlError,
)
from tests.concurrency.stores import HOUR, record

STATE = "a-state-that-nobody-may-see"


@dataclass(frozen=True)
class Call:
    """One operation, called on a live id and an id that is free."""

    name: str
    error: type[SessionStoreError]
    make: Callable[[SessionStorageBackend, SessionId, SessionId], Awaitable[Any]]

    def __str__(self) -> str:
        return self.name


CREATE = Call("create", CreateError, lambda store, _, new: store.create(new, record(text=STATE)))
UPDATE = Call("update", UpdateError, lambda store, old, _: store.update(old, record(text=STATE)))
UPDATE_TTL = Call("update_ttl", UpdateTtlError, lambda store, old, _: store.update_ttl(old, HOUR))
LOAD = Call("load", LoadError, lambda store, old, _: store.load(old))
DELETE = Call("delete", DeleteError, lambda store, old, _: store.delete(old))
CHANGE_ID = Call("change_id", ChangeIdError, lambda store, old, new: store.change_id(old, new))
DELETE_EXPIRED = Call(
    "delete_expired", DeleteExpiredError, lambda store, *_: store.delete_expired()
)

REPEATED = (UPDATE, UPDATE_TTL, LOAD, DELETE, DELETE_EXPIRED)
ONCE = (CREATE, CHANGE_ID)
WRITES = (CREATE, UPDATE, UPDATE_TTL, DELETE, CHANGE_ID)
ALL = (*REPEATED, *ONCE)
