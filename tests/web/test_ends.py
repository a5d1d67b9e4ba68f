"""The end of a session, and a database that fails, beside other requests."""

from __future__ import annotations

import pytest

from sessionstore_sql import (
    ChangeIdError,
    DatabaseError,
    SessionId,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import (
    AnyStore,
    ScriptedStore,
    begin,
    change,
    log_in,
    presenting,
    signed_in,
    state_of,
    stored,
)

pytestmark = pytest.mark.anyio

KEEP, SET, REMOVE = Cookie.KEEP, Cookie.SET, Cookie.REMOVE
SUBJECT_OF = SessionOptions(subject_of=lambda state: state.get("user"))


async def test_a_logout_ends_a_session_that_is_being_rotated(store: ScriptedStore) -> None:
    """Under whatever id it has by then."""
    old_id = await signed_in(store)
    logout, _ = await begin(Sessions(store), old_id)
    new_id = await log_in(store, old_id)

    logout.invalidate()
    outcome = await logout.finish({})

    assert outcome.cookie is REMOVE
    assert await state_of(store, new_id) is None


async def test_a_switch_ends_the_session_of_the_user_before(store: ScriptedStore) -> None:
    """Nothing of it remains, although another request rotated it meanwhile."""
    old_id = await signed_in(store, cart=["tea"])
    switch, _ = await begin(Sessions(store), old_id)
    await log_in(store, old_id)

    switch.invalidate()
    switch.sign_in("grace")
    outcome = await switch.finish({"user": "grace"})

    assert await store.sessions_of("ada") == []
    assert await state_of(store, outcome.session_id) == {"user": "grace"}


async def test_a_logout_that_is_noticed_keeps_the_rest_in_a_new_session(
    store: ScriptedStore,
) -> None:
    """The cart goes on under another id, and the user's session has ended."""
    session, state = await begin(Sessions(store, SUBJECT_OF))
    old_id = (await session.finish({"user": "ada", "cart": ["tea"]})).session_id
    logout, state = await begin(Sessions(store, SUBJECT_OF), old_id)
    del state["user"]

    outcome = await logout.finish(state)

    assert outcome.session_id not in {None, old_id}
    assert await state_of(store, outcome.session_id) == {"cart": ["tea"]}
    assert await store.sessions_of("ada") == []


async def test_a_rotation_that_could_not_be_noted_is_still_sent(store: ScriptedStore) -> None:
    """The id has changed, so the client must be told."""

    async def fail() -> None:
        raise for_operation(ChangeIdError, DatabaseError("the database is down", transient=True))

    old_id = await stored(store, {})
    store.script.before["change_id"] = [fail]

    new_id = await log_in(store, old_id)

    assert await state_of(store, new_id) == {"user": "ada"}


async def test_announcing_does_not_hide_a_tombstone(any_store: AnyStore) -> None:
    """A login that was announced after another one was finished still finds what happened."""
    old_id = await stored(any_store, {"cart": ["tea"]})
    session, state = await begin(Sessions(any_store), old_id)
    await log_in(any_store, old_id)
    for _ in range(2):
        assert (await begin(Sessions(any_store), old_id))[1] == {}

    session.rotate()
    assert (await session.finish(state)).cookie is SET

    assert await change(any_store, old_id, visits=1) is None


async def test_several_ids_are_looked_for_among_tombstones(any_store: AnyStore) -> None:
    """One of the ids was rotated, so nothing is stored."""
    old_id = await stored(any_store, {})
    await log_in(any_store, old_id)
    session = await Sessions(any_store).begin(presenting(SessionId.generate(), old_id))

    assert (await session.finish({"visits": 1})).cookie is KEEP
