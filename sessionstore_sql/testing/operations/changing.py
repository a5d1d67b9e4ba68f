"""``update`` and ``update_ttl``, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql import (
    SessionId,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, BackendTests, fails, record

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend

from sessionstore_sql.testing.operations.support import (
    CENTURY,
    MINUTE,
    expired_id,
    live_id,
    state_of,
)


class ChangingContract(BackendTests):
    """Sessions that are replaced or extended."""

    async def test_update_replaces_state_and_deadline(self, backend: SessionStorageBackend) -> None:
        """Nothing of the old state remains."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(MINUTE, user=2))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"user": 2}
        assert loaded.ttl <= MINUTE

    async def test_update_with_the_same_record_again_succeeds(
        self, backend: SessionStorageBackend
    ) -> None:
        """An update that changes nothing still finds the session."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(was="live"))
        await backend.update(session_id, record(was="live"))
        assert await state_of(backend, session_id) == {"was": "live"}

    async def test_update_of_an_unknown_id_stores_nothing(
        self, backend: SessionStorageBackend
    ) -> None:
        """An update does not create a session."""
        session_id = SessionId.generate()
        with fails(UpdateError, UnknownIdError) as caught:
            await backend.update(session_id, record())
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        assert await backend.load(session_id) is None

    async def test_update_never_revives_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """An expired session stays expired."""
        session_id = await expired_id(backend)
        with fails(UpdateError, UnknownIdError):
            await backend.update(session_id, record())
        assert await backend.load(session_id) is None

    async def test_update_never_revives_a_deleted_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """A late update after a logout is rejected."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        with fails(UpdateError, UnknownIdError):
            await backend.update(session_id, record())
        assert await backend.load(session_id) is None

    async def test_update_never_revives_a_rotated_id(self, backend: SessionStorageBackend) -> None:
        """A late update under the old id is rejected and does not change the session."""
        old_id, new_id = await live_id(backend), SessionId.generate()
        await backend.change_id(old_id, new_id)
        with fails(UpdateError, UnknownIdError):
            await backend.update(old_id, record(late=True))
        assert await backend.load(old_id) is None
        assert await state_of(backend, new_id) == {"was": "live"}

    async def test_update_with_a_ttl_of_zero_ends_the_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """The update succeeds, and the session is expired."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(AT_ONCE))
        assert await backend.load(session_id) is None

    async def test_update_ttl_only_changes_the_deadline(
        self, backend: SessionStorageBackend
    ) -> None:
        """The TTL can become longer and shorter, and the state does not change."""
        session_id = await live_id(backend)
        for ttl in (MINUTE, CENTURY, HOUR):
            await backend.update_ttl(session_id, ttl)
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert ttl - MINUTE < loaded.ttl <= ttl
            assert loaded.state == {"was": "live"}

    async def test_update_ttl_with_the_same_value_succeeds(
        self, backend: SessionStorageBackend
    ) -> None:
        """An extension that changes nothing still finds the session."""
        session_id = await live_id(backend)
        for _ in range(3):
            await backend.update_ttl(session_id, HOUR)
        assert await backend.load(session_id) is not None

    async def test_update_ttl_of_zero_ends_the_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """The session is expired at once."""
        session_id = await live_id(backend)
        await backend.update_ttl(session_id, AT_ONCE)
        assert await backend.load(session_id) is None

    async def test_update_ttl_of_an_unknown_id_fails(self, backend: SessionStorageBackend) -> None:
        """There is no session to extend."""
        session_id = SessionId.generate()
        with fails(UpdateTtlError, UnknownIdError) as caught:
            await backend.update_ttl(session_id, HOUR)
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]

    async def test_update_ttl_never_revives_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """An expired session cannot be extended."""
        session_id = await expired_id(backend)
        with fails(UpdateTtlError, UnknownIdError):
            await backend.update_ttl(session_id, HOUR)
        assert await backend.load(session_id) is None
