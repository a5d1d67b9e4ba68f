"""How long a session and its cookie last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    SessionId,
)
from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.lifetimes import Lifetimes
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import ScriptedStore, begin

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
KEEP = Cookie.KEEP


async def finish_with(
    store: ScriptedStore,
    lifetimes: Lifetimes,
    session_id: SessionId | None = None,
    **options: Any,
) -> tuple[timedelta | None, SessionId | None]:
    """Make a request that changes the session, and return the cookie's lifetime and the id."""
    sessions = Sessions(store, SessionOptions(lifetimes=lifetimes, **options))
    session, state = await begin(sessions, session_id)
    outcome = await session.finish({**state, "visits": state.get("visits", 0) + 1})
    return outcome.max_age, outcome.session_id


async def ttl_of(store: ScriptedStore, session_id: SessionId | None) -> timedelta:
    """Return how long a stored session lives."""
    assert session_id is not None
    record = await store.load(session_id)
    assert record is not None
    return record.ttl


async def test_anonymous_sessions_can_have_an_idle_time_of_their_own(
    store: ScriptedStore,
) -> None:
    """They get the long one with the sign-in."""
    lifetimes = Lifetimes(max_age=10 * HOUR, anonymous_max_age=HOUR)
    max_age, session_id = await finish_with(store, lifetimes)
    assert max_age == await ttl_of(store, session_id) == HOUR

    session, state = await begin(Sessions(store, SessionOptions(lifetimes=lifetimes)), session_id)
    session.sign_in("ada")
    outcome = await session.finish(state)

    assert outcome.max_age == await ttl_of(store, outcome.session_id) == 10 * HOUR


async def test_a_shorter_idle_time_reaches_sessions_that_are_there(store: ScriptedStore) -> None:
    """At their next request, even if it only reads."""
    _, session_id = await finish_with(store, Lifetimes(max_age=timedelta(days=14)))
    sessions = Sessions(store, SessionOptions(lifetimes=Lifetimes(max_age=HOUR)))
    session, state = await begin(sessions, session_id)

    outcome = await session.finish(state)

    assert outcome.max_age == await ttl_of(store, session_id) == HOUR


async def test_remember_me_is_kept(store: ScriptedStore, clock: ManualClock) -> None:
    """By changes, renewals, rotations and further sign-ins of the same user."""
    month = timedelta(days=30)
    sessions = Sessions(store, SessionOptions(lifetimes=Lifetimes(max_age=HOUR)))
    session, _ = await begin(sessions)
    session.sign_in("ada")
    session.set_max_age(month)
    outcome = await session.finish({"user": "ada"})
    assert outcome.max_age == await ttl_of(store, outcome.session_id) == month
    session_id = outcome.session_id

    clock.advance(timedelta(days=1))
    session, state = await begin(sessions, session_id)
    assert (await session.finish({**state, "visits": 1})).cookie is KEEP
    assert await ttl_of(store, session_id) > timedelta(days=28)

    clock.advance(timedelta(days=10))
    session, state = await begin(sessions, session_id)
    assert (await session.finish(state)).max_age == month

    for wish in ("rotate", "sign_in"):
        session, state = await begin(sessions, session_id)
        if wish == "rotate":
            session.rotate()
        else:
            session.sign_in("ada")
        outcome = await session.finish({**state, "last": wish})
        session_id = outcome.session_id
        assert outcome.max_age == await ttl_of(store, session_id) == month


async def test_remember_me_does_not_pass_to_another_user(store: ScriptedStore) -> None:
    """The next user of this browser has not asked for it."""
    sessions = Sessions(store, SessionOptions(lifetimes=Lifetimes(max_age=HOUR)))
    session, _ = await begin(sessions)
    session.sign_in("ada")
    session.set_max_age(timedelta(days=30))
    session_id = (await session.finish({"user": "ada"})).session_id

    session, state = await begin(sessions, session_id)
    session.sign_in("grace")
    outcome = await session.finish({**state, "user": "grace"})

    assert outcome.max_age == await ttl_of(store, outcome.session_id) == HOUR


async def test_remember_me_works_for_a_session_without_a_sign_in(store: ScriptedStore) -> None:
    """It can be given to a new session, changed and taken back."""
    sessions = Sessions(store, SessionOptions(lifetimes=Lifetimes(max_age=HOUR)))
    session, _ = await begin(sessions)
    session.set_max_age(86_400)
    outcome = await session.finish({"visits": 1})
    assert outcome.max_age == await ttl_of(store, outcome.session_id) == timedelta(days=1)

    session, state = await begin(sessions, outcome.session_id)
    session.set_max_age(None)
    again = await session.finish(state)

    assert again.session_id == outcome.session_id
    assert again.max_age == await ttl_of(store, again.session_id) == HOUR


async def test_the_same_idle_time_again_changes_nothing(store: ScriptedStore) -> None:
    """An application may set it with every request."""
    sessions = Sessions(store)
    session, _ = await begin(sessions)
    session.set_max_age(HOUR)
    session_id = (await session.finish({"visits": 1})).session_id
    store.script.calls.clear()

    session, state = await begin(sessions, session_id)
    session.set_max_age(HOUR)

    assert (await session.finish(state)).cookie is KEEP
    assert store.script.calls == ["load_session"]


async def test_a_cookie_can_end_with_the_browser(store: ScriptedStore, clock: ManualClock) -> None:
    """It is sent when the id changes only, as its lifetime never does."""
    lifetimes = Lifetimes(max_age=10 * HOUR, persistent=False)
    max_age, session_id = await finish_with(store, lifetimes)
    assert max_age is None
    assert await ttl_of(store, session_id) == 10 * HOUR

    clock.advance(5 * HOUR)
    assert await finish_with(store, lifetimes, session_id) == (None, None)
    assert await ttl_of(store, session_id) == 10 * HOUR


async def test_remember_me_outlives_the_browser(store: ScriptedStore) -> None:
    """With ``persistent=False``, only the sessions that asked for it do."""
    sessions = Sessions(store, SessionOptions(lifetimes=Lifetimes(persistent=False)))
    session, _ = await begin(sessions)
    session.set_max_age(HOUR)
    outcome = await session.finish({"visits": 1})
    assert outcome.max_age == HOUR

    session, state = await begin(sessions, outcome.session_id)
    session.set_max_age(None)
    again = await session.finish(state)

    assert (again.session_id, again.max_age) == (outcome.session_id, None)


async def test_the_cookie_ends_with_the_absolute_lifetime(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """Near its end, requests do not renew anything."""
    options = SessionOptions(lifetimes=Lifetimes(max_age=10 * HOUR), lifetime=12 * HOUR)
    sessions = Sessions(store, options)
    session, _ = await begin(sessions)
    session.sign_in("ada")
    outcome = await session.finish({"user": "ada"})
    assert outcome.max_age == 10 * HOUR

    clock.advance(5 * HOUR)
    session, state = await begin(sessions, outcome.session_id)
    renewed = await session.finish(state)
    assert renewed.max_age is not None
    assert 7 * HOUR - timedelta(minutes=1) < renewed.max_age <= 7 * HOUR

    clock.advance(5 * HOUR)
    session, state = await begin(sessions, outcome.session_id)
    assert (await session.finish(state)).cookie is KEEP
    assert await ttl_of(store, outcome.session_id) == 2 * HOUR


async def test_a_short_absolute_lifetime_shortens_the_first_cookie(store: ScriptedStore) -> None:
    """The cookie does not outlive the session."""
    session, _ = await begin(Sessions(store))
    session.sign_in("ada", lifetime=HOUR)

    outcome = await session.finish({"user": "ada"})

    assert outcome.max_age == await ttl_of(store, outcome.session_id) == HOUR
