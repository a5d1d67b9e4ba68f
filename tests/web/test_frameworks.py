"""What frameworks need whose sessions have rules of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.web.changes import Changes, Snapshot
from sessionstore_sql.web.decision import Cookie, Lost
from sessionstore_sql.web.lifetimes import Lifetimes
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import ScriptedStore, begin, state_of, stored

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
OWN_ID = SessionId("an-id-of-the-framework")


@pytest.fixture
def store() -> ScriptedStore:
    """A store that runs a script."""
    return ScriptedStore()


@pytest.fixture
def sessions(store: ScriptedStore) -> Sessions:
    """The sessions of an application."""
    return Sessions(store, SessionOptions(subject_of=lambda state: state.get("user")))


async def test_a_new_session_gets_the_announced_id(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """The application knew the id before the response started."""
    session, _ = await begin(sessions)
    session.use_id(OWN_ID)

    outcome = await session.finish({"cart": 1})

    assert outcome.session_id == OWN_ID
    assert await state_of(store, OWN_ID) == {"cart": 1}


@pytest.mark.parametrize("state", [{"cart": 1}, {"user": "ada"}], ids=str)
async def test_a_rotated_session_gets_the_announced_id(
    store: ScriptedStore, sessions: Sessions, state: dict[str, Any]
) -> None:
    """By a rotation as by a sign-in."""
    old_id = await stored(store, {"cart": 1})
    session, _ = await begin(sessions, old_id)
    session.rotate()
    session.use_id(OWN_ID)

    await session.finish(state)

    assert await state_of(store, OWN_ID) == state
    assert await state_of(store, old_id) is None


async def test_an_announced_id_without_a_rotation_is_not_used(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """A session that goes on keeps its id."""
    session_id = await stored(store, {"cart": 1})
    session, _ = await begin(sessions, session_id)
    session.use_id(OWN_ID)

    await session.finish({"cart": 2})

    assert await state_of(store, session_id) == {"cart": 2}
    assert await state_of(store, OWN_ID) is None


async def test_ids_have_the_form_of_the_framework(store: ScriptedStore) -> None:
    """An adapter chooses how ids are made."""
    sessions = Sessions(store, SessionOptions(new_id=lambda: OWN_ID))
    session, _ = await begin(sessions)

    assert (await session.finish({"cart": 1})).session_id == OWN_ID


async def test_an_empty_state_can_be_stored(store: ScriptedStore, sessions: Sessions) -> None:
    """Django's sessions exist without values, so that applications can use their keys."""
    session, _ = await begin(sessions)
    session.keep_empty()

    outcome = await session.finish({})

    assert outcome.cookie is Cookie.SET
    assert await state_of(store, outcome.session_id) == {}


async def test_an_emptied_session_can_go_on(store: ScriptedStore, sessions: Sessions) -> None:
    """It keeps its id, and its row."""
    session_id = await stored(store, {"cart": 1})
    session, _ = await begin(sessions, session_id)
    session.keep_empty()

    outcome = await session.finish({})

    assert outcome.cookie is Cookie.KEEP
    assert await state_of(store, session_id) == {}


async def test_an_unchanged_session_keeps_what_is_stored(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """Whatever an application put into values that it was given."""
    session_id = await stored(store, {"cart": []})
    session, state = await begin(sessions, session_id)
    state["cart"].append(object())
    store.script.calls.clear()

    outcome = await session.finish_unchanged()

    assert outcome.cookie is Cookie.KEEP
    assert store.script.calls == []
    assert await state_of(store, session_id) == {"cart": []}


async def test_an_unchanged_session_is_renewed(store: ScriptedStore, sessions: Sessions) -> None:
    """By the lifetimes that the adapter gives."""
    session_id = await stored(store, {"cart": 1}, ttl=DAY)
    session, _ = await begin(sessions, session_id)

    outcome = await session.finish_unchanged(lifetimes=Lifetimes(max_age=2 * DAY))

    assert (outcome.cookie, outcome.max_age) == (Cookie.SET, 2 * DAY)


async def test_a_session_that_could_not_be_loaded_is_left_alone(sessions: Sessions) -> None:
    """There is nothing to renew."""
    session, _ = await begin(sessions)
    session.failure = object()  # type: ignore[assignment]

    assert (await session.finish_unchanged()).cookie is Cookie.KEEP


async def test_lifetimes_of_one_response_go_before_the_options(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """A framework has settings that depend on the session."""
    session, _ = await begin(sessions)

    outcome = await session.finish({"cart": 1}, lifetimes=Lifetimes(max_age=DAY, persistent=False))

    assert (outcome.cookie, outcome.max_age) == (Cookie.SET, None)
    record = await store.load(outcome.session_id or OWN_ID)
    assert record is not None
    assert record.ttl <= DAY


@pytest.mark.parametrize("cookie_is_known", [True, False])
async def test_an_outcome_tells_why_nothing_was_stored(
    store: ScriptedStore, sessions: Sessions, *, cookie_is_known: bool
) -> None:
    """Another request rotated the id, before this request arrived or after."""
    old_id = await stored(store, {"cart": 1})
    late, _ = await begin(sessions, old_id)
    other, _ = await begin(sessions, old_id)
    other.rotate()
    await other.finish({"cart": 1})
    if not cookie_is_known:
        late, _ = await begin(sessions, old_id)

    assert (await late.finish({"cart": 2})).lost is Lost.ROTATED


async def test_an_outcome_tells_of_a_session_that_ended(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """It was deleted while the request used it."""
    session_id = await stored(store, {"cart": 1})
    session, _ = await begin(sessions, session_id)
    await store.delete(session_id)

    outcome = await session.finish({"cart": 2})

    assert (outcome.lost, outcome.cookie) == (Lost.ENDED, Cookie.REMOVE)


async def test_an_outcome_of_a_stored_session_has_nothing_to_tell(
    store: ScriptedStore, sessions: Sessions
) -> None:
    """A change that keeps the cookie is stored all the same."""
    session, _ = await begin(sessions, await stored(store, {"cart": 1}))

    assert (await session.finish({"cart": 2})).lost is None


async def test_tuples_can_be_left_to_the_codec(
    store: ScriptedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serializer of the application may know tuples."""
    created: list[dict[str, Any]] = []

    async def create(_id: SessionId, record: SessionRecord) -> None:
        created.append(record.state)

    monkeypatch.setattr(store, "create", create)
    session, _ = await begin(Sessions(store, SessionOptions(tuples_as_lists=False)))

    await session.finish({"pair": (1, 2)})

    assert created == [{"pair": (1, 2)}]


def test_changes_beside_a_value_that_is_not_json_are_found() -> None:
    """A codec of the application stores the set; the list was changed in place."""
    state: dict[str, Any] = {"tags": {1}, "cart": [1], "name": "Ada"}
    snapshot = Snapshot(state)
    state["cart"].append(2)

    changes = snapshot.changes_to(state)

    assert changes == Changes({"tags": {1}, "cart": [1, 2]}, set())
