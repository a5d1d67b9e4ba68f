"""Which session a request gets, by what it presents."""

from __future__ import annotations

import pytest

from sessionstore_sql import (
    DeserializationError,
    LoadSessionError,
    SessionId,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.sessions import Sessions
from tests.leaks import logged
from tests.web.stores import ScriptedStore, begin, presenting, state_of, stored

pytestmark = pytest.mark.anyio

REMOVE = Cookie.REMOVE


async def test_a_live_session_is_found(store: ScriptedStore) -> None:
    """With its state, in one statement."""
    session_id = await stored(store, {"count": 1})
    store.script.calls.clear()
    session, state = await begin(Sessions(store), session_id)

    assert (session.session_id, state) == (session_id, {"count": 1})
    assert store.script.calls == ["load_session"]


async def test_without_a_session_the_state_is_empty(store: ScriptedStore) -> None:
    """Nothing was presented, or an unknown id."""
    for session_id in (None, SessionId.generate()):
        session, state = await begin(Sessions(store), session_id)
        assert (session.session_id, session.handle, state) == (None, None, {})


async def test_of_several_ids_the_live_one_counts(store: ScriptedStore) -> None:
    """The others belong to cookies of another domain or path that are left over."""
    session_id = await stored(store, {"count": 1})
    presented = presenting(SessionId.generate(), session_id, SessionId.generate())

    with logged() as log:
        session = await Sessions(store).begin(presented)

    assert session.session_id == session_id
    assert log.records == []


@pytest.mark.parametrize("live", [0, 2])
async def test_several_ids_are_ambiguous(store: ScriptedStore, live: int) -> None:
    """If not exactly one is live, none is used, and a warning names the cookie, once a minute."""
    sessions = Sessions(store, name="sid")
    ids = [await stored(store, {"count": 1}) for _ in range(live)]
    ids += [SessionId.generate() for _ in range(2 - live)]

    with logged() as log:
        for _ in range(3):
            session = await sessions.begin(presenting(*ids))
            assert session.session_id is None

    (record,) = log.records
    assert "sid" in record.getMessage()
    assert not any(each.value in log.text for each in ids)


async def test_a_flood_of_ids_is_not_looked_up(store: ScriptedStore) -> None:
    """An attacker cannot make one request cost many statements."""
    session = await Sessions(store).begin(presenting(*(SessionId(f"id{n}") for n in range(50))))

    assert session.session_id is None
    assert store.script.calls == []


async def test_an_unreadable_session_is_an_unknown_one(store: ScriptedStore) -> None:
    """It is logged and kept, and what is stored next gets a new id."""
    session_id = await stored(store, {"count": 1})
    store.script.before["load_session"] = [_unreadable]

    with logged() as log:
        session, state = await begin(Sessions(store), session_id)
    outcome = await session.finish({"count": 2})

    assert state == {}
    assert outcome.session_id not in {None, session_id}
    assert await state_of(store, session_id) == {"count": 1}
    assert "cannot be decoded" in log.text


async def _unreadable() -> None:
    raise for_operation(LoadSessionError, DeserializationError("not JSON"))


async def test_an_unreadable_session_can_be_ended(store: ScriptedStore) -> None:
    """A logout deletes it, although nothing of it can be read."""
    session_id = await stored(store, {"count": 1})
    store.script.before["load_session"] = [_unreadable]
    session, _ = await begin(Sessions(store), session_id)

    session.invalidate()
    outcome = await session.finish({})

    assert outcome.cookie is REMOVE
    assert await state_of(store, session_id) is None
