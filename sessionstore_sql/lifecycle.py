"""What a response owes the session of its request: decided by one pure function, then done.

The adapter of a web framework loads the session that a request presents and lets the
application work on it. Before the response starts, while a cookie can still be set, it asks
``decide`` what is owed and lets ``carry_out`` do it, so that a response that went out means a
session that is committed.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sessionstore_sql.errors import DatabaseError, UnknownIdError
from sessionstore_sql.records import SessionId
from sessionstore_sql.rotation import rotate, was_rotated

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.records import SessionRecord

logger = logging.getLogger(__name__)

DEFAULT_RENEWAL_THRESHOLD = 0.8
"""The share of its time to live below which a session's remaining life is renewed."""


class Operation(Enum):
    """An operation of ``SessionStorageBackend``."""

    CREATE = "create"
    UPDATE = "update"
    UPDATE_TTL = "update_ttl"
    DELETE = "delete"
    CHANGE_ID = "change_id"


class Cookie(Enum):
    """What the response says about the session's cookie."""

    KEEP = "keep"
    """Nothing: the client keeps what it has."""
    SET = "set"
    """The id, and a ``Max-Age`` of the whole time to live."""
    REMOVE = "remove"
    """That it is to be forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUse:
    """What a request presented, and what the application did.

    Args:
        presented: Whether the client sent an id, malformed ones included.
        remaining: The life that remained to the session when it was loaded; ``None`` where
            none was: no id was presented, or no live session has it.
        ttl: The time to live that a session gets when it is stored or renewed.
        renewal_threshold: A share of ``ttl``. Remaining life below it is renewed.
        changed: Whether the state is another than the one loaded.
        empty: Whether the state is empty now.
        rotated: Whether the application asked for a new id, as it does when somebody logs in.
        invalidated: Whether the application ended the session, as it does when somebody logs
            out. What the state holds now was put there afterwards.
    """

    presented: bool
    remaining: timedelta | None
    ttl: timedelta
    renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD
    changed: bool
    empty: bool
    rotated: bool
    invalidated: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What is owed: operations on the storage, in this order, and then the cookie."""

    operations: tuple[Operation, ...]
    cookie: Cookie


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision.

    Args:
        cookie: What to say of the cookie now; not what was decided, where the session had ended.
        session_id: The id to set; ``None`` where none is.
    """

    cookie: Cookie
    session_id: SessionId | None


def decide(use: SessionUse) -> Decision:
    """Return what a response owes the session. Nothing but ``use`` decides.

    - A session is created for a state that is not empty, and under no id but a new one: what a
      client presents is never adopted.
    - A session that was loaded is updated when its state changed, deleted when it was emptied,
      and otherwise extended when its remaining life has fallen below the threshold.
    - One that was invalidated is deleted, and a state put there since starts another.
    - Rotation comes before the update: if only one of them happens, no state of somebody who
      logged in is under an id that an attacker may have planted.
    - An unknown id's cookie is left alone. Beside the request that rotates an id others are on
      their way with the old one; were their answers to remove the cookie, they would remove the
      new one, and log out who has just logged in.
    """
    if use.remaining is None or use.invalidated:
        return _start_afresh(use)
    if use.changed and use.empty:
        return Decision((Operation.DELETE,), Cookie.REMOVE)
    operations: list[Operation] = []
    if use.rotated:
        operations.append(Operation.CHANGE_ID)
    if use.changed:
        operations.append(Operation.UPDATE)
    elif use.remaining < use.ttl * use.renewal_threshold:
        operations.append(Operation.UPDATE_TTL)
    return Decision(tuple(operations), Cookie.SET if operations else Cookie.KEEP)


def _start_afresh(use: SessionUse) -> Decision:
    ended = () if use.remaining is None else (Operation.DELETE,)
    if not use.empty:
        return Decision((*ended, Operation.CREATE), Cookie.SET)
    if ended or (use.invalidated and use.presented):
        return Decision(ended, Cookie.REMOVE)
    return Decision((), Cookie.KEEP)


async def carry_out(
    decision: Decision,
    store: SessionStorageBackend,
    *,
    session_id: SessionId | None,
    record: SessionRecord,
) -> Outcome:
    """Do what was decided.

    A session that ended meanwhile (logged out, expired) is not revived: what remains of the
    decision is dropped, and the cookie is to be removed. So is a change of a session whose id
    another request rotated, but its cookie is left alone: the browser's is the new one by now,
    or will be, and a removal would take that (see ``rotation``). Deleting a session that is gone
    already is no failure.

    An extension that fails for a transient reason is logged, and is no failure either: the session
    lives on, and the next request tries again. ``DuplicateIdError`` is not caught: a generated id
    that is taken means that the machine's randomness is broken.

    Args:
        decision: What ``decide`` returned.
        store: Where the sessions are.
        session_id: The id of the session that was loaded; ``None`` where none was.
        record: The state as it is now, and the whole time to live.

    Raises:
        SerializationError: The state cannot be stored.
        DuplicateIdError: A generated id was taken.
        DatabaseError: The database failed. Of several operations the first may be committed:
            then the client's id is unknown, and the client is logged out.
    """
    try:
        for operation in decision.operations:
            session_id = await _perform(operation, store, session_id, record)
    except UnknownIdError as error:
        logger.info("a session ended while a request was using it: nothing was stored")
        return Outcome(await _cookie_of_the_lost(store, error.session_id), None)
    return Outcome(decision.cookie, session_id if decision.cookie is Cookie.SET else None)


async def _cookie_of_the_lost(store: SessionStorageBackend, session_id: SessionId) -> Cookie:
    """Return what becomes of the cookie where its session is gone."""
    try:
        return Cookie.KEEP if await was_rotated(store, session_id) else Cookie.REMOVE
    except DatabaseError:
        logger.exception("whether a session's id was rotated is not known: its cookie is kept")
        return Cookie.KEEP


async def _perform(
    operation: Operation,
    store: SessionStorageBackend,
    session_id: SessionId | None,
    record: SessionRecord,
) -> SessionId:
    """Do one operation, and return the id that the session has then."""
    if operation is Operation.CREATE:
        session_id = SessionId.generate()
        await store.create(session_id, record)
        return session_id
    assert session_id is not None, "only a session that was loaded can be changed"
    if operation is Operation.CHANGE_ID:
        return await rotate(store, session_id)
    if operation is Operation.UPDATE:
        await store.update(session_id, record)
    elif operation is Operation.UPDATE_TTL:
        await _extend(store, session_id, record.ttl)
    else:
        with suppress(UnknownIdError):
            await store.delete(session_id)
    return session_id


async def _extend(store: SessionStorageBackend, session_id: SessionId, ttl: timedelta) -> None:
    try:
        await store.update_ttl(session_id, ttl)
    except DatabaseError as error:
        if not error.transient:
            raise
        logger.warning("a session could not be extended: %s", error)
