"""Changes that two requests make to one session."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    ConflictError,
    SerializationError,
    SessionId,
    SessionRecord,
)
from sessionstore_sql.web.counters import counters
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.leaks import logged
from tests.web.stores import (
    ScriptedStore,
    begin,
    change,
    signed_in,
    state_of,
    stored,
)

pytestmark = pytest.mark.anyio

KEEP, REMOVE = Cookie.KEEP, Cookie.REMOVE


async def test_changes_of_different_keys_are_merged(store: ScriptedStore) -> None:
    """Each request stores its own keys."""
    session_id = await stored(store, {"a": 0, "b": 0})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, b=1)

    await session.finish({**state, "a": 1})

    assert await state_of(store, session_id) == {"a": 1, "b": 1}


async def test_a_deleted_key_stays_deleted(store: ScriptedStore) -> None:
    """A logout that deletes the user is not undone by a request that counts visits."""
    session_id = await stored(store, {"user": "ada", "visits": 1})
    slow, slow_state = await begin(Sessions(store), session_id)
    logout, logout_state = await begin(Sessions(store), session_id)
    del logout_state["user"]
    await logout.finish(logout_state)

    await slow.finish({**slow_state, "visits": 2})

    assert await state_of(store, session_id) == {"visits": 2}


async def test_a_deletion_is_put_onto_the_newer_state(store: ScriptedStore) -> None:
    """The slow request deletes its key, and keeps the other request's."""
    session_id = await stored(store, {"a": 0, "b": 0})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, b=1)
    del state["a"]

    await session.finish(state)

    assert await state_of(store, session_id) == {"b": 1}


async def test_a_change_inside_of_a_value_is_a_change_of_its_key(store: ScriptedStore) -> None:
    """Also one that equality does not see."""
    session_id = await stored(store, {"a": {"flag": 1}, "b": 0})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, b=1)
    state["a"]["flag"] = True

    await session.finish(state)

    assert await state_of(store, session_id) == {"a": {"flag": True}, "b": 1}


async def test_of_two_changes_of_one_key_the_later_one_stays(store: ScriptedStore) -> None:
    """Within one key, nothing is merged."""
    session_id = await stored(store, {"a": 0})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, a=1)

    await session.finish({**state, "a": 2})

    assert await state_of(store, session_id) == {"a": 2}


@pytest.mark.parametrize("wish", ["rotate", "sign_in"])
async def test_a_purchase_beside_a_login_is_kept(store: ScriptedStore, wish: str) -> None:
    """The login merges like any other change."""
    old_id = await stored(store, {"cart": []})
    session, state = await begin(Sessions(store), old_id)
    await change(store, old_id, cart=["tea"])

    if wish == "rotate":
        session.rotate()
    else:
        session.sign_in("ada")
    outcome = await session.finish({**state, "user": "ada"})

    assert await state_of(store, outcome.session_id) == {"cart": ["tea"], "user": "ada"}


async def test_a_session_that_is_emptied_keeps_what_another_request_added(
    store: ScriptedStore,
) -> None:
    """A message that was shown is deleted, and the cart of another tab stays."""
    session_id = await stored(store, {"message": "Hello."})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, cart=["tea"])
    del state["message"]

    outcome = await session.finish(state)

    assert outcome.cookie is KEEP
    assert await state_of(store, session_id) == {"cart": ["tea"]}


async def test_emptying_a_signed_in_session_ends_it(store: ScriptedStore) -> None:
    """It is a logout, whatever another request has stored meanwhile."""
    session_id = await signed_in(store)
    session, _ = await begin(Sessions(store), session_id)
    await change(store, session_id, cart=["tea"])

    outcome = await session.finish({})

    assert outcome.cookie is REMOVE
    assert await state_of(store, session_id) is None


async def test_changes_are_merged_three_times_and_then_stored(store: ScriptedStore) -> None:
    """Then the later write wins, which a counter and a log line say."""
    session_id = await stored(store, {"n": 0, "mine": 0})
    session, state = await begin(Sessions(store), session_id)
    before = counters.merged, counters.overwritten

    with logged() as log:
        await _finish_beside_others(store, session.finish({**state, "mine": 1}), session_id)

    assert await state_of(store, session_id) == {"n": 4, "mine": 1}
    assert counters.merged == before[0] + 4
    assert counters.overwritten == before[1] + 1
    assert "other requests kept changing a session" in log.text


async def _finish_beside_others(
    store: ScriptedStore, finishing: Awaitable[object], session_id: SessionId
) -> None:
    """Let another request store something before each attempt of a request to store."""
    numbers = itertools.count(1)

    async def store_something() -> None:
        state: dict[str, Any] = {"n": next(numbers), "mine": 0}
        await store.update(session_id, SessionRecord(state, timedelta(days=14)))
        store.script.before["update_if"] = [store_something]

    store.script.before["update_if"] = [store_something]
    await finishing


async def test_overwriting_is_an_option(store: ScriptedStore) -> None:
    """The later request stores its whole state."""
    session_id = await stored(store, {"a": 0, "b": 0})
    session, state = await begin(
        Sessions(store, SessionOptions(on_conflict="overwrite")), session_id
    )
    await change(store, session_id, b=1)

    await session.finish({**state, "a": 1})

    assert await state_of(store, session_id) == {"a": 1, "b": 0}


async def test_an_error_is_an_option(store: ScriptedStore) -> None:
    """The later request stores nothing."""
    session_id = await stored(store, {"a": 0, "b": 0})
    session, state = await begin(Sessions(store, SessionOptions(on_conflict="error")), session_id)
    await change(store, session_id, b=1)

    with pytest.raises(ConflictError):
        await session.finish({**state, "a": 1})

    assert await state_of(store, session_id) == {"a": 0, "b": 1}


async def test_a_merged_state_that_is_too_large_is_not_stored(store: ScriptedStore) -> None:
    """Each change was small enough, but not both."""
    options = SessionOptions(max_state_bytes=100)
    session_id = await stored(store, {})
    session, state = await begin(Sessions(store, options), session_id)
    await change(store, session_id, a="x" * 60)

    with pytest.raises(SerializationError, match="max_state_bytes"):
        await session.finish({**state, "b": "x" * 60})

    assert await state_of(store, session_id) == {"a": "x" * 60}


async def test_a_request_that_changed_nothing_writes_nothing(store: ScriptedStore) -> None:
    """Whatever other requests change meanwhile."""
    session_id = await stored(store, {"a": 0})
    session, state = await begin(Sessions(store), session_id)
    await change(store, session_id, a=1)
    store.script.calls.clear()

    await session.finish(state)

    assert store.script.calls == []
