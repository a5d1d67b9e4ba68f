"""The memory backend: it passes both contracts, and a test can move its clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sessionstore_sql import (
    JSON,
    DeserializationError,
    DuplicateIdError,
    JSONCodec,
    SessionId,
    SessionRecord,
)
from sessionstore_sql.testing import (
    AccountOptionsContract,
    AccountSessionBackendContract,
    ManualClock,
    MemorySessionStore,
    SessionStorageBackendContract,
)
from sessionstore_sql.testing.accounts.support import BackendWith

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


class BrokenCodec(JSONCodec):
    """A codec that can decode nothing."""

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Fail."""
        raise DeserializationError(data.decode())


class TestMemorySessionStore(
    SessionStorageBackendContract, AccountSessionBackendContract, AccountOptionsContract
):
    """The contracts."""

    @pytest.fixture
    def backend(self) -> MemorySessionStore:
        """A store of the test's own."""
        return MemorySessionStore()

    @pytest.fixture
    def backend_with(self, backend: MemorySessionStore) -> BackendWith:
        """Other options on the same sessions."""
        return lambda **options: MemorySessionStore(sessions_of_store=backend, **options)


async def test_a_test_can_let_time_pass() -> None:
    """Sessions expire when the clock is moved, and not before."""
    clock = ManualClock()
    store, session_id = MemorySessionStore(clock=clock), SessionId.generate()
    await store.create(session_id, SessionRecord({"a": 1}, HOUR))

    clock.advance(HOUR - MICROSECOND)
    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.ttl == MICROSECOND

    clock.advance(MICROSECOND)
    assert await store.load(session_id) is None
    assert await store.delete_expired() == 1


async def test_a_lifetime_ends_while_the_session_is_used() -> None:
    """The end of a stolen cookie can be tested without waiting for it."""
    clock = ManualClock()
    store = MemorySessionStore(clock=clock, lifetime=12 * HOUR)
    session_id = SessionId.generate()
    await store.sign_in(None, session_id, SessionRecord({}, HOUR), subject="alice")

    for _ in range(23):
        clock.advance(HOUR / 2)
        await store.update_ttl(session_id, HOUR)
    session = await store.load_session(session_id)
    assert session is not None
    assert (session.ends_in, session.record.ttl) == (HOUR / 2, HOUR / 2)
    assert session.authenticated_ago == 11.5 * HOUR

    clock.advance(HOUR / 2)
    assert await store.load_session(session_id) is None


async def test_the_order_holds_while_the_clock_stands_still() -> None:
    """The oldest session is evicted and the last one listed first, all at one moment."""
    store = MemorySessionStore(clock=ManualClock(), max_sessions=2)
    handles = [
        await store.sign_in(None, SessionId.generate(), SessionRecord({}, HOUR), subject="alice")
        for _ in range(4)
    ]

    assert [info.handle for info in await store.sessions_of("alice")] == handles[:1:-1]


async def test_a_clock_of_another_zone_is_read_in_utc() -> None:
    """The times that come back are in UTC."""
    zone = timezone(timedelta(hours=9))
    clock = ManualClock(datetime(2026, 1, 1, 9, tzinfo=zone))
    store = MemorySessionStore(clock=clock)
    await store.sign_in(None, SessionId.generate(), SessionRecord({}, HOUR), subject="alice")

    (info,) = await store.sessions_of("alice")

    assert info.created == datetime(2026, 1, 1, tzinfo=UTC)
    assert info.created.tzinfo is UTC


async def test_it_takes_the_place_of_a_sql_store() -> None:
    """Closing it, as an application does at its end, keeps its sessions."""
    session_id = SessionId.generate()
    async with MemorySessionStore() as store:
        await store.create(session_id, SessionRecord({}, HOUR))

    assert await store.load(session_id) is not None


def test_a_shared_store_has_one_clock() -> None:
    """A second one would contradict it."""
    store = MemorySessionStore()

    with pytest.raises(ValueError, match="clock"):
        MemorySessionStore(sessions_of_store=store, clock=ManualClock())


async def test_about_that_cannot_be_decoded_is_empty(caplog: pytest.LogCaptureFixture) -> None:
    """The user can still see the session, and end it."""
    store = MemorySessionStore()
    await store.sign_in(
        None, SessionId.generate(), SessionRecord({}, HOUR), subject="alice", about={"a": "secret"}
    )
    broken = MemorySessionStore(sessions_of_store=store, codec=BrokenCodec())

    (info,) = await broken.sessions_of("alice")

    assert info.about == {}
    assert await broken.revoke("alice", only=info.handle) == 1
    (entry,) = caplog.records
    assert (entry.name, entry.levelname) == ("sessionstore_sql.accounts", "ERROR")
    assert "secret" not in caplog.text


async def test_threads_share_it() -> None:
    """As event loops of several threads do, in a test of Django's."""
    store, session_id = MemorySessionStore(), SessionId.generate()

    def create() -> bool:
        try:
            asyncio.run(store.create(session_id, SessionRecord({}, HOUR)))
        except DuplicateIdError:
            return False
        return True

    created = await asyncio.gather(*(asyncio.to_thread(create) for _ in range(8)))

    assert sum(created) == 1
