"""Requests and responses that come after the id was rotated, or the session ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore_sql import (
    SessionId,
)
from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web import tombstones
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import (
    AnyStore,
    ScriptedStore,
    begin,
    change,
    log_in,
    log_out,
    number_of_rows,
    state_of,
    stored,
)

pytestmark = pytest.mark.anyio

KEEP, REMOVE = Cookie.KEEP, Cookie.REMOVE


async def test_a_request_that_arrives_with_a_rotated_id_stores_nothing(
    any_store: AnyStore,
) -> None:
    """The cookie of the login is not replaced."""
    old_id = await stored(any_store, {"visits": 1})
    new_id = await log_in(any_store, old_id)
    rows = number_of_rows(any_store)
    session, state = await begin(Sessions(any_store), old_id)

    outcome = await session.finish({**state, "visits": 1})

    assert (outcome.cookie, outcome.session_id) == (KEEP, None)
    assert number_of_rows(any_store) == rows
    assert await state_of(any_store, new_id) == {"visits": 1, "user": "ada"}


async def test_a_visitor_whose_login_response_was_lost_starts_anew_later(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """A request that old was not sent before the browser received the new id."""
    old_id = await stored(store, {"visits": 1})
    await log_in(store, old_id)
    clock.advance(tombstones.ARRIVAL_PERIOD)

    assert await change(store, old_id, visits=1) is not None


async def test_the_age_of_a_tombstone_does_not_depend_on_the_lifetime_of_sessions(
    clock: ManualClock,
) -> None:
    """Sessions may live shorter than tombstones: a rotated id still starts nothing."""
    store = ScriptedStore(clock=clock, lifetime=timedelta(hours=8))
    old_id = await stored(store, {"visits": 1})
    await log_in(store, old_id)

    assert await change(store, old_id, visits=1) is None


async def test_an_unknown_id_starts_a_session(any_store: AnyStore) -> None:
    """Under a new id: an id that was never given out, or expired long ago."""
    unknown = SessionId.generate()

    new_id = await change(any_store, unknown, visits=1)

    assert new_id not in {None, unknown}


@pytest.mark.parametrize("passed", [timedelta(0), timedelta(minutes=6), timedelta(hours=23)])
async def test_a_late_response_leaves_the_cookie_of_a_login_alone(
    store: ScriptedStore, clock: ManualClock, passed: timedelta
) -> None:
    """Also that to a request which took hours, such as an upload."""
    old_id = await stored(store, {"visits": 1})
    session, state = await begin(Sessions(store), old_id)
    await log_in(store, old_id)
    clock.advance(passed)

    outcome = await session.finish({**state, "visits": 2})

    assert (outcome.cookie, outcome.session_id) == (KEEP, None)


async def test_a_response_later_than_any_tombstone_leaves_the_cookie_alone(
    store: ScriptedStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells any more whether the id was rotated."""
    old_id = await stored(store, {"visits": 1})
    session, state = await begin(Sessions(store), old_id)
    await log_in(store, old_id)
    clock.advance(timedelta(days=2))
    monkeypatch.setattr("time.monotonic", lambda _=session._loaded.at: _ + 2 * 86_400)  # type: ignore[union-attr]

    assert (await session.finish({**state, "visits": 2})).cookie is KEEP


async def test_a_response_after_the_end_of_a_session_removes_the_cookie(
    any_store: AnyStore,
) -> None:
    """A cookie that will never be valid again is removed."""
    old_id = await stored(any_store, {"visits": 1})
    session, state = await begin(Sessions(any_store), old_id)
    await log_out(any_store, old_id)

    assert (await session.finish({**state, "visits": 2})).cookie is REMOVE


async def test_a_late_response_leaves_the_cookie_of_a_successor_alone(
    any_store: AnyStore,
) -> None:
    """A logout that leaves a message starts a new session, whose cookie stays."""
    old_id = await stored(any_store, {"user": "ada"})
    late, late_state = await begin(Sessions(any_store), old_id)
    logout, _ = await begin(Sessions(any_store), old_id)
    logout.invalidate()
    new_id = (await logout.finish({"message": "Goodbye."})).session_id

    outcome = await late.finish({**late_state, "seen": True})

    assert outcome.cookie is KEEP
    assert await state_of(any_store, new_id) == {"message": "Goodbye."}


async def test_a_rotation_beside_a_logout_with_a_message_is_dropped(any_store: AnyStore) -> None:
    """The user has logged out, although another session follows."""
    old_id = await stored(any_store, {"user": "ada"})
    late, late_state = await begin(Sessions(any_store), old_id)
    logout, _ = await begin(Sessions(any_store), old_id)
    logout.invalidate()
    await logout.finish({"message": "Goodbye."})

    late.rotate()
    outcome = await late.finish(late_state)

    assert (outcome.cookie, outcome.session_id) == (KEEP, None)


async def test_a_request_after_a_logout_with_a_message_starts_nothing(
    any_store: AnyStore,
) -> None:
    """The cookie of the session with the message is not replaced."""
    old_id = await stored(any_store, {"user": "ada"})
    logout, _ = await begin(Sessions(any_store), old_id)
    logout.invalidate()
    await logout.finish({"message": "Goodbye."})

    assert await change(any_store, old_id, visits=1) is None
