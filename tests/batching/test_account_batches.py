"""Coalesced calls on the sessions of users: sign-ins above all, and batches that were lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.util import await_only

from sessionstore_sql import (
    ConflictError,
    DatabaseError,
    DuplicateIdError,
    SessionHandle,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.accounts.sessions import UNCHANGED
from sessionstore_sql.sql.batching import BatchingDispatcher
from sessionstore_sql.sql.dialects.with_line import WithLine
from sessionstore_sql.testing.accounts.support import handles_of, session_of, signed_in
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record
from tests.stores import executed_on

pytestmark = pytest.mark.anyio

MANY = 60
FEW = 10
"""Maximum number of statements for ``MANY`` concurrent sign-ins."""
KEY = b"a key of subjects"


def new_ids(count: int = MANY) -> list[SessionId]:
    """Return ids that have no session."""
    return [SessionId.generate() for _ in range(count)]


@pytest.mark.parametrize("begins", [True, False])
async def test_waiting_sign_ins_are_answered_by_few_statements(
    store: SQLSessionStore, *, begins: bool
) -> None:
    """Each user gets a session with a handle of its own."""
    ids = new_ids()
    if not begins:
        await asyncio.gather(*(store.create(each, record()) for each in ids))
    statements = executed_on(store.engine)

    handles = await asyncio.gather(
        *(
            store.sign_in(None if begins else each, SessionId.generate(), record(), subject=str(n))
            for n, each in enumerate(ids)
        )
    )

    assert len(statements) <= FEW
    assert [await handles_of(store, str(n)) for n in range(MANY)] == [{each} for each in handles]


@pytest.fixture
async def keyed(store: SQLSessionStore, url: URL) -> AsyncIterator[SQLSessionStore]:
    """A store that finds the plain subjects of ``store``, and writes keyed ones."""
    async with SQLSessionStore(url, subject_keys=(KEY, None), lifetime=24 * HOUR) as keyed:
        yield keyed


async def test_each_sign_in_of_a_batch_gets_its_own_result(
    store: SQLSessionStore, keyed: SQLSessionStore
) -> None:
    """What one call says of a session concerns no other session of the batch."""
    first_id, handle = await signed_in(store, "kept", about={"device": "phone"}, idle_ttl=2 * HOUR)
    same_id, same = await signed_in(store, "same", about={"device": "pc"}, idle_ttl=2 * HOUR)
    other_id, other = await signed_in(store, "other", about={"device": "tv"}, idle_ttl=2 * HOUR)
    stale_id, _ = await signed_in(store, "stale")
    stale = (await session_of(store, stale_id)).version
    await store.update(stale_id, record(newer=True))
    expired_id, _ = await signed_in(store, "expired", AT_ONCE)
    taken_id, _ = await signed_in(store, "taken")
    ids = new_ids(9)
    await store.create(ids[7], record())
    await store.create(ids[8], record())
    new = new_ids(8)

    # The first ones are sent at once, so that the others wait for each other.
    waiting = [
        keyed.sign_in(old_id, SessionId.generate(), record(), subject="first") for old_id in ids[7:]
    ]
    results: list[Any] = await asyncio.gather(
        *waiting,
        keyed.sign_in(first_id, new[0], record(n=0), subject="kept"),
        keyed.sign_in(same_id, new[1], record(n=1), subject="same", about={}, idle_ttl=None),
        keyed.sign_in(other_id, new[2], record(n=2), subject="new", lifetime=HOUR / 2),
        keyed.sign_in(stale_id, new[3], record(), subject="stale", version=stale),
        keyed.sign_in(expired_id, new[4], record(), subject="expired"),
        keyed.sign_in(ids[0], new[5], record(), subject="unknown"),
        return_exceptions=True,
    )

    kept, same_again, changed, conflict, *unknown = results[2:]
    assert (kept, same_again) == (handle, same)
    assert changed != other
    assert isinstance(conflict, ConflictError)
    assert [type(each) for each in unknown] == [type(unknown[0])] * 2
    assert isinstance(unknown[0], UnknownIdError)
    sessions = [await session_of(keyed, each) for each in new[:3]]
    assert [each.record.state for each in sessions] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [each.handle for each in sessions] == [handle, same, changed]
    assert [each.idle_ttl for each in sessions] == [2 * HOUR, None, None]
    assert [each.subject for each in sessions] == ["kept", "same", "new"]
    assert [each.ends_in is not None and each.ends_in <= HOUR / 2 for each in sessions] == [
        *(False, False, True)
    ]
    lists = [await keyed.sessions_of(subject) for subject in ("kept", "same", "new", "other")]
    assert [[each.about for each in found] for found in lists] == [
        *([{"device": "phone"}], [{}], [{}], [])
    ]
    assert await handles_of(store, "kept") == set()  # the digest is the keyed one
    assert await store.load(stale_id) is not None
    assert [await store.load(each) for each in new[3:6]] == [None] * 3
    assert await store.load(taken_id) is not None


async def test_sign_ins_that_begin_sessions_get_their_own_results(store: SQLSessionStore) -> None:
    """A live id is a duplicate, an expired row leaves nothing, and options are each call's own."""
    taken_id, taken = await signed_in(store, "taken")
    expired_id, _ = await signed_in(store, "old", AT_ONCE, about={"a": 1}, idle_ttl=2 * HOUR)
    new = new_ids(3)

    results: list[Any] = await asyncio.gather(
        *(store.sign_in(None, each, record(), subject="first") for each in new_ids(2)),
        store.sign_in(None, taken_id, record(), subject="thief"),
        store.sign_in(None, expired_id, record(n=1), subject="new"),
        store.sign_in(None, new[0], record(n=2), subject="a", about={"b": 2}, idle_ttl=HOUR),
        store.sign_in(None, new[1], record(HOUR, n=3), subject="b", lifetime=HOUR / 2),
        store.sign_in(None, new[2], record(AT_ONCE), subject="c"),
        return_exceptions=True,
    )

    assert isinstance(results[2], DuplicateIdError)
    assert await handles_of(store, "taken") == {taken}
    sessions = [await session_of(store, each) for each in (expired_id, *new[:2])]
    assert [each.handle for each in sessions] == results[3:6]
    assert [each.idle_ttl for each in sessions] == [None, HOUR, None]
    assert [each.subject for each in sessions] == ["new", "a", "b"]
    assert [each.ends_in is None for each in sessions] == [True, True, False]
    assert sessions[2].record.ttl <= HOUR / 2
    assert [(await store.sessions_of(each))[0].about for each in ("new", "a", "b")] == [
        *({}, {"b": 2}, {})
    ]
    assert isinstance(results[6], SessionHandle)
    assert await store.load(new[2]) is None


async def test_two_sign_ins_of_a_batch_onto_one_id(store: SQLSessionStore) -> None:
    """One succeeds. The other one finds the id taken, and its session is kept."""
    ids, taken = new_ids(8), SessionId.generate()
    await asyncio.gather(*(store.create(each, record()) for each in ids))

    results = await asyncio.gather(
        *(store.sign_in(each, SessionId.generate(), record(), subject="x") for each in ids[:4]),
        *(store.sign_in(each, taken, record(), subject="y") for each in ids[4:6]),
        *(store.sign_in(each, SessionId.generate(), record(), subject="x") for each in ids[6:]),
        return_exceptions=True,
    )

    errors = [each for each in results if isinstance(each, BaseException)]
    assert [isinstance(each, DuplicateIdError) for each in errors] == [True]
    assert sum([await store.load(each) is not None for each in ids]) == 1
    assert len(await store.sessions_of("x")) == 6
    assert len(await store.sessions_of("y")) == 1


async def test_large_values_of_about_need_statements_of_their_own(store: SQLSessionStore) -> None:
    """A statement stays small enough for every server."""
    about: dict[str, Any] = {"text": "x" * 100_000}

    await asyncio.gather(
        *(
            store.sign_in(None, each, record(), subject=str(number), about=about)
            for number, each in enumerate(new_ids(12))
        )
    )

    assert [(await store.sessions_of(str(number)))[0].about for number in range(12)] == [about] * 12


Call = Callable[[SQLSessionStore, SessionId, SessionId, int], Awaitable[Any]]
"""A call on a live session, a free id, and the session's version."""

CALLS: dict[str, Call] = {
    "update_if": lambda store, old, _, version: store.update_if(old, record(late=True), version),
    "replace": lambda store, old, new, _: store.replace(old, new, record(late=True)),
    "sign_in": lambda store, old, new, _: store.sign_in(
        old, new, record(late=True), subject="late", idle_ttl=UNCHANGED
    ),
    "begin": lambda store, _, new, __: store.sign_in(
        None, new, record(late=True), subject="late", about={"late": True}
    ),
}
"""By the names of their batches."""


@pytest.mark.parametrize("name", CALLS)
async def test_a_lost_batch_recognises_what_it_has_written(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Only the call that was overtaken since cannot know whether it took effect."""
    old, new = new_ids(9), new_ids(9)
    await asyncio.gather(*(store.create(each, record()) for each in old))
    versions = [(await session_of(store, each)).version for each in old]
    original: Any = getattr(store._table.batches, name)
    lost: list[bool] = []

    async def overtake() -> None:
        if not lost:
            lost.append(True)
            await beside.update((old if name == "update_if" else new)[-1], record(overtaken=True))
            raise ConnectionResetError("the answer is lost")

    async def on_line(line: Any, rows: Any) -> Any:
        done = await original.on_line(line, rows)
        await overtake()
        return done

    def on_connection(connection: Any, rows: Any) -> Any:
        done = original(connection, rows)
        await_only(overtake())
        return done

    batches: Any = SimpleNamespace(
        live=store._table.batches.live, load_session=store._table.batches.load_session
    )
    setattr(batches, name, WithLine(on_connection, on_line))
    table = replace(store._table, batches=batches)
    async with SQLSessionStore(store.engine.url) as beside:
        await beside.load(old[0])
        monkeypatch.setattr(store, "_dispatcher", BatchingDispatcher(store._pool, table))
        results = await asyncio.gather(
            *(
                CALLS[name](store, old_id, new_id, version)
                for old_id, new_id, version in zip(old, new, versions, strict=True)
            ),
            return_exceptions=True,
        )

    assert lost
    assert isinstance(results[-1], DatabaseError)
    assert results[-1].outcome_unknown
    written = old if name == "update_if" else new
    for session_id, result in zip(written[:-1], results, strict=False):
        session = await session_of(store, session_id)
        assert session.record.state == {"late": True}
        match result:
            case SessionHandle():
                assert session.handle == result
            case int():
                assert session.version == result
            case _:
                assert result is None
    assert (await session_of(store, written[-1])).record.state == {"overtaken": True}
