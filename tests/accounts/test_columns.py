"""What the operations write to the columns of account sessions, one by one and in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from sqlalchemy import URL

from sessionstore_sql import (
    ConflictError,
    DuplicateIdError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.schema import SUBJECT_BYTES
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record
from tests.accounts.rows import columns_of, set_columns

pytestmark = pytest.mark.anyio

MANY = 40
SECOND = 1_000_000
MICROSECONDS = 3_600 * SECOND

ACCOUNT = {
    "subject": b"s" * SUBJECT_BYTES,
    "handle": b"h" * HANDLE_BYTES,
    "authenticated": 1,
    "idle_ttl": 2,
    "about": b"{}",
}

one_or_many = pytest.mark.parametrize("count", [1, MANY])


@pytest.fixture
async def bounded(store: SQLSessionStore, url: URL) -> AsyncIterator[SQLSessionStore]:
    """A store whose sessions last an hour at most."""
    async with SQLSessionStore(url, lifetime=HOUR) as bounded:
        yield bounded


async def created(store: SQLSessionStore, count: int, ttl: object = HOUR) -> list[SessionId]:
    """Return the ids of new sessions."""
    ids = [SessionId.generate() for _ in range(count)]
    await asyncio.gather(*(store.create(each, SessionRecord({}, ttl)) for each in ids))  # type: ignore[arg-type]
    return ids


@one_or_many
async def test_create_writes_times_and_version(store: SQLSessionStore, count: int) -> None:
    """The session is anonymous, and has no end."""
    for session_id in await created(store, count):
        row = await columns_of(store, session_id)

        assert row.created == row.seen == row.deadline - MICROSECONDS
        assert row.version
        assert row.subject is row.handle is row.authenticated is row.about is None
        assert row.final_deadline is row.idle_ttl is None


@one_or_many
async def test_create_begins_the_lifetime(bounded: SQLSessionStore, count: int) -> None:
    """By the same clock, so the deadline is not later by a microsecond."""
    for session_id in await created(bounded, count, 2 * HOUR):
        row = await columns_of(bounded, session_id)

        assert row.created is not None
        assert row.final_deadline == row.deadline == row.created + MICROSECONDS


@one_or_many
async def test_an_expired_row_leaves_nothing_to_its_successor(
    store: SQLSessionStore, count: int
) -> None:
    """Neither its user nor its lifetime."""
    ids = await created(store, count)
    for session_id in ids:
        await set_columns(
            store, session_id, **ACCOUNT, version=1, final_deadline_in=-1, deadline_in=-1
        )

    await asyncio.gather(*(store.create(each, record()) for each in ids))

    for session_id in ids:
        row = await columns_of(store, session_id)
        assert row.subject is row.handle is row.authenticated is row.about is None
        assert row.final_deadline is row.idle_ttl is None
        assert row.version != 1
        assert row.created == row.seen


@one_or_many
@pytest.mark.parametrize("write", ["update", "update_ttl", "update_if"])
async def test_no_write_passes_the_end_of_the_lifetime(
    store: SQLSessionStore, count: int, write: str
) -> None:
    """The deadline is the earlier one, and everything else about the user stays."""
    ids = await created(store, count)
    for session_id in ids:
        await set_columns(
            store, session_id, **ACCOUNT, version=1, final_deadline_in=9 * SECOND, seen=0
        )

    match write:
        case "update":
            calls = [store.update(each, record()) for each in ids]
        case "update_ttl":
            calls = [store.update_ttl(each, HOUR) for each in ids]
        case _:
            calls = [store.update_if(each, record(), 1) for each in ids]  # type: ignore[misc]
    await asyncio.gather(*calls)

    for session_id in ids:
        row = await columns_of(store, session_id)
        assert row.deadline == row.final_deadline
        assert row.seen
        assert (row.version == 1) is (write == "update_ttl")
        assert {name: getattr(row, name) for name in ACCOUNT} == ACCOUNT


@one_or_many
async def test_sessions_are_loaded_with_all_columns(store: SQLSessionStore, count: int) -> None:
    """One by one and in batches: anonymous, signed in, and written before the columns existed."""
    anonymous, users, old = [await created(store, count) for _ in range(3)]
    for session_id in users:
        await set_columns(store, session_id, **ACCOUNT, final_deadline_in=9 * SECOND)
    for session_id in old:
        await set_columns(store, session_id, created=None, seen=None, version=None)
    gone = SessionId.generate()

    *loaded, nothing = await asyncio.gather(
        *(store.load_session(each) for each in (*anonymous, *users, *old, gone))
    )

    assert nothing is None
    for place, session in enumerate(loaded):
        assert session is not None
        assert session.record.state == {}
        is_user = place // count == 1
        assert (session.handle is not None) is is_user
        assert (session.version == 0) is (place // count == 2)
        if is_user:
            assert bytes(session.handle or b"") == ACCOUNT["handle"]
            assert session.ends_in is not None
            assert session.ends_in <= HOUR
            assert session.authenticated_ago is not None
            assert session.authenticated_ago > HOUR
            assert session.idle_ttl is not None
        else:
            assert session.ends_in is session.authenticated_ago is session.idle_ttl is None


async def test_conflicts_among_many_updates_reach_their_callers(store: SQLSessionStore) -> None:
    """Sessions that were changed meanwhile, unknown ones and others, all at once."""
    ids = await created(store, MANY)
    versions = [session.version for each in ids if (session := await store.load_session(each))]
    for session_id in ids[::4]:
        await store.update(session_id, record(first=True))
    for session_id in ids[1::4]:
        await store.delete(session_id)

    results = await asyncio.gather(
        *(
            store.update_if(session_id, record(second=True), version, idle_ttl=HOUR)
            for session_id, version in zip(ids, versions, strict=True)
        ),
        return_exceptions=True,
    )

    for place, (session_id, result) in enumerate(zip(ids, results, strict=True)):
        session = await store.load_session(session_id)
        match place % 4:
            case 0:
                assert isinstance(result, ConflictError)
                assert session is not None
                assert session.record.state == {"first": True}
                assert session.idle_ttl is None
            case 1:
                assert isinstance(result, UnknownIdError)
                assert session is None
            case _:
                assert session is not None
                assert session.version == result
                assert session.record.state == {"second": True}
                assert session.idle_ttl == HOUR


@pytest.mark.parametrize("move", ["change_id", "replace", "replace with a version"])
async def test_many_sessions_get_new_ids_at_once(store: SQLSessionStore, move: str) -> None:
    """All that can; the others are told that an id is unknown or taken, or of a conflict."""
    ids, taken = await created(store, MANY), SessionId.generate()
    await store.create(taken, record(taken=True))
    await asyncio.gather(*(set_columns(store, each, **ACCOUNT, created=7) for each in ids))
    versions = [session.version for each in ids if (session := await store.load_session(each))]
    for session_id in ids[1::4]:
        await store.delete(session_id)
    new_ids = [taken if place % 4 == 2 else SessionId.generate() for place in range(MANY)]
    conflicting = ids[3] if move == "replace with a version" else None
    if conflicting is not None:
        await store.update(conflicting, record(first=True))

    def call(place: int) -> Awaitable[None]:
        if move == "change_id":
            return store.change_id(ids[place], new_ids[place])
        version = versions[place] if move == "replace with a version" else None
        return store.replace(ids[place], new_ids[place], record(new=place), version=version)

    results = await asyncio.gather(*map(call, range(MANY)), return_exceptions=True)

    for place, (old_id, new_id, result) in enumerate(zip(ids, new_ids, results, strict=True)):
        old, new = await store.load(old_id), await store.load(new_id)
        if old_id == conflicting:
            assert isinstance(result, ConflictError)
            assert (old is not None, new is None) == (True, True)
        elif place % 4 == 1:
            assert isinstance(result, UnknownIdError)
            assert (old, new) == (None, None)
        elif place % 4 == 2:
            assert isinstance(result, DuplicateIdError)
            assert old is not None
            assert new is not None
            assert new.state == {"taken": True}
        else:
            assert result is None
            assert old is None
            assert new is not None
            assert new.state == ({} if move == "change_id" else {"new": place})
            row = await columns_of(store, new_id)
            assert (row.created, row.subject) == (7, ACCOUNT["subject"])
            assert (row.version == versions[place]) is (move == "change_id")


@pytest.mark.parametrize("move", ["change_id", "replace", "sign_in"])
async def test_an_unknown_and_a_live_session_are_moved_to_one_id(
    store: SQLSessionStore, move: str
) -> None:
    """The call for the unknown one does not succeed in place of the other."""
    live, new_ids = await created(store, MANY), [SessionId.generate() for _ in range(MANY)]

    def call(old_id: SessionId, new_id: SessionId) -> Awaitable[object]:
        match move:
            case "change_id":
                return store.change_id(old_id, new_id)
            case "replace":
                return store.replace(old_id, new_id, record())
            case _:
                return store.sign_in(old_id, new_id, record(), subject="ada")

    calls = [
        call(old_id, new_id)
        for place, new_id in enumerate(new_ids)
        for old_id in (
            [live[place], SessionId.generate()]
            if place % 2
            else [SessionId.generate(), live[place]]
        )
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)

    unknown = [isinstance(each, UnknownIdError) for each in results]
    assert unknown == [place % 4 in {0, 3} for place in range(2 * MANY)]
    assert all([await store.load(new_id) for new_id in new_ids])


@one_or_many
async def test_a_deleted_session_cannot_be_extended_by_a_call_that_waits(
    store: SQLSessionStore, count: int
) -> None:
    """A delete that finds its session expired removes the row all the same."""
    ids = await created(store, count, AT_ONCE)

    results = await asyncio.gather(*(store.delete(each) for each in ids), return_exceptions=True)

    assert all(isinstance(each, UnknownIdError) for each in results)
    assert await store.count_expired() == 0
