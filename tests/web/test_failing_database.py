"""What becomes of a session while the database cannot be reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    CreateError,
    DatabaseError,
    LoadSessionError,
    UpdateTtlError,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.testing import ManualClock
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.sessions import Sessions
from tests.leaks import logged
from tests.web.stores import ScriptedStore, begin, presenting, stored

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
KEEP = Cookie.KEEP
UNREACHABLE = for_operation(LoadSessionError, DatabaseError("the database is down", transient=True))


async def fail() -> None:
    """Fail as an unreachable database does."""
    raise UNREACHABLE


async def test_a_session_that_is_not_used_may_fail_to_load(store: ScriptedStore) -> None:
    """The response goes out, and the cookie stays."""
    session_id = await stored(store, {"count": 1})
    store.script.before["load_session"] = [fail]

    session = await Sessions(store).begin(presenting(session_id))

    assert (await session.finish({})).cookie is KEEP
    session.require_finished({})


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.state,
        lambda session: session.rotate(),
        lambda session: session.invalidate(),
        lambda session: session.sign_in("ada"),
        lambda session: session.set_max_age(HOUR),
        lambda session: session.subject,
        lambda session: session.freshness(HOUR),
    ],
)
async def test_a_failure_to_load_shows_where_the_session_is_used(
    store: ScriptedStore, use: Any
) -> None:
    """With the error of the store."""
    session_id = await stored(store, {"count": 1})
    store.script.before["load_session"] = [fail]
    session = await Sessions(store).begin(presenting(session_id))

    with pytest.raises(DatabaseError) as caught:
        use(session)
    assert caught.value is UNREACHABLE


async def test_a_session_that_could_not_be_renewed_lives_on(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """The next request tries again. The cookie is not renewed without the row."""
    session_id = await stored(store, {"count": 1})
    clock.advance(timedelta(days=5))
    session, state = await begin(Sessions(store), session_id)
    store.script.before["update_ttl"] = [fail]

    with logged() as log:
        outcome = await session.finish(state)

    assert outcome.cookie is KEEP
    assert "not renewed" in log.text


async def test_a_failure_that_an_operator_has_to_fix_is_raised(
    store: ScriptedStore, clock: ManualClock
) -> None:
    """Also if it is only a renewal that fails."""

    async def broken() -> None:
        raise for_operation(UpdateTtlError, DatabaseError("no such table"))

    session_id = await stored(store, {"count": 1})
    clock.advance(timedelta(days=5))
    session, state = await begin(Sessions(store), session_id)
    store.script.before["update_ttl"] = [broken]

    with pytest.raises(DatabaseError, match="no such table"):
        await session.finish(state)


async def test_a_session_that_cannot_be_stored_is_an_error(store: ScriptedStore) -> None:
    """No response goes out as if it had been stored."""

    async def broken() -> None:
        raise for_operation(CreateError, DatabaseError("disk full"))

    session, _ = await begin(Sessions(store))
    store.script.before["create"] = [broken]

    with pytest.raises(DatabaseError, match="disk full"):
        await session.finish({"count": 1})
