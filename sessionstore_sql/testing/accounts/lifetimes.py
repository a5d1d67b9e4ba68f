"""Lifetimes: absolute ones, idle ones, and limits on the number of sessions."""

from __future__ import annotations

import asyncio
import enum
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sessionstore_sql import UNCHANGED, SessionId
from sessionstore_sql.testing.accounts.listing import TICK_S
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    anonymous_id,
    expired_account_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import HOUR, record

if TYPE_CHECKING:
    from sessionstore_sql.accounts.sessions import IdleTtl

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


class Constant(enum.IntEnum):
    """A limit that has a name."""

    ONE = 1


async def written(
    backend: FullBackend, session_id: SessionId, how: str, idle_ttl: IdleTtl = UNCHANGED
) -> SessionId:
    """Write to a session in one of the ways there are, with a TTL of a day; return its id."""
    new_id = SessionId.generate()
    match how:
        case "update":
            await backend.update(session_id, record(DAY))
        case "update_ttl":
            await backend.update_ttl(session_id, DAY)
        case "change_id":
            await backend.change_id(session_id, new_id)
            return new_id
        case "update_if":
            version = (await session_of(backend, session_id)).version
            await backend.update_if(session_id, record(DAY), version, idle_ttl=idle_ttl)
        case "replace":
            await backend.replace(session_id, new_id, record(DAY), idle_ttl=idle_ttl)
            return new_id
        case _:
            raise AssertionError(how)
    return session_id


class LifetimeContract(AccountBackendTests):
    """How long a session lives, and how many a user may have."""

    async def test_a_lifetime_bounds_the_deadline(self, backend: FullBackend) -> None:
        """A TTL beyond it is cut to it, to the microsecond."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject, DAY, lifetime=HOUR)

        session = await session_of(backend, session_id)
        (info,) = await backend.sessions_of(subject)

        assert session.ends_in is not None
        assert session.record.ttl <= session.ends_in <= HOUR
        assert info.expires == info.ends == info.created + HOUR

    @pytest.mark.parametrize("how", ["update", "update_ttl", "change_id", "update_if", "replace"])
    async def test_no_write_extends_a_session_beyond_its_lifetime(
        self, backend: FullBackend, how: str
    ) -> None:
        """A stolen cookie in use does not stay valid forever."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject, lifetime=HOUR)
        (before,) = await backend.sessions_of(subject)

        await written(backend, session_id, how)

        (after,) = await backend.sessions_of(subject)
        assert before.ends is not None
        assert after.ends == before.ends
        assert after.expires <= before.ends

    async def test_a_lifetime_that_is_over_ends_the_session(self, backend: FullBackend) -> None:
        """Whatever the TTL is."""
        subject = new_subject()

        session_id, _ = await signed_in(backend, subject, DAY, lifetime=MICROSECOND)
        await asyncio.sleep(TICK_S)

        assert await backend.load(session_id) is None
        assert await backend.load_session(session_id) is None
        assert await handles_of(backend, subject) == set()

    async def test_a_ttl_within_the_lifetime_is_what_it_is(self, backend: FullBackend) -> None:
        """The shorter of the two counts."""
        subject = new_subject()
        await signed_in(backend, subject, HOUR, lifetime=DAY)

        (info,) = await backend.sessions_of(subject)

        assert info.expires == info.seen + HOUR

    async def test_a_lifetime_begins_anew_at_re_authentication(self, backend: FullBackend) -> None:
        """The user has proved who they are."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend, subject, DAY, lifetime=HOUR)
        (before,) = await backend.sessions_of(subject)

        await backend.sign_in(old_id, new_id, record(DAY), subject=subject, lifetime=2 * HOUR)

        (after,) = await backend.sessions_of(subject)
        assert before.ends is not None
        assert after.ends is not None
        assert after.ends == after.expires == after.authenticated + 2 * HOUR

    @pytest.mark.parametrize("idle_ttl", [None, HOUR, timedelta(days=30, microseconds=1)])
    async def test_an_idle_time_comes_back(
        self, backend: FullBackend, idle_ttl: timedelta | None
    ) -> None:
        """The store keeps it for the adapters and does nothing else with it."""
        session_id, _ = await signed_in(backend, new_subject(), idle_ttl=idle_ttl)

        session = await session_of(backend, session_id)

        assert session.idle_ttl == idle_ttl
        assert session.record.ttl <= HOUR

    @pytest.mark.parametrize("how", ["update", "update_ttl", "change_id", "update_if", "replace"])
    async def test_an_idle_time_is_kept(self, backend: FullBackend, how: str) -> None:
        """Renewals, rotation and the writes of other requests leave it alone."""
        session_id, _ = await signed_in(backend, new_subject(), idle_ttl=30 * DAY)

        session_id = await written(backend, session_id, how)

        assert (await session_of(backend, session_id)).idle_ttl == 30 * DAY

    @pytest.mark.parametrize("how", ["update_if", "replace"])
    @pytest.mark.parametrize("idle_ttl", [None, 2 * HOUR])
    async def test_an_idle_time_can_be_changed(
        self, backend: FullBackend, how: str, idle_ttl: timedelta | None
    ) -> None:
        """To another one, or back to the application's default."""
        session_id, _ = await signed_in(backend, new_subject(), idle_ttl=30 * DAY)

        session_id = await written(backend, session_id, how, idle_ttl)

        assert (await session_of(backend, session_id)).idle_ttl == idle_ttl

    async def test_an_anonymous_session_can_have_an_idle_time(self, backend: FullBackend) -> None:
        """It is kept when the visitor signs in."""
        session_id, new_id = await anonymous_id(backend), SessionId.generate()
        session_id = await written(backend, session_id, "update_if", 2 * HOUR)

        await backend.sign_in(session_id, new_id, record(), subject=new_subject())

        assert (await session_of(backend, new_id)).idle_ttl == 2 * HOUR

    @pytest.mark.parametrize(("given", "expected"), [(UNCHANGED, DAY), (None, None), (HOUR, HOUR)])
    async def test_re_authentication_keeps_or_changes_the_idle_time(
        self, backend: FullBackend, given: IdleTtl, expected: timedelta | None
    ) -> None:
        """Left out, it stays."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend, subject, idle_ttl=DAY)

        await backend.sign_in(old_id, new_id, record(), subject=subject, idle_ttl=given)

        assert (await session_of(backend, new_id)).idle_ttl == expected

    async def test_the_oldest_sessions_above_the_limit_end(self, backend: FullBackend) -> None:
        """A sign-in is never rejected; the session that began first makes room."""
        subject = new_subject()
        handles = []
        for _ in range(5):
            handles.append((await signed_in(backend, subject, max_sessions=3))[1])
            await asyncio.sleep(TICK_S)

        assert await handles_of(backend, subject) == set(handles[2:])

    async def test_the_use_of_a_session_does_not_save_it(self, backend: FullBackend) -> None:
        """The limit goes by when sessions began, which never changes."""
        subject = new_subject()
        first, _ = await signed_in(backend, subject)
        await asyncio.sleep(TICK_S)
        _, second = await signed_in(backend, subject)
        await asyncio.sleep(TICK_S)
        await backend.update(first, record(used=True))

        _, third = await signed_in(backend, subject, max_sessions=2)

        assert await handles_of(backend, subject) == {second, third}

    async def test_a_limit_that_was_lowered_ends_several(self, backend: FullBackend) -> None:
        """At the next sign-in."""
        subject = new_subject()
        for _ in range(4):
            await signed_in(backend, subject)
        await asyncio.sleep(TICK_S)

        _, last = await signed_in(backend, subject, max_sessions=1)

        assert await handles_of(backend, subject) == {last}

    async def test_a_limit_beyond_every_number_of_sessions_ends_none(
        self, backend: FullBackend, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A database may have no such number."""
        subject = new_subject()
        for limit in (2**31, 2**63, 2**70):
            await signed_in(backend, subject, max_sessions=limit)

        assert len(await handles_of(backend, subject)) == 3
        assert caplog.records == []

    async def test_a_limit_may_be_a_number_of_a_derived_class(self, backend: FullBackend) -> None:
        """Such as a constant of the application's."""
        subject = new_subject()
        for _ in range(2):
            await signed_in(backend, subject)
            await asyncio.sleep(TICK_S)

        _, last = await signed_in(backend, subject, max_sessions=Constant.ONE)

        assert [info.handle for info in await backend.sessions_of(subject, limit=Constant.ONE)] == [
            last
        ]

    async def test_re_authentication_is_no_further_session(self, backend: FullBackend) -> None:
        """It ends none at the limit."""
        subject = new_subject()
        _, kept = await signed_in(backend, subject, max_sessions=2)
        old_id, handle = await signed_in(backend, subject, max_sessions=2)

        await backend.sign_in(
            old_id, SessionId.generate(), record(), subject=subject, max_sessions=2
        )

        assert await handles_of(backend, subject) == {kept, handle}

    async def test_an_expired_session_costs_no_live_one_its_place(
        self, backend: FullBackend
    ) -> None:
        """The limit counts live sessions."""
        subject = new_subject()
        _, kept = await signed_in(backend, subject)
        await asyncio.sleep(TICK_S)
        for _ in range(2):
            await expired_account_id(backend, subject)
        await asyncio.sleep(TICK_S)

        _, last = await signed_in(backend, subject, max_sessions=2)

        assert await handles_of(backend, subject) == {kept, last}

    async def test_the_limit_is_each_users_own(self, backend: FullBackend) -> None:
        """Neither other users nor anonymous visitors count."""
        subject, other = new_subject(), new_subject("other")
        _, others = await signed_in(backend, other, max_sessions=1)
        visitor = await anonymous_id(backend)

        _, handle = await signed_in(backend, subject, max_sessions=1)

        assert await handles_of(backend, subject) == {handle}
        assert await handles_of(backend, other) == {others}
        assert await backend.load(visitor) is not None
