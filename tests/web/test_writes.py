"""When a session is written, and what is checked before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    SerializationError,
)
from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import (
    AnyStore,
    ScriptedBackend,
    ScriptedStore,
    begin,
    change,
    number_of_rows,
    state_of,
    stored,
)

pytestmark = pytest.mark.anyio


async def test_a_change_neither_renews_the_session_nor_sends_the_cookie(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """Row and cookie keep their common end."""
    session_id = await stored(store, {"visits": 1})
    clock.advance(timedelta(days=1))

    assert await change(store, session_id, visits=2) is None

    record = await store.load(session_id)
    assert record is not None
    assert timedelta(days=12, hours=23) < record.ttl <= timedelta(days=13)


async def test_a_change_renews_when_renewal_is_due(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """Row and cookie get a common new end."""
    session_id = await stored(store, {"visits": 1})
    clock.advance(timedelta(days=4))
    session, state = await begin(Sessions(store), session_id)

    outcome = await session.finish({**state, "visits": 2})

    record = await store.load(session_id)
    assert record is not None
    assert (outcome.session_id, outcome.max_age) == (session_id, timedelta(days=14))
    assert record.ttl == timedelta(days=14)


@pytest.mark.parametrize("wish", ["rotate", "invalidate", "nothing"])
async def test_a_state_that_cannot_be_stored_changes_nothing(
    any_store: AnyStore, wish: str
) -> None:
    """The session is the same as before, under the same id."""
    old_id = await stored(any_store, {"cart": ["tea"]})
    rows = number_of_rows(any_store)
    session, _ = await begin(Sessions(any_store), old_id)
    if wish != "nothing":
        getattr(session, wish)()

    with pytest.raises(SerializationError):
        await session.finish({"user": object()})

    assert await state_of(any_store, old_id) == {"cart": ["tea"]}
    assert number_of_rows(any_store) == rows


async def test_a_sign_in_with_a_state_that_cannot_be_stored_changes_nothing(
    store: ScriptedStore,
) -> None:
    """The session is the same as before, under the same id, and not signed in."""
    old_id = await stored(store, {"cart": ["tea"]})
    session, state = await begin(Sessions(store), old_id)
    session.sign_in("ada")

    with pytest.raises(SerializationError):
        await session.finish({**state, "user": object()})

    assert await state_of(store, old_id) == {"cart": ["tea"]}
    assert number_of_rows(store) == 1


async def test_a_plain_backend_with_another_codec_is_asked_first() -> None:
    """What JSON cannot express is stored if the backend can, and changes nothing if it cannot."""
    backend = ScriptedBackend()

    class Sets:
        def encode(self, state: dict[str, Any]) -> bytes:
            if not all(isinstance(value, set | str) for value in state.values()):
                raise SerializationError("neither a set nor text")
            return repr(state).encode()

        def decode(self, data: bytes) -> dict[str, Any]:
            return eval(data)  # type: ignore[no-any-return]  # noqa: S307  # of this test

    backend.codec = Sets()  # type: ignore[assignment]
    old_id = await stored(backend, {"items": {1}})
    session, state = await begin(Sessions(backend), old_id)
    session.rotate()

    new_id = (await session.finish({**state, "items": {1, 2}})).session_id

    assert new_id is not None
    assert await state_of(backend, new_id) == {"items": {1, 2}}
