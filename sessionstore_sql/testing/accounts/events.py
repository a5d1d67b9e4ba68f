"""``on_event``: what a backend reports, and when."""

from __future__ import annotations

import asyncio

import pytest

from sessionstore_sql import (
    AccountEvent,
    AccountEventKind,
    SessionHandle,
    SessionId,
    UnknownIdError,
)
from sessionstore_sql.testing.accounts.listing import TICK_S
from sessionstore_sql.testing.accounts.support import (
    BackendWith,
    OptionTests,
    anonymous_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import record


class AccountEventContract(OptionTests):
    """What the option ``on_event`` does."""

    async def test_every_change_is_reported(self, backend_with: BackendWith) -> None:
        """Kind, user as the caller named them, handles and number."""
        seen: list[AccountEvent] = []
        backend, subject = backend_with(on_event=seen.append), new_subject()
        ids = [SessionId.generate() for _ in range(3)]

        first = await backend.sign_in(None, ids[0], record(), subject=subject)
        await backend.sign_in(ids[0], ids[1], record(), subject=subject)
        await backend.sign_out(ids[1], await session_of(backend, ids[1]))
        second = await backend.sign_in(None, ids[2], record(), subject=subject)
        await backend.revoke(subject)

        kind = AccountEventKind
        assert [(each.kind, each.subject, each.count) for each in seen] == [
            (kind.SIGNED_IN, subject, 1),
            (kind.REAUTHENTICATED, subject, 1),
            (kind.SIGNED_OUT, None, 1),
            (kind.SIGNED_IN, subject, 1),
            (kind.REVOKED, subject, 1),
        ]
        assert [each.handles for each in seen[:4]] == [(first,), (first,), (first,), (second,)]

    async def test_evictions_are_one_event(self, backend_with: BackendWith) -> None:
        """After that of the sign-in, however many sessions ended."""
        seen: list[AccountEvent] = []
        backend, subject = backend_with(on_event=seen.append), new_subject()
        ended = {(await signed_in(backend, subject))[1] for _ in range(3)}
        await asyncio.sleep(TICK_S)
        seen.clear()

        await signed_in(backend, subject, max_sessions=1)

        signed, evicted = seen
        assert signed.kind is AccountEventKind.SIGNED_IN
        assert (evicted.kind, evicted.subject, evicted.count) == (
            AccountEventKind.EVICTED,
            subject,
            3,
        )
        assert set(evicted.handles) <= ended

    async def test_nothing_ended_is_no_event(self, backend_with: BackendWith) -> None:
        """Neither a revocation of nothing nor a second sign-out, nor a call that failed."""
        seen: list[AccountEvent] = []
        backend, subject = backend_with(on_event=seen.append), new_subject()
        session_id, _ = await signed_in(backend, subject)
        loaded = await session_of(backend, session_id)
        await backend.sign_out(session_id, loaded)
        seen.clear()

        await backend.sign_out(session_id, loaded)
        await backend.revoke(subject)
        await backend.revoke(subject, only=SessionHandle.generate())
        with pytest.raises(UnknownIdError):
            await backend.sign_in(session_id, SessionId.generate(), record(), subject=subject)

        assert seen == []

    async def test_the_end_of_an_anonymous_session_is_no_event(
        self, backend_with: BackendWith
    ) -> None:
        """No user was signed in."""
        seen: list[AccountEvent] = []
        backend = backend_with(on_event=seen.append)
        session_id = await anonymous_id(backend)

        await backend.sign_out(session_id, await session_of(backend, session_id))

        assert seen == []

    async def test_an_event_comes_after_the_change(self, backend_with: BackendWith) -> None:
        """A coroutine function is awaited, and sees what was committed."""
        backend, subject = backend_with(), new_subject()
        listed: list[set[SessionHandle]] = []

        async def listen(_event: AccountEvent) -> None:
            listed.append(await handles_of(backend, subject))

        watched = backend_with(on_event=listen)
        _, handle = await signed_in(watched, subject)
        await watched.revoke(subject)

        assert listed == [{handle}, set()]

    async def test_what_a_listener_raises_fails_no_call(self, backend_with: BackendWith) -> None:
        """The change was committed."""

        def fail(_event: AccountEvent) -> None:
            raise RuntimeError("the audit log is full")

        backend, subject = backend_with(on_event=fail), new_subject()
        _, handle = await signed_in(backend, subject)

        assert await handles_of(backend, subject) == {handle}
        assert await backend.revoke(subject) == 1
