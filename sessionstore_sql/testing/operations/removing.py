"""``delete`` and ``delete_expired``, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql import (
    DeleteError,
    UnknownIdError,
)
from sessionstore_sql.testing.support import AT_ONCE, BackendTests, fails, record

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend

from sessionstore_sql.testing.operations.support import expired_id, live_id, state_of


class RemovingContract(BackendTests):
    """Sessions that are deleted, and expired sessions that are purged."""

    async def test_delete_removes_a_session(self, backend: SessionStorageBackend) -> None:
        """The session is gone, and its id can be created again."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        assert await backend.load(session_id) is None
        await backend.create(session_id, record(again=True))
        assert await state_of(backend, session_id) == {"again": True}

    async def test_delete_of_an_unknown_id_fails(self, backend: SessionStorageBackend) -> None:
        """A second delete reports that there was no session."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        with fails(DeleteError, UnknownIdError) as caught:
            await backend.delete(session_id)
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]

    async def test_delete_of_an_expired_session_fails(self, backend: SessionStorageBackend) -> None:
        """An expired session behaves as absent."""
        with fails(DeleteError, UnknownIdError):
            await backend.delete(await expired_id(backend))

    async def test_delete_expired_only_deletes_expired_sessions(
        self, backend: SessionStorageBackend
    ) -> None:
        """It returns the number of deleted sessions, and a second call deletes none."""
        kept = [await live_id(backend) for _ in range(3)]
        for _ in range(5):
            await expired_id(backend)
        assert await backend.delete_expired() == 5
        assert await backend.delete_expired() == 0
        for session_id in kept:
            assert await state_of(backend, session_id) == {"was": "live"}

    async def test_delete_expired_with_nothing_to_do(self, backend: SessionStorageBackend) -> None:
        """It returns zero."""
        assert await backend.delete_expired() == 0
        assert await backend.delete_expired(batch_size=10) == 0

    async def test_delete_expired_respects_the_batch_size(
        self, backend: SessionStorageBackend
    ) -> None:
        """It never deletes more than the batch size, until no expired session is left."""
        for _ in range(7):
            await expired_id(backend)
        counts = [await backend.delete_expired(batch_size=3) for _ in range(4)]
        assert counts == [3, 3, 1, 0]

    async def test_delete_expired_counts_a_session_that_expired_after_an_update(
        self, backend: SessionStorageBackend
    ) -> None:
        """It makes no difference how a session expired."""
        updated, touched = await live_id(backend), await live_id(backend)
        await backend.update(updated, record(AT_ONCE))
        await backend.update_ttl(touched, AT_ONCE)
        assert await backend.delete_expired(batch_size=1) == 1
        assert await backend.delete_expired(batch_size=2**70) == 1
