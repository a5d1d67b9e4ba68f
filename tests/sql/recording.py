"""Runs each operation on a database, and records the statements that the database receives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import AccountSession, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.errors import ConflictError, DuplicateIdError, UnknownIdError
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.base import Batches, Row
from sessionstore_sql.sql.dialects.signing_in import SignInRow
from sessionstore_sql.statistics import collect_activity, collect_statistics
from tests.stores import empty, executed_on

HOUR = timedelta(hours=1)
LIVE, OTHER, EXPIRED, NEW, USERS = (
    SessionId(name) for name in ("live", "other", "expired", "new", "users")
)
RECORD = SessionRecord({"user": 1}, HOUR)


@dataclass(frozen=True)
class Recorded:
    """The statements of one call, in their order."""

    title: str
    statements: list[str]


async def recorded(url: URL) -> list[Recorded]:
    """Return the statements of every operation, each on a table with the same sessions."""
    return [each async for each in _recorded(url)]


async def _recorded(url: URL) -> AsyncIterator[Recorded]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SQLSessionStore(url))
        watched = await stack.enter_async_context(SQLSessionStore(url))
        executed = executed_on(watched.engine)
        for title, call in {**_calls(watched), **_account_calls(watched, store)}.items():
            await empty(store)
            await store.create(LIVE, RECORD)
            await store.create(OTHER, RECORD)
            await store.create(EXPIRED, SessionRecord({}, timedelta(0)))
            handle = await store.sign_in(None, USERS, RECORD, subject="alice")
            assert handle
            executed.clear()
            with suppress(ConflictError, DuplicateIdError, UnknownIdError):
                await call()
            yield Recorded(title, list(executed))


def _calls(store: SQLSessionStore) -> dict[str, Callable[[], Any]]:
    dialect = dialect_named(store.engine.dialect.name)
    batches = dialect.batches(session_table())
    return {
        "load": lambda: store.load(LIVE),
        "create": lambda: store.create(NEW, RECORD),
        "create, if an expired session has the id": lambda: store.create(EXPIRED, RECORD),
        "create, if a live session has the id": lambda: store.create(LIVE, RECORD),
        "update": lambda: store.update(LIVE, RECORD),
        "update_ttl": lambda: store.update_ttl(LIVE, HOUR),
        "delete": lambda: store.delete(LIVE),
        "delete, if the session is expired": lambda: store.delete(EXPIRED),
        "change_id": lambda: store.change_id(LIVE, NEW),
        "change_id, if an expired session has the new id": lambda: store.change_id(LIVE, EXPIRED),
        "change_id, if a live session has the new id": lambda: store.change_id(LIVE, OTHER),
        "change_id to the same id": lambda: store.change_id(LIVE, LIVE),
        "delete_expired": lambda: store.delete_expired(1000),
        "delete_expired_exclusively": lambda: store.delete_expired_exclusively(1000),
        "count_expired": store.count_expired,
        **{
            f"{_METHODS.get(name, name)} of two sessions in one batch": _batch(
                store.engine, batches, name, given
            )
            for name, given in _BATCHES.items()
        },
        "collect_statistics": lambda: collect_statistics(store.engine),
        "collect_activity": lambda: collect_activity(store.engine),
    }


def _account_calls(store: SQLSessionStore, beside: SQLSessionStore) -> dict[str, Callable[[], Any]]:
    """Return calls of ``store``. What they need to know, they ask the store ``beside``."""

    async def users() -> AccountSession:
        session = await beside.load_session(USERS)
        assert session is not None
        return session

    async def update_if() -> None:
        await store.update_if(USERS, RECORD, (await users()).version)

    async def sign_out(*, rotated: bool = False) -> None:
        session = await users()
        if rotated:
            await beside.change_id(USERS, NEW)
        await store.sign_out(USERS, session)

    async def revoke(name: str) -> None:
        await store.revoke("alice", **{name: (await users()).handle})

    async def no_sessions() -> None:
        await beside.revoke("alice")
        await store.revoke("alice")

    return {
        "load_session": lambda: store.load_session(USERS),
        "update_if": update_if,
        "update_if, if another state was stored": lambda: store.update_if(LIVE, RECORD, 1),
        "replace": lambda: store.replace(LIVE, NEW, RECORD),
        "replace, if a live session has the new id": lambda: store.replace(LIVE, OTHER, RECORD),
        "replace by the same id": lambda: store.replace(LIVE, LIVE, RECORD),
        "sign_in without a session": lambda: store.sign_in(None, NEW, RECORD, subject="bob"),
        "sign_in without a session, if an expired session has the id": lambda: store.sign_in(
            None, EXPIRED, RECORD, subject="bob"
        ),
        "sign_in from a session": lambda: store.sign_in(LIVE, NEW, RECORD, subject="bob"),
        "sign_in to the same id": lambda: store.sign_in(LIVE, LIVE, RECORD, subject="bob"),
        "sign_in with a limit": lambda: store.sign_in(
            None, NEW, RECORD, subject="alice", max_sessions=1
        ),
        "sessions_of": lambda: store.sessions_of("alice"),
        "revoke": lambda: store.revoke("alice"),
        "revoke, if there is no session": no_sessions,
        "revoke only one": partial(revoke, "only"),
        "revoke all but one": partial(revoke, "keep"),
        "sign_out": sign_out,
        "sign_out of a session that was rotated": partial(sign_out, rotated=True),
    }


def _sign_in(session_id: SessionId, new_id: SessionId, name: str) -> SignInRow:
    """Return the row of a sign-in. Handles and subjects differ, as they always do."""
    return SignInRow(
        key=key_of(session_id),
        new_key=key_of(new_id),
        ttl=3_600_000_000,
        state=f'"{name}"'.encode(),
        version=len(name),
        digests=(key_of(SessionId(name)),),
        handle=key_of(SessionId(name))[:HANDLE_BYTES],
        about=name.encode(),
    )


def _row(session_id: SessionId, state: bytes = b"") -> Row:
    return Row(key_of(session_id), 3_600_000_000, state)


def _moved(session_id: SessionId, new_id: str, state: bytes = b"") -> Row:
    row = _row(session_id, state)
    row.new_key = key_of(SessionId(new_id))
    return row


_BATCHES: dict[str, list[Any]] = {
    "load": [key_of(LIVE), key_of(OTHER)],
    "load_session": [key_of(LIVE), key_of(USERS)],
    "live": [key_of(LIVE), key_of(OTHER)],
    "create": [_row(NEW, b"{}"), _row(SessionId("newer"), b"{}")],
    "update": [_row(LIVE, b"{}"), _row(OTHER, b"[]")],
    "update_if": [_row(LIVE, b"{}"), _row(OTHER, b"[]")],
    "change_id": [_moved(LIVE, "1"), _moved(OTHER, "2")],
    "begin": [_sign_in(NEW, NEW, "bob"), _sign_in(SessionId("newer"), SessionId("newer"), "carol")],
    "sign_in": [_sign_in(LIVE, NEW, "bob"), _sign_in(OTHER, SessionId("newer"), "carol")],
    "replace": [_moved(LIVE, "1", b"{}"), _moved(OTHER, "2", b"[]")],
    "update_ttl": [_row(LIVE), _row(OTHER)],
    "delete": [_row(LIVE), _row(OTHER)],
}
"""For each operation on many sessions, what it is given."""

_METHODS = {"begin": "sign_in without a session,"}
"""What operations on many sessions do if it is not what their names say."""


def _batch(engine: AsyncEngine, batches: Batches, name: str, given: list[Any]) -> Any:
    def run(connection: Connection) -> None:
        list(getattr(batches, name)(connection, given))

    async def call() -> None:
        async with engine.connect() as connection:
            await connection.run_sync(run)

    return call
