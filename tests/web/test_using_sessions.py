"""What an application may do to a session, and what may be in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    SerializationError,
)
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.loaded import LAG_KEY
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import ScriptedStore, begin, state_of, stored

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
SET = Cookie.SET


async def test_it_is_closed_when_the_response_starts(store: ScriptedStore) -> None:
    """What comes later cannot be stored any more."""
    session, _ = await begin(Sessions(store))
    await session.finish({"count": 1})

    for use in (session.rotate, session.invalidate, session.require_open):
        with pytest.raises(SessionClosedError):
            use()
    with pytest.raises(SessionClosedError):
        session.sign_in("ada")
    with pytest.raises(SessionClosedError):
        session.set_max_age(HOUR)


async def test_a_late_change_is_found(store: ScriptedStore) -> None:
    """Also one that was made inside of a value."""
    session, _ = await begin(Sessions(store))
    state = {"cart": ["tea"]}
    await session.finish(state)

    session.require_finished(state)
    state["cart"].append("scones")
    with pytest.raises(SessionClosedError):
        session.require_finished(state)


async def test_a_wish_without_a_response_is_found(store: ScriptedStore) -> None:
    """A WebSocket that is closed before it was accepted cannot carry a cookie."""
    session, _ = await begin(Sessions(store))
    session.rotate()

    with pytest.raises(SessionClosedError):
        session.require_finished({})


@pytest.mark.parametrize("state", [None, [], "text"])
async def test_a_state_is_a_dict(store: ScriptedStore, state: Any) -> None:
    """Whatever an application has put into its place."""
    session, _ = await begin(Sessions(store))

    with pytest.raises(TypeError, match="a session is a dict"):
        await session.finish(state)


async def test_the_reserved_key_is_rejected(store: ScriptedStore) -> None:
    """An application that stores what a form sends cannot be made to store it."""
    session, _ = await begin(Sessions(store))

    with pytest.raises(SerializationError, match="reserved"):
        await session.finish({LAG_KEY: 0})


async def test_a_state_has_a_maximum_size(store: ScriptedStore) -> None:
    """In bytes of JSON. Nothing is stored if it is larger."""
    options = SessionOptions(max_state_bytes=10)
    session, _ = await begin(Sessions(store, options))
    assert (await session.finish({"a": "é"})).cookie is SET

    session, _ = await begin(Sessions(store, options))
    with pytest.raises(SerializationError, match="11 bytes"):
        await session.finish({"a": "éx"})


async def test_the_usual_maximum_is_64_kib(store: ScriptedStore) -> None:
    """A large state slows every request down. ``None`` stands for no maximum."""
    large = {"a": "x" * 65_536}
    session, _ = await begin(Sessions(store))
    with pytest.raises(SerializationError):
        await session.finish(large)

    session, _ = await begin(Sessions(store, SessionOptions(max_state_bytes=None)))
    assert (await session.finish(large)).cookie is SET


async def test_tuples_are_stored_as_lists(store: ScriptedStore) -> None:
    """As in every session that is JSON."""
    session, _ = await begin(Sessions(store))

    outcome = await session.finish({"toasts": [("Saved.", "success")]})

    assert await state_of(store, outcome.session_id) == {"toasts": [["Saved.", "success"]]}


async def test_reloading_shows_what_others_stored(store: ScriptedStore) -> None:
    """After the response has started, in a stream or a WebSocket."""
    session_id = await stored(store, {"n": 1})
    session, state = await begin(Sessions(store), session_id)
    await session.finish(state)
    other, other_state = await begin(Sessions(store), session_id)
    await other.finish({**other_state, "n": 2})

    assert await session.reload()
    assert session.state == {"n": 2}
    session.require_finished({"n": 2})


async def test_reloading_shows_the_end(store: ScriptedStore) -> None:
    """The state is empty then."""
    session_id = await stored(store, {"n": 1})
    session, state = await begin(Sessions(store), session_id)
    await session.finish(state)
    assert await session.is_live()
    await store.delete(session_id)

    assert not await session.is_live()
    assert not await session.reload()
    assert session.state == {}


async def test_a_session_that_began_with_this_response_can_be_reloaded(
    store: ScriptedStore,
) -> None:
    """It is looked up under its new id."""
    session, _ = await begin(Sessions(store))
    assert not await session.is_live()
    await session.finish({"n": 1})

    assert await session.reload()
    assert session.state == {"n": 1}
