"""A visit, between the cookie that a request presents and what its response owes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.lifecycle import Cookie
from sessionstore_sql.testing.support import HOUR
from sessionstore_sql.visits import SessionClosedError, Visit
from tests.unit.memory_backend import MemoryBackend

pytestmark = pytest.mark.anyio

SESSION_ID = SessionId.generate()


@pytest.fixture
async def memory() -> MemoryBackend:
    """A store with one session."""
    memory = MemoryBackend()
    await memory.create(SESSION_ID, SessionRecord({"count": 1}, HOUR))
    return memory


async def begin(memory: MemoryBackend) -> Visit:
    """Present the id of the session."""
    return await Visit.begin(memory, [SESSION_ID.value.encode()])


async def finish(visit: Visit, memory: MemoryBackend, state: Any, **options: Any) -> Cookie:
    """End a visit with the usual options, and return what becomes of the cookie."""
    usual: dict[str, Any] = {"ttl": HOUR, "renewal_threshold": 0.8}
    return (await visit.finish(memory, state, **usual | options)).cookie


@pytest.mark.parametrize("presented", [[], [b"unknown"], [b"a", b"b"], [b"a b"]])
async def test_what_is_not_found_is_an_empty_state(
    memory: MemoryBackend, presented: list[bytes]
) -> None:
    """And has no id."""
    visit = await Visit.begin(memory, presented)

    assert visit.state == {}
    assert visit.session_id is None


@pytest.mark.parametrize(
    ("state", "cookie"),
    [
        ({"count": 1}, Cookie.KEEP),
        ({"count": 2}, Cookie.SET),
        ({"count": True}, Cookie.SET),
        ({"count": 1.0}, Cookie.SET),
        ({}, Cookie.REMOVE),
    ],
    ids=str,
)
async def test_a_change_is_found(memory: MemoryBackend, state: Any, cookie: Cookie) -> None:
    """Of value or of type."""
    visit = await begin(memory)

    assert await finish(visit, memory, state) is cookie


async def test_another_order_is_no_change(memory: MemoryBackend) -> None:
    """Adapters may take keys out of a state and put them back."""
    session_id = SessionId.generate()
    await memory.create(session_id, SessionRecord({"a": 1, "b": {"c": 2, "d": 3}}, HOUR))
    visit = await Visit.begin(memory, [session_id.value.encode()])

    assert await finish(visit, memory, {"b": {"d": 3, "c": 2}, "a": 1}) is Cookie.KEEP


async def test_a_new_ttl_is_a_change(memory: MemoryBackend) -> None:
    """Although the state is the same, and the life that remains is longer."""
    visit = await begin(memory)

    cookie = await finish(visit, memory, visit.state, ttl=timedelta(minutes=1), new_ttl=True)

    assert cookie is Cookie.SET
    loaded = await memory.load(SESSION_ID)
    assert loaded is not None
    assert loaded.ttl <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("presented", "cookie"), [([], Cookie.KEEP), ([b"a", b"b"], Cookie.REMOVE)]
)
async def test_whoever_logs_out_keeps_no_cookie(
    memory: MemoryBackend, presented: list[bytes], cookie: Cookie
) -> None:
    """Not even one that is no session's."""
    visit = await Visit.begin(memory, presented)
    visit.invalidate()

    assert await finish(visit, memory, {}) is cookie


async def test_a_closed_visit_takes_no_demands(memory: MemoryBackend) -> None:
    """They would be lost."""
    visit = await begin(memory)
    await finish(visit, memory, visit.state)

    assert visit.closed
    for demand in (visit.rotate, visit.invalidate):
        with pytest.raises(SessionClosedError, match="response has started"):
            demand()


async def test_a_finished_visit_is_done(memory: MemoryBackend) -> None:
    """As long as the state stays what it was when the visit was closed."""
    visit = await begin(memory)
    visit.rotate()
    await finish(visit, memory, {"count": 2})

    visit.require_finished({"count": 2})

    with pytest.raises(SessionClosedError, match="the change is lost"):
        visit.require_finished({"count": 3})


@pytest.mark.parametrize("demand", [Visit.rotate, Visit.invalidate])
async def test_a_demand_without_a_response_is_lost(memory: MemoryBackend, demand: Any) -> None:
    """And that is told."""
    visit = await begin(memory)
    demand(visit)

    with pytest.raises(SessionClosedError, match="the change is lost"):
        visit.require_finished(visit.state)


async def test_a_request_without_a_response_may_read(memory: MemoryBackend) -> None:
    """Nothing is lost then."""
    visit = await begin(memory)

    visit.require_finished(visit.state)
