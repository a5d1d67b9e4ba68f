"""``sessions_of``: the list that a user is shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from sessionstore_sql import SessionId
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    anonymous_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record

TICK_S = 0.003
"""Long enough for the clock of every database to advance: SQLite's counts milliseconds."""


class ListingContract(AccountBackendTests):
    """Which sessions are listed, in which order, and what is said of each."""

    async def test_a_user_without_sessions_has_an_empty_list(self, backend: FullBackend) -> None:
        """That is no error."""
        assert await backend.sessions_of(new_subject()) == []

    async def test_sessions_that_are_over_are_left_out(self, backend: FullBackend) -> None:
        """Expired, deleted and rotated sessions are not listed, and other users' neither."""
        subject = new_subject()
        _, kept = await signed_in(backend, subject)
        expired, _ = await signed_in(backend, subject)
        deleted, _ = await signed_in(backend, subject)
        rotated, handle = await signed_in(backend, subject)
        await signed_in(backend, new_subject("other"))
        await anonymous_id(backend)
        await backend.update_ttl(expired, AT_ONCE)
        await backend.delete(deleted)
        await backend.change_id(rotated, SessionId.generate())

        assert sorted(info.handle.value for info in await backend.sessions_of(subject)) == sorted(
            [kept.value, handle.value]
        )

    async def test_times_are_in_utc_and_in_order(self, backend: FullBackend) -> None:
        """Created, authenticated, seen, expires: each not before the one before it."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject, lifetime=2 * HOUR)
        await asyncio.sleep(TICK_S)
        await backend.update(session_id, record(later=True))

        (info,) = await backend.sessions_of(subject)

        assert info.created == info.authenticated < info.seen < info.expires
        assert info.ends is not None
        assert info.created < info.ends
        for time in (info.created, info.authenticated, info.seen, info.expires, info.ends):
            assert time.tzinfo is UTC

    async def test_expires_and_ends_are_those_of_the_session(self, backend: FullBackend) -> None:
        """A session expires after its TTL and ends after its lifetime; without one it does not."""
        subject, other = new_subject(), new_subject("other")
        await signed_in(backend, subject, HOUR, lifetime=3 * HOUR)
        await signed_in(backend, other, HOUR)

        (info,) = await backend.sessions_of(subject)
        (endless,) = await backend.sessions_of(other)

        assert info.expires - info.seen == HOUR
        assert info.ends is not None
        assert info.ends - info.created == 3 * HOUR
        assert endless.ends is None

    @pytest.mark.parametrize(
        "write", ["update", "update_ttl", "update_if", "replace", "change_id", "sign_in"]
    )
    async def test_every_write_is_seen(self, backend: FullBackend, write: str) -> None:
        """A session that was written last is the first of the list."""
        subject = new_subject()
        session_id, handle = await signed_in(backend, subject)
        version = (await session_of(backend, session_id)).version
        await asyncio.sleep(TICK_S)
        await signed_in(backend, subject)
        new_id = SessionId.generate()
        await asyncio.sleep(TICK_S)
        match write:
            case "update":
                await backend.update(session_id, record())
            case "update_ttl":
                await backend.update_ttl(session_id, HOUR)
            case "update_if":
                await backend.update_if(session_id, record(), version)
            case "replace":
                await backend.replace(session_id, new_id, record())
            case "change_id":
                await backend.change_id(session_id, new_id)
            case _:
                await backend.sign_in(session_id, new_id, record(), subject=subject)

        first, second = await backend.sessions_of(subject)

        assert first.handle == handle
        assert first.seen > second.seen

    async def test_a_load_is_not_seen(self, backend: FullBackend) -> None:
        """Reading writes nothing."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject)
        before = await backend.sessions_of(subject)
        await asyncio.sleep(TICK_S)

        await backend.load(session_id)
        await backend.load_session(session_id)

        assert await backend.sessions_of(subject) == before

    async def test_the_limit_keeps_those_seen_last(self, backend: FullBackend) -> None:
        """The list is cut off at its end; a limit beyond it cuts nothing."""
        subject = new_subject()
        handles = []
        for _ in range(4):
            handles.append((await signed_in(backend, subject))[1])
            await asyncio.sleep(TICK_S)

        listed = [info.handle for info in await backend.sessions_of(subject, limit=2)]

        assert listed == [handles[3], handles[2]]
        assert len(await backend.sessions_of(subject, limit=2**70)) == 4

    async def test_the_list_has_100_sessions_by_default(self, backend: FullBackend) -> None:
        """A page of a user's sessions has to end somewhere."""
        subject = new_subject()
        for _ in range(101):
            await signed_in(backend, subject)

        assert len(await backend.sessions_of(subject)) == 100
        assert await backend.revoke(subject) == 101

    async def test_an_entry_holds_neither_id_nor_state(self, backend: FullBackend) -> None:
        """What is shown to the user opens nothing."""
        subject = new_subject()
        session_id, handle = await signed_in(backend, subject, about={"device": "phone"})

        (info,) = await backend.sessions_of(subject)

        assert session_id.value not in repr(info) + repr(info.about)
        assert await backend.load(SessionId(handle.value)) is None
        assert await backend.load_session(SessionId(handle.value)) is None

    async def test_ages_count_from_the_sign_in(self, backend: FullBackend) -> None:
        """Re-authentication begins a new count of what is authenticated, not of what is created."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend, subject)
        await asyncio.sleep(TICK_S)
        before = (await session_of(backend, old_id)).authenticated_ago
        (first,) = await backend.sessions_of(subject)

        await backend.sign_in(old_id, new_id, record(), subject=subject)

        (second,) = await backend.sessions_of(subject)
        assert before is not None
        assert before >= timedelta(seconds=TICK_S / 2)
        assert second.created == first.created
        assert second.authenticated > first.authenticated
        assert await handles_of(backend, subject) == {first.handle}
