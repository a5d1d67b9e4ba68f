"""Requests that asked for a new id, beside others of the same visitor."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import (
    AnyStore,
    ScriptedStore,
    begin,
    log_in,
    log_out,
    number_of_rows,
    signed_in,
    state_of,
    stored,
)

pytestmark = pytest.mark.anyio

KEEP, SET, REMOVE = Cookie.KEEP, Cookie.SET, Cookie.REMOVE
SUBJECT_OF = SessionOptions(subject_of=lambda state: state.get("user"))


async def test_a_second_login_with_the_old_id_gets_a_session(any_store: AnyStore) -> None:
    """The response of the first login was lost: a double click, or a broken connection."""
    old_id = await stored(any_store, {"cart": ["tea"]})
    session, state = await begin(Sessions(any_store), old_id)
    first_id = await log_in(any_store, old_id)

    session.rotate()
    outcome = await session.finish({**state, "user": "ada"})

    assert outcome.cookie is SET
    assert outcome.session_id not in {old_id, first_id}
    assert await state_of(any_store, outcome.session_id) == {"cart": ["tea"], "user": "ada"}
    assert await state_of(any_store, first_id) == {"cart": ["tea"], "user": "ada"}


async def test_a_login_that_arrives_with_a_rotated_id_gets_a_session(any_store: AnyStore) -> None:
    """A login that is tried again starts from nothing, as its visitor is authenticated."""
    old_id = await stored(any_store, {"cart": ["tea"]})
    await log_in(any_store, old_id)

    new_id = await log_in(any_store, old_id)

    assert await state_of(any_store, new_id) == {"user": "ada"}


async def test_a_rotation_does_not_revive_a_session_that_was_logged_out(
    any_store: AnyStore,
) -> None:
    """Its state may belong to the user who has logged out."""
    old_id = await stored(any_store, {"user": "ada"})
    session, state = await begin(Sessions(any_store), old_id)
    await log_out(any_store, old_id)

    session.rotate()
    outcome = await session.finish({**state, "seen": True})

    assert (outcome.cookie, outcome.session_id) == (REMOVE, None)
    assert number_of_rows(any_store) == 0


async def test_a_rotation_that_loses_to_a_logout_is_dropped(any_store: AnyStore) -> None:
    """Also if the logout comes after the rotation was announced."""
    old_id = await stored(any_store, {"user": "ada"})
    session, state = await begin(Sessions(any_store), old_id)
    rotation = "replace" if isinstance(any_store, ScriptedStore) else "change_id"
    any_store.script.before[rotation] = [lambda: log_out(any_store, old_id)]

    session.rotate()
    outcome = await session.finish(state)

    assert outcome.cookie is REMOVE
    assert number_of_rows(any_store) == 0


async def test_a_sign_in_survives_the_end_of_the_old_session(store: ScriptedStore) -> None:
    """The request itself authenticated the visitor."""
    old_id = await stored(store, {"cart": ["tea"]})
    session, state = await begin(Sessions(store), old_id)
    await log_out(store, old_id)

    session.sign_in("ada")
    outcome = await session.finish({**state, "user": "ada"})

    assert outcome.cookie is SET
    assert await state_of(store, outcome.session_id) == {"cart": ["tea"], "user": "ada"}
    assert len(await store.sessions_of("ada")) == 1


async def test_a_noticed_sign_in_survives_the_end_of_the_old_session(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """Also if it expired during the request."""
    old_id = await stored(store, {"cart": ["tea"]}, timedelta(minutes=1))
    session, state = await begin(Sessions(store, SUBJECT_OF), old_id)
    clock.advance(timedelta(minutes=2))

    outcome = await session.finish({**state, "user": "ada"})

    assert outcome.cookie is SET
    assert await state_of(store, outcome.session_id) == {"cart": ["tea"], "user": "ada"}


async def test_a_signed_in_session_that_is_rotated_twice_stays_signed_in(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """The second one is in the user's list too, and does not count as freshly authenticated."""
    old_id = await signed_in(store)
    clock.advance(timedelta(hours=1))
    session, state = await begin(Sessions(store), old_id)
    await log_in(store, old_id)

    session.rotate()
    new_id = (await session.finish(state)).session_id

    assert new_id is not None
    clock.advance(timedelta(minutes=5))
    again, _ = await begin(Sessions(store), new_id)
    authenticated_ago = again._loaded.authenticated_ago()  # type: ignore[union-attr]
    assert authenticated_ago is not None
    assert authenticated_ago >= timedelta(minutes=65)
    assert again.state == {"user": "ada"}
    assert len(await store.sessions_of("ada")) == 2


async def test_a_rotation_does_not_survive_a_logout_under_the_new_id(
    store: ScriptedStore,
) -> None:
    """Another request rotated the session before, and a third one ended it."""
    old_id = await signed_in(store)
    session, state = await begin(Sessions(store), old_id)
    new_id = await log_in(store, old_id)
    await log_out(store, new_id)

    session.rotate()
    outcome = await session.finish(state)

    assert (outcome.cookie, outcome.session_id) == (KEEP, None)
    assert await store.sessions_of("ada") == []
