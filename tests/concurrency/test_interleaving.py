"""A concurrent call between two statements of a call never leads to a wrong result."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta

import pytest

from sessionstore_sql import DuplicateIdError, SessionId, SQLSessionStore, UnknownIdError
from tests.concurrency.interleaving import before_statement
from tests.concurrency.processes import outcome
from tests.concurrency.rows import back_date, row_count
from tests.concurrency.stores import AT_ONCE, StoreMaker, record

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("statement", range(4))]


async def test_another_call_creates_first(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create over an expired row succeeds, or finds the session of the other call live."""
    other, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(AT_ONCE))
    results = []

    async def create() -> None:
        results.append(await outcome(other.create(session_id, record(by="other"))))

    with before_statement(statement, store, create):
        ours = await outcome(store.create(session_id, record(by="us")))

    loaded = await store.load(session_id)
    assert loaded is not None
    if results == [None]:
        assert isinstance(ours, DuplicateIdError)
        assert loaded.state == {"by": "other"}
    else:
        assert ours is None
        assert loaded.state == {"by": "us"}


async def test_the_expired_row_vanishes_from_under_a_create(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create succeeds even if the expired row is purged between its statements."""
    other, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(AT_ONCE))

    with before_statement(statement, store, other.delete_expired):
        await store.create(session_id, record(by="us"))

    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"by": "us"}


async def test_the_live_session_vanishes_from_under_a_create(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create of an id that is deleted at the same time succeeds or reports a duplicate."""
    other, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(by="before"))

    async def delete() -> None:
        await outcome(other.delete(session_id))

    with before_statement(statement, store, delete):
        ours = await outcome(store.create(session_id, record(by="us")))

    loaded = await store.load(session_id)
    if ours is None:
        assert loaded is not None
        assert loaded.state == {"by": "us"}
    else:
        assert isinstance(ours, DuplicateIdError)
        assert loaded is None or loaded.state == {"by": "before"}


async def test_another_call_takes_the_new_id_of_a_rotation(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A rotation to an expired row succeeds, or finds the session of the other call live."""
    other = await make_store()
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record(by="us"))
    await store.create(new_id, record(AT_ONCE))
    results = []

    async def create() -> None:
        results.append(await outcome(other.create(new_id, record(by="other"))))

    with before_statement(statement, store, create):
        ours = await outcome(store.change_id(old_id, new_id))

    loaded, left = await store.load(new_id), await store.load(old_id)
    assert loaded is not None
    if results == [None]:
        assert isinstance(ours, DuplicateIdError)
        assert loaded.state == {"by": "other"}
        assert left is not None
        assert left.state == {"by": "us"}
    else:
        assert ours is None
        assert loaded.state == {"by": "us"}
        assert left is None


async def test_the_rotated_session_is_deleted_meanwhile(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A rotation of a session that is deleted succeeds, or finds the session unknown."""
    other = await make_store()
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record())
    await store.create(new_id, record(AT_ONCE))
    results = []

    async def delete() -> None:
        results.append(await outcome(other.delete(old_id)))

    with before_statement(statement, store, delete):
        ours = await outcome(store.change_id(old_id, new_id))

    assert await store.load(old_id) is None
    if results == [None]:
        assert isinstance(ours, UnknownIdError)
        assert await store.load(new_id) is None
    else:
        assert ours is None
        assert await store.load(new_id) is not None


@pytest.mark.parametrize("ttl", [None, AT_ONCE])
async def test_a_session_is_created_while_its_id_is_deleted(
    store: SQLSessionStore, make_store: StoreMaker, statement: int, ttl: timedelta | None
) -> None:
    """The new session is deleted by a call that succeeds, or it is still there."""
    other, session_id = await make_store(), SessionId.generate()
    if ttl is not None:
        await store.create(session_id, record(ttl))
    results = []

    async def create() -> None:
        results.append(await outcome(other.create(session_id, record())))

    with before_statement(statement, store, create):
        ours = await outcome(store.delete(session_id))

    is_gone = await store.load(session_id) is None
    assert ours is None or isinstance(ours, UnknownIdError)
    assert (ours is None) is (results == [None] and is_gone)


@pytest.mark.parametrize("call", ["sign_in", "replace"])
async def test_the_session_to_move_is_created_meanwhile(
    store: SQLSessionStore, make_store: StoreMaker, statement: int, call: str
) -> None:
    """It is moved, or its id was unknown. No conflict is reported to a call that expects none."""
    other = await make_store()
    old_id, new_id = SessionId.generate(), SessionId.generate()

    with before_statement(statement, store, lambda: other.create(old_id, record())):
        if call == "sign_in":
            moving: Awaitable[object] = store.sign_in(old_id, new_id, record(), subject="ada")
        else:
            moving = store.replace(old_id, new_id, record())
        ours = await outcome(moving)

    assert isinstance(ours, UnknownIdError) is (await store.load(new_id) is None)


async def test_an_expired_session_is_replaced_while_it_is_purged(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A row that a purge has chosen is kept if it is replaced by a live session."""
    other = await make_store()
    replaced, others = SessionId.generate(), [SessionId.generate() for _ in range(3)]
    for session_id in (replaced, *others):
        await store.create(session_id, record())
    await back_date(store.engine, [replaced, *others])

    created = []

    async def create() -> None:
        await other.create(replaced, record(by="other"))
        created.append(replaced)

    with before_statement(statement, store, create):
        count = await store.delete_expired(batch_size=10)

    assert count in {3, 4}
    assert count == 4 or created
    assert await row_count(store.engine) == len(created)
    assert (await store.load(replaced) is not None) == bool(created)


async def test_what_another_purge_took_is_not_counted(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """Two concurrent purges count every session once."""
    other = await make_store()
    for _ in range(6):
        await store.create(SessionId.generate(), record(AT_ONCE))
    counts = []

    async def purge() -> None:
        counts.append(await other.delete_expired(batch_size=3))

    with before_statement(statement, store, purge):
        counts.append(await store.delete_expired(batch_size=3))

    assert sum(counts) == 6 - await row_count(store.engine)
    assert max(counts) == 3
