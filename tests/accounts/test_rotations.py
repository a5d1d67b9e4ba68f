"""No session escapes its end by moving to another place in an index while a scan waits.

Three sessions of one subject have keys that begin with 10, 50 and 90. Another transaction holds the
row 50, so a scan that has passed 10 waits there. Meanwhile the row 90 gets the key 20, which the
scan has passed. Then the row 50 is released.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
from sqlalchemy import Connection, delete, false, literal, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from sessionstore_sql import (
    AccountSession,
    SessionHandle,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.accounts.sessions import AccountReference
from sessionstore_sql.records import key_of
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.dialects.mysql import endings
from sessionstore_sql.sql.dialects.returning_endings import ReturningEndings
from sessionstore_sql.sql.operations import CHANGE_ID
from sessionstore_sql.testing.accounts.support import handles_of, new_subject, session_of, signed_in
from sessionstore_sql.testing.support import record
from tests.accounts.rows import TABLE, set_columns
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.stores import StoreMaker
from tests.faults.servers import Server

pytestmark = pytest.mark.anyio

on_servers = pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)
on_innodb = pytest.mark.parametrize(
    "target",
    [each for each in SERVER_TARGETS if each.database != "postgresql"],
    indirect=True,
    ids=str,
)


def key(first: int) -> bytes:
    """Return a key with this first byte."""
    return bytes([first]) * 32


async def three_sessions(store: SQLSessionStore, subject: str) -> list[SessionHandle]:
    """Return the handles of sessions whose keys begin with 10, 50 and 90, the oldest first."""
    handles = []
    for place, first in enumerate((10, 50, 90)):
        session_id = SessionId.generate()
        handles.append(await store.sign_in(None, session_id, record(), subject=subject))
        await set_columns(store, session_id, id=key(first), created=place)
    return handles


async def under_its_old_id(
    store: SQLSessionStore, subject: str, handle: SessionHandle
) -> AccountSession:
    """Return the session with this handle, as it was loaded before its id was rotated."""
    session_id, other = await signed_in(store, subject)
    session = await session_of(store, session_id)
    await store.revoke(subject, only=other)
    assert isinstance(session.account, AccountReference)
    account = AccountReference(session.account.digests, bytes(handle))
    return replace(session, handle=handle, account=account)


async def race(
    store: SQLSessionStore,
    make_store: StoreMaker,
    host_engine: AsyncEngine,
    server: Server,
    end: Callable[[SQLSessionStore], Awaitable[object]],
) -> None:
    """Let ``end`` wait for the row 50 while the row 90 gets the key 20."""
    rotating = await make_store()
    async with host_engine.connect() as connection:
        binary = dialect_named(connection.dialect.name).binary
        held = update(TABLE).where(TABLE.c.id == literal(key(50), binary)).values(idle_ttl=None)
        await connection.execute(held)
        ending = asyncio.ensure_future(end(store))
        await server.until_waiting(ending)
        rotation = asyncio.ensure_future(
            rotating._dispatcher.dispatch(CHANGE_ID, Row(key(90), new_key=key(20)))
        )
        # Where gaps are locked, the rotation waits, too.
        await asyncio.wait([rotation], timeout=0.3)
        await connection.rollback()
        await asyncio.gather(ending, rotation)


@contextmanager
def at_read_committed() -> Iterator[None]:
    """Take away the guard: the level of REPEATABLE READ."""
    kept = endings._LEVEL
    endings._LEVEL = "READ COMMITTED"
    try:
        yield
    finally:
        endings._LEVEL = kept


@on_servers
async def test_no_session_escapes_a_revocation(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine, server: Server
) -> None:
    """All three are gone when it returns."""
    subject = new_subject()
    await three_sessions(store, subject)

    await race(store, make_store, host_engine, server, lambda store: store.revoke(subject))

    assert await handles_of(store, subject) == set()


@on_servers
async def test_only_the_kept_session_survives(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine, server: Server
) -> None:
    """The others end, one of which moves behind the scan."""
    subject = new_subject()
    kept, *_ = await three_sessions(store, subject)

    await race(
        store, make_store, host_engine, server, lambda store: store.revoke(subject, keep=kept)
    )

    assert await handles_of(store, subject) == {kept}


@on_servers
async def test_a_limit_holds_while_sessions_move(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine, server: Server
) -> None:
    """A sign-in with a limit of one leaves one session."""
    subject = new_subject()
    await three_sessions(store, subject)
    handles = []

    async def sign_in(store: SQLSessionStore) -> None:
        new_id = SessionId.generate()
        handle = await store.sign_in(None, new_id, record(), subject=subject, max_sessions=1)
        handles.append(handle)

    await race(store, make_store, host_engine, server, sign_in)

    assert await handles_of(store, subject) == set(handles)


@on_innodb
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("call", ["revoke", "keep", "limit", "sign_out"])
async def test_a_session_escapes_only_without_the_isolation_level(  # noqa: PLR0913  # fixtures
    store: SQLSessionStore,
    make_store: StoreMaker,
    host_engine: AsyncEngine,
    server: Server,
    call: str,
    *,
    guarded: bool,
) -> None:
    """Each race is one that READ COMMITTED loses, so the tests would notice without the level."""
    subject, session_id = new_subject(), SessionId.generate()
    first, _, moved = await three_sessions(store, subject)
    last = await under_its_old_id(store, subject, moved)
    ends: dict[str, Callable[[SQLSessionStore], Awaitable[object]]] = {
        "revoke": lambda store: store.revoke(subject),
        "keep": lambda store: store.revoke(subject, keep=first),
        "limit": lambda store: store.sign_in(
            None, SessionId.generate(), record(), subject=subject, max_sessions=1
        ),
        "sign_out": lambda store: store.sign_out(session_id, last),
    }

    with nullcontext() if guarded else at_read_committed():
        await race(store, make_store, host_engine, server, ends[call])

    assert (moved in await handles_of(store, subject)) is not guarded


@pytest.mark.parametrize(
    "target",
    [each for each in SERVER_TARGETS if each.database == "postgresql"],
    indirect=True,
    ids=str,
)
@pytest.mark.parametrize("guarded", [True, False])
async def test_a_session_escapes_a_statement_that_looks_for_ids(
    store: SQLSessionStore,
    host_engine: AsyncEngine,
    server: Server,
    *,
    guarded: bool,
) -> None:
    """On PostgreSQL, it is the condition on the subject that finds a session by its new id."""
    subject, new_id = new_subject(), SessionId.generate()
    session_id, handle = await signed_in(store, subject)

    with pytest.MonkeyPatch.context() as patch:
        if not guarded:
            patch.setattr(ReturningEndings, "_all", ReturningEndings._part)
            patch.setattr(ReturningEndings, "_part", lambda *_: delete(TABLE).where(false()))
        async with host_engine.connect() as connection:
            await store.bind(connection).change_id(session_id, new_id)
            task = asyncio.ensure_future(store.revoke(subject))
            await server.until_waiting(task)
            await connection.commit()
            await task

    assert await handles_of(store, subject) == (set() if guarded else {handle})


@on_servers
async def test_a_session_is_signed_out_under_the_id_that_it_gets_meanwhile(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine, server: Server
) -> None:
    """The rotation has not been committed when the sign-out begins."""
    subject, session_id, new_id = new_subject(), SessionId.generate(), SessionId.generate()
    await store.sign_in(None, session_id, record(), subject=subject)
    loaded = await session_of(store, session_id)

    async with host_engine.connect() as connection:
        await store.bind(connection).change_id(session_id, new_id)
        ending = asyncio.ensure_future(store.sign_out(session_id, loaded))
        await server.until_waiting(ending)
        await connection.commit()
        await ending

    assert await handles_of(store, subject) == set()
    assert await store.load(new_id) is None


@on_servers
@pytest.mark.parametrize("call", ["revoke", "only", "keep", "limit"])
async def test_a_session_ends_whose_rotation_is_committed_after_the_scan(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, call: str
) -> None:
    """A statement that finds it by its id would no longer match, and no later one looks again."""
    subject = new_subject()
    session_id, handle = await signed_in(store, subject)
    kept_id, kept = await signed_in(store, subject)
    newest, new_id, new_kept_id = [SessionId.generate() for _ in range(3)]
    await set_columns(store, session_id, created=1)

    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        await bound.change_id(session_id, new_id)
        await bound.change_id(kept_id, new_kept_id)
        ending: Awaitable[object]
        match call:
            case "revoke":
                ending, left = store.revoke(subject), set[SessionHandle]()
            case "only":
                ending, left = store.revoke(subject, only=handle), {kept}
            case "keep":
                ending, left = store.revoke(subject, keep=kept), {kept}
            case _:
                ending = store.sign_in(None, newest, record(), subject=subject, max_sessions=2)
                left = {kept}
        task = asyncio.ensure_future(ending)
        await server.until_waiting(task)
        await connection.commit()
        await task

    assert await handles_of(store, subject) - {task.result()} == left
    assert await store.load(new_id) is None


@on_servers
async def test_a_logout_at_the_deadline_cannot_be_undone(
    store: SQLSessionStore, make_store: StoreMaker, host_engine: AsyncEngine
) -> None:
    """An extension that is committed between the statements of a delete is removed, too."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    await set_columns(store, session_id, deadline=1)
    other = await make_store()
    discard = other._table.statements.discard_expired
    counted = type(discard).count

    async def extended() -> None:
        await set_columns(store, session_id, deadline_in=3_600_000_000)

    def extend_first(statement: object, connection: Connection, bound: object) -> int:
        if statement is discard:
            await_only(extended())
        return counted(statement, connection, bound)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(discard), "count", extend_first)
        with pytest.raises(UnknownIdError):
            await other.delete(session_id)

    assert await store.load(session_id) is None
    async with host_engine.connect() as connection:
        binary = dialect_named(connection.dialect.name).binary
        row = select(TABLE.c.id).where(TABLE.c.id == literal(key_of(session_id), binary))
        assert (await connection.execute(row)).all() == []
