"""``replace``: a new id and a new state at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    DuplicateIdError,
    ReplaceError,
    SerializationError,
    SessionId,
    SessionRecord,
    UnknownIdError,
)
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    anonymous_id,
    each_kind,
    expired_account_id,
    made,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import HOUR, fails, record

MINUTE = timedelta(minutes=1)


class ReplacingContract(AccountBackendTests):
    """Writes that replace the id."""

    @each_kind
    async def test_replace_changes_id_and_state_at_once(
        self, backend: FullBackend, kind: str
    ) -> None:
        """Whose session it is, and since when, stays."""
        old_id, new_id = await made(backend, kind), SessionId.generate()
        before = await session_of(backend, old_id)

        await backend.replace(old_id, new_id, record(MINUTE, new=True))

        after = await session_of(backend, new_id)
        assert after.record.state == {"new": True}
        assert after.record.ttl <= MINUTE
        assert after.version != before.version
        assert after.handle == before.handle
        assert (after.authenticated_ago is None) == (kind == "anonymous")
        assert await backend.load(old_id) is None

    async def test_replace_leaves_the_list_of_sessions_as_it_is(self, backend: FullBackend) -> None:
        """Handle, times and ``about`` are those of before."""
        subject = new_subject()
        old_id, _ = await signed_in(backend, subject, about={"device": "phone"})
        (before,) = await backend.sessions_of(subject)

        await backend.replace(old_id, SessionId.generate(), record(new=True))

        (after,) = await backend.sessions_of(subject)
        assert (after.handle, after.created, after.authenticated, after.about) == (
            before.handle,
            before.created,
            before.authenticated,
            {"device": "phone"},
        )

    @pytest.mark.parametrize("old", ["unknown", "expired"])
    @pytest.mark.parametrize("new", ["unknown", "live", "the same"])
    async def test_replace_of_an_id_that_is_not_live_stores_nothing(
        self, backend: FullBackend, old: str, new: str
    ) -> None:
        """The old id is the unknown one, whatever the new one is."""
        old_id = SessionId.generate()
        if old == "expired":
            old_id = await expired_account_id(backend, new_subject())
        new_id = {"unknown": SessionId.generate(), "the same": old_id}.get(new)
        if new_id is None:
            new_id = await anonymous_id(backend)

        with fails(ReplaceError, UnknownIdError) as caught:
            await backend.replace(old_id, new_id, record())

        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        assert (await backend.load(new_id) is not None) == (new == "live")

    @each_kind
    @pytest.mark.parametrize("onto", ["another", "itself"])
    async def test_replace_onto_a_live_id_changes_nothing(
        self, backend: FullBackend, kind: str, onto: str
    ) -> None:
        """Both sessions are intact."""
        old_id = await made(backend, kind)
        before = await session_of(backend, old_id)
        new_id = old_id if onto == "itself" else await anonymous_id(backend)

        with fails(ReplaceError, DuplicateIdError) as caught:
            await backend.replace(old_id, new_id, record(MINUTE, new=True))

        assert caught.value.session_id == new_id  # type: ignore[attr-defined]
        after = await session_of(backend, old_id)
        assert after.record.state == before.record.state
        assert after.record.ttl > MINUTE
        assert after.version == before.version
        assert await backend.load(new_id) is not None

    async def test_replace_onto_an_expired_id_inherits_nothing(self, backend: FullBackend) -> None:
        """An anonymous session stays anonymous."""
        subject = new_subject()
        new_id = await expired_account_id(backend, subject)

        await backend.replace(await anonymous_id(backend), new_id, record(new=True))

        session = await session_of(backend, new_id)
        assert session.record.state == {"new": True}
        assert session.handle is None
        assert await backend.revoke(subject) == 0

    async def test_replace_with_what_json_would_alter_changes_nothing(
        self, backend: FullBackend
    ) -> None:
        """The session goes on under its old id."""
        old_id, new_id = await anonymous_id(backend), SessionId.generate()
        bad: dict[str, Any] = {"a": {1}}

        with fails(ReplaceError, SerializationError):
            await backend.replace(old_id, new_id, SessionRecord(bad, HOUR))

        assert await backend.load(old_id) is not None
        assert await backend.load(new_id) is None
