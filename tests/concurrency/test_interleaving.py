"""What a rival does between two statements of one call never shows in what the call returns."""

from __future__ import annotations

import pytest

from sessionstore_sql import DuplicateIdError, SessionId, SQLSessionStore, UnknownIdError
from tests.concurrency.interleaving import before_statement
from tests.concurrency.processes import outcome
from tests.concurrency.rows import back_date, row_count
from tests.concurrency.stores import AT_ONCE, StoreMaker, record

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("statement", range(4))]


async def test_a_rival_creates_first(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create over an expired row finds the rival's session live, or comes before it."""
    rival, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(AT_ONCE))
    results = []

    async def create() -> None:
        results.append(await outcome(rival.create(session_id, record(by="rival"))))

    with before_statement(statement, store, create):
        ours = await outcome(store.create(session_id, record(by="us")))

    loaded = await store.load(session_id)
    assert loaded is not None
    if results == [None]:
        assert isinstance(ours, DuplicateIdError)
        assert loaded.state == {"by": "rival"}
    else:
        assert ours is None
        assert loaded.state == {"by": "us"}


async def test_the_expired_row_vanishes_from_under_a_create(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create succeeds whether the expired row is purged before, between or after."""
    rival, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(AT_ONCE))

    with before_statement(statement, store, rival.delete_expired):
        await store.create(session_id, record(by="us"))

    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"by": "us"}


async def test_the_live_session_vanishes_from_under_a_create(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A create on a live id that is deleted meanwhile succeeds or was a duplicate before."""
    rival, session_id = await make_store(), SessionId.generate()
    await store.create(session_id, record(by="before"))

    async def delete() -> None:
        await outcome(rival.delete(session_id))

    with before_statement(statement, store, delete):
        ours = await outcome(store.create(session_id, record(by="us")))

    loaded = await store.load(session_id)
    if ours is None:
        assert loaded is not None
        assert loaded.state == {"by": "us"}
    else:
        assert isinstance(ours, DuplicateIdError)
        assert loaded is None or loaded.state == {"by": "before"}


async def test_a_rival_takes_the_new_id_of_a_rotation(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A rotation onto an expired row finds the rival's session live, or comes before it."""
    rival = await make_store()
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record(by="us"))
    await store.create(new_id, record(AT_ONCE))
    results = []

    async def create() -> None:
        results.append(await outcome(rival.create(new_id, record(by="rival"))))

    with before_statement(statement, store, create):
        ours = await outcome(store.change_id(old_id, new_id))

    loaded, left = await store.load(new_id), await store.load(old_id)
    assert loaded is not None
    if results == [None]:
        assert isinstance(ours, DuplicateIdError)
        assert loaded.state == {"by": "rival"}
        assert left is not None
        assert left.state == {"by": "us"}
    else:
        assert ours is None
        assert loaded.state == {"by": "us"}
        assert left is None


async def test_the_rotated_session_is_deleted_meanwhile(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """A rotation of a session that a rival deletes rotates it before or finds it unknown."""
    rival = await make_store()
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record())
    await store.create(new_id, record(AT_ONCE))
    results = []

    async def delete() -> None:
        results.append(await outcome(rival.delete(old_id)))

    with before_statement(statement, store, delete):
        ours = await outcome(store.change_id(old_id, new_id))

    assert await store.load(old_id) is None
    if results == [None]:
        assert isinstance(ours, UnknownIdError)
        assert await store.load(new_id) is None
    else:
        assert ours is None
        assert await store.load(new_id) is not None


async def test_an_expired_session_is_replaced_while_it_is_purged(
    store: SQLSessionStore, make_store: StoreMaker, statement: int
) -> None:
    """What a purge chose and a rival replaced with a live session stays; the rest goes."""
    rival = await make_store()
    replaced, others = SessionId.generate(), [SessionId.generate() for _ in range(3)]
    for session_id in (replaced, *others):
        await store.create(session_id, record())
    await back_date(store.engine, [replaced, *others])

    created = []

    async def create() -> None:
        await rival.create(replaced, record(by="rival"))
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
    """Two purges at once count every session once between them."""
    rival = await make_store()
    for _ in range(6):
        await store.create(SessionId.generate(), record(AT_ONCE))
    counts = []

    async def purge() -> None:
        counts.append(await rival.delete_expired(batch_size=3))

    with before_statement(statement, store, purge):
        counts.append(await store.delete_expired(batch_size=3))

    assert sum(counts) == 6 - await row_count(store.engine)
    assert max(counts) == 3
