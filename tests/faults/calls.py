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
    LoadSessionError,
    ReplaceError,
    RevokeError,
    SessionId,
    SessionsOfError,
    SessionStoreError,
    SignInError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.account_operations import AccountOperations
from tests.concurrency.stores import HOUR, record

STATE = "a-secret-state"


@dataclass(frozen=True)
class Call:
    """One operation, called on a live id and an id that is free."""

    name: str
    error: type[SessionStoreError]
    make: Callable[[AccountOperations, SessionId, SessionId], Awaitable[Any]]

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

LOAD_SESSION = Call("load_session", LoadSessionError, lambda store, old, _: store.load_session(old))
REPLACE = Call(
    "replace", ReplaceError, lambda store, old, new: store.replace(old, new, record(text=STATE))
)
SIGN_IN = Call(
    "sign_in",
    SignInError,
    lambda store, old, new: store.sign_in(old, new, record(text=STATE), subject="a user"),
)
SESSIONS_OF = Call("sessions_of", SessionsOfError, lambda store, *_: store.sessions_of("a user"))
REVOKE = Call("revoke", RevokeError, lambda store, *_: store.revoke("a user"))

REPEATED = (
    *(UPDATE, UPDATE_TTL, LOAD, DELETE, DELETE_EXPIRED),
    *(LOAD_SESSION, REPLACE, SIGN_IN, SESSIONS_OF, REVOKE),
)
ONCE = (CREATE, CHANGE_ID)
WRITES = (CREATE, UPDATE, UPDATE_TTL, DELETE, CHANGE_ID, REPLACE, SIGN_IN)
ALL = (*REPEATED, *ONCE)
