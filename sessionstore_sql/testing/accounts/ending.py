"""``revoke`` and ``sign_out``: which sessions end, and which do not."""

from __future__ import annotations

import pytest

from sessionstore_sql import SessionHandle, SessionId, UnknownIdError, UpdateError
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
from sessionstore_sql.testing.support import fails, record


class EndingContract(AccountBackendTests):
    """Ending the sessions of one user."""

    async def test_revoke_ends_every_session_of_the_user(self, backend: FullBackend) -> None:
        """Those of other users, and anonymous ones, remain."""
        subject, other = new_subject(), new_subject("other")
        ended = [(await signed_in(backend, subject))[0] for _ in range(3)]
        kept = [(await signed_in(backend, other))[0], await anonymous_id(backend)]

        assert await backend.revoke(subject) == 3

        assert [await backend.load(each) for each in ended] == [None] * 3
        assert None not in [await backend.load(each) for each in kept]
        assert await handles_of(backend, subject) == set()

    async def test_revoke_finds_a_session_under_its_present_id(self, backend: FullBackend) -> None:
        """Rotated, replaced or re-authenticated, it ends."""
        subject = new_subject()
        ids = [SessionId.generate() for _ in range(3)]
        rotated, replaced, again = [(await signed_in(backend, subject))[0] for _ in range(3)]
        await backend.change_id(rotated, ids[0])
        await backend.replace(replaced, ids[1], record())
        await backend.sign_in(again, ids[2], record(), subject=subject)

        assert await backend.revoke(subject) == 3

        assert [await backend.load(each) for each in ids] == [None] * 3

    async def test_revoke_ends_a_session_that_began_anonymous(self, backend: FullBackend) -> None:
        """What counts is whose it is now."""
        subject, new_id = new_subject(), SessionId.generate()
        await backend.sign_in(await anonymous_id(backend), new_id, record(), subject=subject)

        assert await backend.revoke(subject) == 1
        assert await backend.load(new_id) is None

    async def test_a_late_write_does_not_revive_a_revoked_session(
        self, backend: FullBackend
    ) -> None:
        """A request that finishes late cannot log a user back in."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject)
        await backend.revoke(subject)

        with fails(UpdateError, UnknownIdError):
            await backend.update(session_id, record())

        assert await backend.load(session_id) is None

    async def test_revoking_nothing_is_no_error(self, backend: FullBackend) -> None:
        """It returns zero, and does so the second time."""
        subject = new_subject()
        assert await backend.revoke(subject) == 0
        await signed_in(backend, subject)
        assert [await backend.revoke(subject), await backend.revoke(subject)] == [1, 0]

    async def test_revoke_counts_expired_sessions(self, backend: FullBackend) -> None:
        """It looks at no clock."""
        subject = new_subject()
        await expired_account_id(backend, subject)
        await signed_in(backend, subject)

        assert await backend.revoke(subject) == 2

    async def test_revoke_of_one_session(self, backend: FullBackend) -> None:
        """The others of the user remain."""
        subject = new_subject()
        ended, handle = await signed_in(backend, subject)
        _, kept = await signed_in(backend, subject)

        assert await backend.revoke(subject, only=handle) == 1

        assert await backend.load(ended) is None
        assert await handles_of(backend, subject) == {kept}
        assert await backend.revoke(subject, only=handle) == 0

    async def test_revoke_of_all_but_one(self, backend: FullBackend) -> None:
        """What a change of the password calls for."""
        subject = new_subject()
        kept_id, kept = await signed_in(backend, subject)
        for _ in range(2):
            await signed_in(backend, subject)

        assert await backend.revoke(subject, keep=kept) == 2

        assert await handles_of(backend, subject) == {kept}
        assert await backend.load(kept_id) is not None

    async def test_a_handle_of_no_session_keeps_nothing(self, backend: FullBackend) -> None:
        """Every session ends that is not the one named."""
        subject = new_subject()
        await signed_in(backend, subject)

        assert await backend.revoke(subject, keep=SessionHandle.generate()) == 1

    async def test_a_handle_is_useless_without_its_subject(self, backend: FullBackend) -> None:
        """A handle that was guessed or seen cannot end the session of another user."""
        subject, attacker = new_subject(), new_subject("attacker")
        _, handle = await signed_in(backend, subject)
        await signed_in(backend, attacker)

        assert await backend.revoke(attacker, only=handle) == 0
        assert await backend.revoke(attacker, keep=handle) == 1

        assert await handles_of(backend, subject) == {handle}

    async def test_only_and_keep_contradict_each_other(self, backend: FullBackend) -> None:
        """Nothing is revoked."""
        subject = new_subject()
        _, handle = await signed_in(backend, subject)

        with pytest.raises(ValueError, match="only and keep"):
            await backend.revoke(subject, only=handle, keep=handle)

        assert await handles_of(backend, subject) == {handle}

    @pytest.mark.parametrize("kind", ["anonymous", "signed in"])
    async def test_sign_out_ends_the_session(self, backend: FullBackend, kind: str) -> None:
        """The one that was loaded, and no other of the user."""
        subject = new_subject()
        _, kept = await signed_in(backend, subject)
        session_id = (
            await anonymous_id(backend)
            if kind == "anonymous"
            else (await signed_in(backend, subject))[0]
        )

        await backend.sign_out(session_id, await session_of(backend, session_id))

        assert await backend.load(session_id) is None
        assert await handles_of(backend, subject) == {kept}

    @pytest.mark.parametrize("by", ["change_id", "replace", "sign_in"])
    async def test_sign_out_ends_a_session_that_was_rotated(
        self, backend: FullBackend, by: str
    ) -> None:
        """The request that signs out still has the old id."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend, subject)
        loaded = await session_of(backend, old_id)
        match by:
            case "change_id":
                await backend.change_id(old_id, new_id)
            case "replace":
                await backend.replace(old_id, new_id, record())
            case _:
                await backend.sign_in(old_id, new_id, record(), subject=subject)

        await backend.sign_out(old_id, loaded)

        assert await backend.load(new_id) is None
        assert await handles_of(backend, subject) == set()

    async def test_sign_out_leaves_the_session_of_the_next_user(self, backend: FullBackend) -> None:
        """Another user has signed in since: that is another session."""
        new_id, next_user = SessionId.generate(), new_subject("next")
        old_id, _ = await signed_in(backend, new_subject())
        loaded = await session_of(backend, old_id)
        handle = await backend.sign_in(old_id, new_id, record(), subject=next_user)

        await backend.sign_out(old_id, loaded)

        assert await handles_of(backend, next_user) == {handle}

    @pytest.mark.parametrize("kind", ["anonymous", "signed in"])
    async def test_sign_out_of_a_session_that_has_ended_is_quiet(
        self, backend: FullBackend, kind: str
    ) -> None:
        """A second click on the button is no error."""
        subject = new_subject()
        session_id = (
            await anonymous_id(backend)
            if kind == "anonymous"
            else (await signed_in(backend, subject))[0]
        )
        loaded = await session_of(backend, session_id)

        await backend.sign_out(session_id, loaded)
        await backend.sign_out(session_id, loaded)

        assert await backend.load(session_id) is None
