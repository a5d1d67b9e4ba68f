"""``sign_in``: where a session comes from, whose it becomes, and what remains of the old one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore_sql import (
    DuplicateIdError,
    SessionId,
    SignInError,
    UnknownIdError,
)
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    about_of,
    anonymous_id,
    expired_account_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, fails, record

MINUTE = timedelta(minutes=1)


class SignInContract(AccountBackendTests):
    """What ``sign_in`` does with live, unknown and expired ids, of the same subject and others."""

    async def test_a_sign_in_stores_a_session(self, backend: FullBackend) -> None:
        """Without a session before, a new one begins."""
        subject, session_id = new_subject(), SessionId.generate()

        handle = await backend.sign_in(None, session_id, record(user=1), subject=subject)

        session = await session_of(backend, session_id)
        assert session.record.state == {"user": 1}
        assert HOUR - MINUTE < session.record.ttl <= HOUR
        assert session.handle == handle
        assert session.subject == subject
        assert session.authenticated_ago is not None
        assert timedelta(0) <= session.authenticated_ago < MINUTE
        assert session.ends_in is None
        assert session.idle_ttl is None
        assert await handles_of(backend, subject) == {handle}

    async def test_a_session_of_a_user_is_a_session(self, backend: FullBackend) -> None:
        """The seven operations work on it as on any other."""
        session_id, handle = await signed_in(backend, new_subject())
        new_id = SessionId.generate()

        await backend.update(session_id, record(updated=True))
        await backend.update_ttl(session_id, HOUR)
        await backend.change_id(session_id, new_id)

        loaded = await backend.load(new_id)
        assert loaded is not None
        assert loaded.state == {"updated": True}
        assert (await session_of(backend, new_id)).handle == handle
        await backend.delete(new_id)
        assert await backend.load_session(new_id) is None

    async def test_a_sign_in_from_an_anonymous_session_moves_it(self, backend: FullBackend) -> None:
        """Id, state and deadline are the new ones, and the old id is unknown."""
        subject, old_id, new_id = new_subject(), await anonymous_id(backend), SessionId.generate()

        handle = await backend.sign_in(old_id, new_id, record(MINUTE, user=1), subject=subject)

        session = await session_of(backend, new_id)
        assert session.record.state == {"user": 1}
        assert session.record.ttl <= MINUTE
        assert session.handle == handle
        assert await backend.load(old_id) is None
        assert await handles_of(backend, subject) == {handle}

    async def test_every_sign_in_has_a_handle_of_its_own(self, backend: FullBackend) -> None:
        """Several devices of one user are several sessions."""
        subject = new_subject()

        handles = {(await signed_in(backend, subject))[1] for _ in range(3)}

        assert len(handles) == 3
        assert await handles_of(backend, subject) == handles

    async def test_re_authentication_keeps_the_handle(self, backend: FullBackend) -> None:
        """The same subject signs in again: handle and creation time stay, the id is new."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, handle = await signed_in(backend, subject)
        (before,) = await backend.sessions_of(subject)

        again = await backend.sign_in(old_id, new_id, record(again=True), subject=subject)

        (after,) = await backend.sessions_of(subject)
        assert again == handle == after.handle
        assert after.created == before.created
        assert after.authenticated >= before.authenticated
        assert (await session_of(backend, new_id)).record.state == {"again": True}
        assert await backend.load(old_id) is None

    async def test_another_user_gets_another_handle(self, backend: FullBackend) -> None:
        """A user signs in where another was: nothing of the other's session remains."""
        first, second, new_id = new_subject("first"), new_subject("second"), SessionId.generate()
        old_id, old_handle = await signed_in(
            backend, first, about={"device": "phone"}, idle_ttl=MINUTE
        )

        handle = await backend.sign_in(old_id, new_id, record(user=2), subject=second)

        session = await session_of(backend, new_id)
        assert handle != old_handle
        assert session.handle == handle
        assert session.idle_ttl is None
        assert await handles_of(backend, first) == set()
        assert await handles_of(backend, second) == {handle}
        assert await about_of(backend, second) == {}
        assert await backend.revoke(first) == 0
        assert await backend.load(new_id) is not None

    @pytest.mark.parametrize("old", ["unknown", "expired", "expired of the subject"])
    @pytest.mark.parametrize("new", ["unknown", "live"])
    async def test_a_sign_in_from_an_id_that_is_not_live_stores_nothing(
        self, backend: FullBackend, old: str, new: str
    ) -> None:
        """The caller decides to sign in without it."""
        subject = new_subject()
        old_id = SessionId.generate()
        if old == "expired":
            await backend.create(old_id, record(AT_ONCE))
        elif old != "unknown":
            old_id = await expired_account_id(backend, subject)
        new_id = SessionId.generate() if new == "unknown" else await anonymous_id(backend)

        with fails(SignInError, UnknownIdError) as caught:
            await backend.sign_in(old_id, new_id, record(), subject=subject)

        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        assert (await backend.load(new_id) is not None) == (new == "live")
        assert await handles_of(backend, subject) == set()

    @pytest.mark.parametrize("old", ["none", "anonymous", "of the subject"])
    async def test_a_sign_in_onto_a_live_id_changes_nothing(
        self, backend: FullBackend, old: str
    ) -> None:
        """Both sessions are intact."""
        subject, new_id = new_subject(), SessionId.generate()
        await backend.create(new_id, record(other=True))
        old_id, handles = None, set()
        if old == "anonymous":
            old_id = await anonymous_id(backend)
        elif old != "none":
            old_id, handle = await signed_in(backend, subject)
            handles = {handle}

        with fails(SignInError, DuplicateIdError) as caught:
            await backend.sign_in(old_id, new_id, record(), subject=subject)

        assert caught.value.session_id == new_id  # type: ignore[attr-defined]
        taken = await session_of(backend, new_id)
        assert taken.record.state == {"other": True}
        assert taken.handle is None
        assert await handles_of(backend, subject) == handles
        if old_id is not None:
            assert await backend.load(old_id) is not None

    async def test_a_sign_in_onto_its_own_id_changes_nothing(self, backend: FullBackend) -> None:
        """A sign-in without a new id would leave a planted one in use."""
        subject, session_id = new_subject(), await anonymous_id(backend)

        with fails(SignInError, DuplicateIdError):
            await backend.sign_in(session_id, session_id, record(), subject=subject)

        session = await session_of(backend, session_id)
        assert session.record.state == {"was": "anonymous"}
        assert session.handle is None

    @pytest.mark.parametrize("from_session", [True, False])
    async def test_a_sign_in_replaces_an_expired_session(
        self, backend: FullBackend, from_session: bool
    ) -> None:
        """Nothing of the session that had the id before remains, its user included."""
        other, subject = new_subject("other"), new_subject()
        new_id = await expired_account_id(backend, other)
        old_id = await anonymous_id(backend) if from_session else None

        handle = await backend.sign_in(old_id, new_id, record(user=1), subject=subject)

        assert (await session_of(backend, new_id)).handle == handle
        assert await backend.revoke(other) == 0
        assert await about_of(backend, subject) == {}

    async def test_the_sign_in_of_a_session_that_is_over_at_once(
        self, backend: FullBackend
    ) -> None:
        """A TTL of zero is legal here too."""
        subject = new_subject()

        session_id, _ = await signed_in(backend, subject, AT_ONCE)

        assert await backend.load_session(session_id) is None
        assert await handles_of(backend, subject) == set()
