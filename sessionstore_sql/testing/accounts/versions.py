"""Versions: ``update_if``, ``replace`` and ``sign_in`` do not overwrite another writer's state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    ConflictError,
    ReplaceError,
    SerializationError,
    SessionId,
    SessionRecord,
    SignInError,
    UnknownIdError,
    UpdateIfError,
)
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    anonymous_id,
    each_kind,
    expired_account_id,
    handles_of,
    made,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, fails, record

MINUTE = timedelta(minutes=1)


class Version(int):
    """A number of a derived class."""


class VersionContract(AccountBackendTests):
    """Writes that succeed only if the session still has the expected version."""

    @each_kind
    async def test_update_if_stores_the_state(self, backend: FullBackend, kind: str) -> None:
        """State, deadline and version are the new ones; the account stays."""
        session_id = await made(backend, kind)
        before = await session_of(backend, session_id)

        version = await backend.update_if(session_id, record(MINUTE, new=True), before.version)

        after = await session_of(backend, session_id)
        assert after.record.state == {"new": True}
        assert after.record.ttl <= MINUTE
        assert after.version == version != before.version
        assert after.handle == before.handle

    async def test_update_if_can_follow_itself(self, backend: FullBackend) -> None:
        """The version that it returns is good for the next one."""
        session_id = await anonymous_id(backend)
        version = (await session_of(backend, session_id)).version

        for number in range(3):
            version = await backend.update_if(session_id, record(number=number), version)

        assert (await session_of(backend, session_id)).record.state == {"number": 2}

    @pytest.mark.parametrize("by", ["update", "update_if", "replace", "sign_in"])
    async def test_a_state_that_was_stored_meanwhile_is_a_conflict(
        self, backend: FullBackend, by: str
    ) -> None:
        """Whatever stored it, the later write under the old version changes nothing."""
        session_id = await anonymous_id(backend)
        version = (await session_of(backend, session_id)).version
        if by == "update":
            await backend.update(session_id, record(first=True))
        elif by == "update_if":
            await backend.update_if(session_id, record(first=True), version)
        else:
            back, session_id = session_id, SessionId.generate()
            if by == "replace":
                await backend.replace(back, session_id, record(first=True))
            else:
                await backend.sign_in(back, session_id, record(first=True), subject=new_subject())

        with fails(UpdateIfError, ConflictError) as caught:
            await backend.update_if(session_id, record(MINUTE, second=True), version)

        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        loaded = (await session_of(backend, session_id)).record
        assert loaded.state == {"first": True}
        assert loaded.ttl > MINUTE

    async def test_the_same_state_again_is_a_conflict(self, backend: FullBackend) -> None:
        """A version changes with every write of a state, whatever the state is."""
        session_id = await anonymous_id(backend)
        version = (await session_of(backend, session_id)).version
        await backend.update(session_id, record(was="anonymous"))

        with fails(UpdateIfError, ConflictError):
            await backend.update_if(session_id, record(was="anonymous"), version)

    @pytest.mark.parametrize("by", ["update_ttl", "change_id"])
    async def test_a_change_of_no_state_is_no_conflict(self, backend: FullBackend, by: str) -> None:
        """Extending or rotating a session keeps its version."""
        session_id = await anonymous_id(backend)
        version = (await session_of(backend, session_id)).version
        if by == "update_ttl":
            await backend.update_ttl(session_id, HOUR)
        else:
            new_id = SessionId.generate()
            await backend.change_id(session_id, new_id)
            session_id = new_id

        await backend.update_if(session_id, record(new=True), version)

        assert (await session_of(backend, session_id)).record.state == {"new": True}

    @pytest.mark.parametrize("how", ["unknown", "expired", "deleted", "rotated", "revoked"])
    async def test_update_if_never_revives_a_session(self, backend: FullBackend, how: str) -> None:
        """A session that ended is unknown, whatever the version."""
        subject = new_subject()
        session_id, _ = await signed_in(backend, subject)
        version = (await session_of(backend, session_id)).version
        if how == "unknown":
            session_id = SessionId.generate()
        elif how == "expired":
            await backend.update_ttl(session_id, AT_ONCE)
        elif how == "deleted":
            await backend.delete(session_id)
        elif how == "rotated":
            await backend.change_id(session_id, SessionId.generate())
        else:
            await backend.revoke(subject)

        with fails(UpdateIfError, UnknownIdError) as caught:
            await backend.update_if(session_id, record(), version)

        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        assert await backend.load(session_id) is None

    async def test_update_if_with_what_json_would_alter_changes_nothing(
        self, backend: FullBackend
    ) -> None:
        """The version stays valid."""
        session_id = await anonymous_id(backend)
        version = (await session_of(backend, session_id)).version
        bad: dict[str, Any] = {"a": {1}}

        with fails(UpdateIfError, SerializationError):
            await backend.update_if(session_id, SessionRecord(bad, HOUR), version)

        await backend.update_if(session_id, record(new=True), version)

    async def test_a_version_of_another_session_is_a_conflict(self, backend: FullBackend) -> None:
        """Versions of two sessions are never the same by accident."""
        first, second = await anonymous_id(backend), await anonymous_id(backend)
        version = (await session_of(backend, second)).version

        with fails(UpdateIfError, ConflictError):
            await backend.update_if(first, record(), version)

    async def test_a_version_of_a_derived_class_is_compared_exactly(
        self, backend: FullBackend
    ) -> None:
        """As text, a server would compare it as floating point, and take the next one for it."""
        session_id, new_id = await anonymous_id(backend), SessionId.generate()
        version = (await session_of(backend, session_id)).version
        wrong = Version(version ^ 1)

        with fails(UpdateIfError, ConflictError):
            await backend.update_if(session_id, record(), wrong)
        with fails(ReplaceError, ConflictError):
            await backend.replace(session_id, new_id, record(), version=wrong)
        with fails(SignInError, ConflictError):
            await backend.sign_in(
                session_id, new_id, record(), subject=new_subject(), version=wrong
            )
        await backend.update_if(session_id, record(), Version(version))

    @pytest.mark.parametrize("current", [True, False])
    async def test_replace_with_a_version(self, backend: FullBackend, current: bool) -> None:
        """The session moves only if its state is the one that was loaded."""
        old_id, new_id = await anonymous_id(backend), SessionId.generate()
        version = (await session_of(backend, old_id)).version
        if current:
            await backend.replace(old_id, new_id, record(new=True), version=version)
            assert (await session_of(backend, new_id)).record.state == {"new": True}
            return
        await backend.update(old_id, record(first=True))

        with fails(ReplaceError, ConflictError) as caught:
            await backend.replace(old_id, new_id, record(new=True), version=version)

        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        assert (await session_of(backend, old_id)).record.state == {"first": True}
        assert await backend.load(new_id) is None

    @each_kind
    @pytest.mark.parametrize("current", [True, False])
    async def test_a_sign_in_with_a_version(
        self, backend: FullBackend, kind: str, current: bool
    ) -> None:
        """A purchase beside a login is not lost: the login is told of it."""
        subject = new_subject()
        old_id, new_id = await made(backend, kind), SessionId.generate()
        before = await session_of(backend, old_id)
        if current:
            handle = await backend.sign_in(
                old_id, new_id, record(new=True), subject=subject, version=before.version
            )
            assert await handles_of(backend, subject) == {handle}
            return
        await backend.update(old_id, record(bought=True))

        with fails(SignInError, ConflictError) as caught:
            await backend.sign_in(
                old_id, new_id, record(new=True), subject=subject, version=before.version
            )

        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        after = await session_of(backend, old_id)
        assert after.record.state == {"bought": True}
        assert after.handle == before.handle
        assert await backend.load(new_id) is None
        assert await handles_of(backend, subject) == set()

    @pytest.mark.parametrize("operation", ["replace", "sign_in"])
    async def test_an_unknown_id_is_no_conflict(self, backend: FullBackend, operation: str) -> None:
        """What is not live has no version."""
        old_id, new_id = SessionId.generate(), SessionId.generate()

        if operation == "replace":
            with fails(ReplaceError, UnknownIdError):
                await backend.replace(old_id, new_id, record(), version=1)
        else:
            with fails(SignInError, UnknownIdError):
                await backend.sign_in(old_id, new_id, record(), subject=new_subject(), version=1)

    async def test_load_session_of_an_anonymous_session(self, backend: FullBackend) -> None:
        """It has a version, and nothing of an account."""
        session = await session_of(backend, await anonymous_id(backend))

        assert session.record.state == {"was": "anonymous"}
        assert HOUR - MINUTE < session.record.ttl <= HOUR
        assert (session.handle, session.authenticated_ago) == (None, None)
        assert session.account is None

    @pytest.mark.parametrize("expired", [True, False])
    async def test_load_session_of_an_id_that_is_not_live_is_none(
        self, backend: FullBackend, expired: bool
    ) -> None:
        """Unknown and expired are the same."""
        session_id = SessionId.generate()
        if expired:
            session_id = await expired_account_id(backend, new_subject())

        assert await backend.load_session(session_id) is None
