"""Whose a session is, and what that user can do to the others."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    SessionId,
)
from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.unit.memory_backend import MemoryBackend
from tests.web.stores import ScriptedStore, begin, state_of, stored

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
KEEP, SET, REMOVE = Cookie.KEEP, Cookie.SET, Cookie.REMOVE


async def signed_in(store: ScriptedStore, subject: str, **about: str) -> SessionId:
    """Sign in, and return the id."""
    session, _ = await begin(Sessions(store))
    session.sign_in(subject, about={**about})
    outcome = await session.finish({"user": subject})
    assert outcome.session_id is not None
    return outcome.session_id


async def test_a_user_sees_and_ends_sessions(store: ScriptedStore) -> None:
    """The list names them by handles; ending the session of the request invalidates it."""
    phone = await signed_in(store, "ada", device="phone")
    laptop = await signed_in(store, "ada", device="laptop")
    stranger = await signed_in(store, "grace")
    session, _ = await begin(Sessions(store), laptop)

    listed = {info.about["device"]: info.handle for info in await session.sessions_of()}
    assert listed.keys() == {"phone", "laptop"}
    assert listed["laptop"] == session.handle

    assert await session.revoke(listed["phone"])
    assert not await session.revoke(listed["phone"])
    assert await state_of(store, phone) is None
    assert await session.revoke(listed["laptop"])
    assert (await session.finish({})).cookie is REMOVE
    assert await state_of(store, stranger) == {"user": "grace"}


async def test_a_handle_of_another_user_ends_nothing(store: ScriptedStore) -> None:
    """A guessed or stolen handle is useless."""
    stranger = await signed_in(store, "grace")
    other, _ = await begin(Sessions(store), stranger)
    session, _ = await begin(Sessions(store), await signed_in(store, "ada"))
    assert other.handle is not None

    assert not await session.revoke(other.handle)
    assert await state_of(store, stranger) == {"user": "grace"}


class Member(int, enum.Enum):
    """Users with a text of another form."""

    ADA = 7


async def test_the_text_of_an_int_is_its_number(store: ScriptedStore) -> None:
    """Whatever class it has; and it is not longer than other subjects."""
    session, _ = await begin(Sessions(store))

    session.sign_in(Member.ADA)
    await session.finish({"user": 7})

    assert len(await store.sessions_of("7")) == 1
    session, _ = await begin(Sessions(store))
    with pytest.raises(ValueError, match="1 to 1024 characters"):
        session.sign_in(10**1_025)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_sessions": 0}, ValueError),
        ({"max_sessions": True}, TypeError),
        ({"about": ["phone"]}, TypeError),
        ({"lifetime": timedelta(0)}, ValueError),
    ],
)
async def test_an_argument_is_checked_when_it_is_given(
    store: ScriptedStore, options: dict[str, Any], error: type[Exception]
) -> None:
    """Not when the response starts. A limit of zero is not the one of the options."""
    session, _ = await begin(Sessions(store))

    with pytest.raises(error, match=next(iter(options))):
        session.sign_in("ada", **options)

    assert (await session.finish({})).cookie is KEEP


@pytest.mark.parametrize("keep_this", [True, False])
async def test_signing_out_everywhere(store: ScriptedStore, keep_this: bool) -> None:
    """With or without the session of the request."""
    others = [await signed_in(store, "ada") for _ in range(2)]
    this = await signed_in(store, "ada")
    session, state = await begin(Sessions(store), this)

    assert await session.sign_out_everywhere(keep_this=keep_this) == (2 if keep_this else 3)
    outcome = await session.finish(state if keep_this else {})

    assert [await state_of(store, each) for each in others] == [None, None]
    assert outcome.cookie is (KEEP if keep_this else REMOVE)
    assert (await state_of(store, this) is None) != keep_this


async def test_a_visitor_who_is_not_signed_in_has_no_sessions(store: ScriptedStore) -> None:
    """And ends none."""
    handle = (await begin(Sessions(store), await signed_in(store, "ada")))[0].handle
    session, _ = await begin(Sessions(store), await stored(store, {"visits": 1}))
    assert handle is not None

    assert session.subject is None
    assert await session.sessions_of() == []
    assert not await session.revoke(handle)
    assert await session.sign_out_everywhere() == 0


async def test_the_user_is_the_one_who_is_about_to_sign_in(store: ScriptedStore) -> None:
    """A password reset ends all other sessions in the same request."""
    other = await signed_in(store, "ada")
    session, state = await begin(Sessions(store))
    session.sign_in("ada")

    assert await session.sign_out_everywhere() == 1
    outcome = await session.finish({**state, "user": "ada"})

    assert await state_of(store, other) is None
    assert await state_of(store, outcome.session_id) == {"user": "ada"}


async def test_signing_in_makes_fresh(store: ScriptedStore, clock: ManualClock) -> None:
    """Until the period is over."""
    session, state = await begin(Sessions(store))
    assert session.freshness(HOUR) is Freshness.NOT_SIGNED_IN
    session.sign_in("ada")
    assert session.freshness(HOUR) is Freshness.FRESH
    session_id = (await session.finish({"user": "ada"})).session_id

    clock.advance(HOUR / 2)
    session, state = await begin(Sessions(store), session_id)
    assert session.freshness(HOUR) is Freshness.FRESH
    await session.finish({**state, "visits": 1})
    clock.advance(HOUR)
    session, _ = await begin(Sessions(store), session_id)
    assert session.freshness(HOUR) is Freshness.STALE
    session.invalidate()
    assert session.freshness(HOUR) is Freshness.NOT_SIGNED_IN


async def test_sign_in_and_subject_of_must_agree(store: ScriptedStore) -> None:
    """A session is not stored for a user whom the state does not name."""
    sessions = Sessions(store, SessionOptions(subject_of=lambda state: state.get("user")))
    session, _ = await begin(sessions)
    session.sign_in("ada")
    with pytest.raises(ValueError, match="another user"):
        await session.finish({"user": "grace"})

    session, _ = await begin(sessions)
    session.sign_in(7)
    assert (await session.finish({"user": 7})).cookie is SET


async def test_another_user_in_the_state_is_a_sign_in(store: ScriptedStore) -> None:
    """The new user gets a new id and a new handle."""
    sessions = Sessions(store, SessionOptions(subject_of=lambda state: state.get("user")))
    session, _ = await begin(sessions)
    old_id = (await session.finish({"user": "ada"})).session_id
    session, state = await begin(sessions, old_id)

    outcome = await session.finish({**state, "user": "grace"})

    assert outcome.session_id not in {None, old_id}
    assert await store.sessions_of("ada") == []
    assert len(await store.sessions_of("grace")) == 1


async def test_a_new_user_after_invalidate_is_a_sign_in(store: ScriptedStore) -> None:
    """What the user before left is gone."""
    sessions = Sessions(store, SessionOptions(subject_of=lambda state: state.get("user")))
    session, _ = await begin(sessions)
    old_id = (await session.finish({"user": "ada", "cart": ["tea"]})).session_id
    session, _ = await begin(sessions, old_id)
    session.invalidate()

    outcome = await session.finish({"user": "grace"})

    assert await store.sessions_of("ada") == []
    assert len(await store.sessions_of("grace")) == 1
    assert await state_of(store, outcome.session_id) == {"user": "grace"}


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.sign_in("ada"),
        lambda session: session.set_max_age(HOUR),
        lambda session: session.freshness(HOUR),
    ],
)
async def test_a_store_without_users_says_so(use: Any) -> None:
    """Nothing is skipped silently."""
    session, _ = await begin(Sessions(MemoryBackend()))

    with pytest.raises(TypeError, match="AccountSessionBackend"):
        use(session)
