"""The operations as a table: one entry says all there is to say about an operation.

An entry has the error class that failures get, what running the operation twice would do, its
statement and what that binds, how the result is read, what to do if the key is taken, what does
many rows at once, and how calls for one session are merged.

To add an operation, add an entry, its statement in ``statements`` and, if its calls are to be
batched, a method of ``Batches`` in each dialect.
"""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from sessionstore_sql.errors import (
    ChangeIdError,
    CreateError,
    DeleteError,
    LoadError,
    LoadSessionError,
    ReplaceError,
    SignInError,
    UpdateError,
    UpdateIfError,
    UpdateTtlError,
)
from sessionstore_sql.sql.collisions import (
    discard,
    own_unknown_or_conflict,
    remove_expired,
    remove_expired_unless_own,
    replace_expired,
    unknown_or_conflict,
)
from sessionstore_sql.sql.dialects.clauses import SessionColumns
from sessionstore_sql.sql.effects import Effect, Outcome, Repeated
from sessionstore_sql.sql.operation_kinds import Read, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.operation_kinds import Operation

Loaded: TypeAlias = "Sequence[Any]"
"""The state of a live session and the microseconds that remain to it, as the driver returns them.

SQLite may return values of any type, if they were written by hand.
"""


BINARY = (bytes, bytearray, memoryview)
"""The types that drivers return for a binary column."""


def _state_bytes(loaded: Loaded | None) -> int:
    return len(loaded[0]) if loaded is not None and isinstance(loaded[0], BINARY) else 0


CREATE = Write(
    name="create",
    error=CreateError,
    effect=Effect.ONCE,
    statement=attrgetter("create"),
    binds=("key", "ttl", "state", "version"),
    unchanged=Outcome.DUPLICATE,
    if_taken=replace_expired,
    upserts=True,
    batch=attrgetter("create"),
    waits_for_rows=True,
    repeated=Repeated.FIRST_WINS,
)
UPDATE = Write(
    name="update",
    error=UpdateError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("update"),
    binds=("key", "ttl", "state", "version"),
    unchanged=Outcome.UNKNOWN,
    batch=attrgetter("update"),
    repeated=Repeated.LAST_WINS,
)
UPDATE_IF = Write(
    name="update_if",
    error=UpdateIfError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("update_if"),
    binds=("key", "ttl", "state", "version", "expected", "idle_ttl"),
    unchanged=Outcome.UNKNOWN,
    if_unchanged=unknown_or_conflict,
    batch=attrgetter("update_if"),
    has_versions=True,
)
UPDATE_TTL = Write(
    name="update_ttl",
    error=UpdateTtlError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("update_ttl"),
    binds=("key", "ttl"),
    unchanged=Outcome.UNKNOWN,
    batch=attrgetter("update_ttl"),
    repeated=Repeated.LAST_WINS,
)
LOAD: Read[Loaded | None] = Read(
    name="load",
    error=LoadError,
    statement=attrgetter("load"),
    binds=("key",),
    found=tuple,
    absent=None,
    batch=attrgetter("load"),
    bytes_of=_state_bytes,
)
LOAD_SESSION: Read[SessionColumns | None] = Read(
    name="load_session",
    error=LoadSessionError,
    statement=attrgetter("load_session"),
    binds=("key",),
    found=SessionColumns._make,
    absent=None,
    batch=attrgetter("load_session"),
    bytes_of=_state_bytes,
)
DELETE = Write(
    name="delete",
    error=DeleteError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("delete"),
    binds=("key",),
    unchanged=Outcome.UNKNOWN,
    if_unchanged=discard,
    batch=attrgetter("delete"),
    repeated=Repeated.FIRST_WINS,
)
CHANGE_ID = Write(
    name="change_id",
    error=ChangeIdError,
    effect=Effect.ONCE,
    statement=attrgetter("change_id"),
    binds=("key", "new_key"),
    unchanged=Outcome.UNKNOWN,
    if_taken=remove_expired,
    batch=attrgetter("change_id"),
    waits_for_rows=True,
)
CHANGE_ID_TO_ITSELF: Read[Outcome] = Read(
    name="change_id",
    error=ChangeIdError,
    statement=attrgetter("lock_live"),
    binds=("key",),
    found=lambda _columns: Outcome.DUPLICATE,
    absent=Outcome.UNKNOWN,
)
"""``change_id`` where both ids are the same. There is nothing to change."""

REPLACE = Write(
    name="replace",
    error=ReplaceError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("replace"),
    binds=("key", "new_key", "ttl", "state", "version", "expected", "idle_ttl"),
    unchanged=Outcome.UNKNOWN,
    if_taken=remove_expired_unless_own,
    if_unchanged=own_unknown_or_conflict,
    batch=attrgetter("replace"),
    waits_for_rows=True,
    has_versions=True,
)
REPLACE_BY_ITSELF = replace(CHANGE_ID_TO_ITSELF, name="replace", error=ReplaceError)
"""``replace`` where both ids are the same. There is nothing to change."""
SIGN_IN_BY_ITSELF = replace(CHANGE_ID_TO_ITSELF, name="sign_in", error=SignInError)
"""``sign_in`` where both ids are the same."""

OPERATIONS: tuple[Operation[Any], ...] = (
    *(CREATE, UPDATE, UPDATE_TTL, LOAD, DELETE),
    *(CHANGE_ID, CHANGE_ID_TO_ITSELF),
    *(LOAD_SESSION, UPDATE_IF, REPLACE, REPLACE_BY_ITSELF, SIGN_IN_BY_ITSELF),
)
