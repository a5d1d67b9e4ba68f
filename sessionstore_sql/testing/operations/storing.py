"""``create`` and ``load``, one call at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sessionstore_sql import (
    CreateError,
    DuplicateIdError,
    SessionId,
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


class StoringContract(BackendTests):
    """Sessions that are stored and loaded."""

    async def test_create_stores_a_session(self, backend: SessionStorageBackend) -> None:
        """A created session can be loaded."""
        session_id = SessionId.generate()
        await backend.create(session_id, record(user=1))
        assert await state_of(backend, session_id) == {"user": 1}

    async def test_create_reports_a_live_duplicate(self, backend: SessionStorageBackend) -> None:
        """A second create of a live id fails, names the id and changes nothing."""
        session_id = await live_id(backend)
        with fails(CreateError, DuplicateIdError) as caught:
            await backend.create(session_id, record(MINUTE, user=2))
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"was": "live"}
        assert loaded.ttl > MINUTE

    async def test_create_replaces_an_expired_session(self, backend: SessionStorageBackend) -> None:
        """State and deadline of the expired session are replaced."""
        session_id = await expired_id(backend)
        await backend.create(session_id, record(user=2))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"user": 2}
        assert HOUR - MINUTE < loaded.ttl <= HOUR

    async def test_an_expired_session_can_be_replaced_by_an_expired_one(
        self, backend: SessionStorageBackend
    ) -> None:
        """A TTL of zero is valid each time."""
        session_id = await expired_id(backend)
        await backend.create(session_id, record(AT_ONCE))
        assert await backend.load(session_id) is None
        assert await backend.delete_expired() == 1

    async def test_load_of_an_unknown_id_is_none(self, backend: SessionStorageBackend) -> None:
        """An unknown id is not an error."""
        assert await backend.load(SessionId.generate()) is None

    async def test_load_of_an_expired_session_is_none(self, backend: SessionStorageBackend) -> None:
        """An expired session is absent, whether it was purged or not."""
        assert await backend.load(await expired_id(backend)) is None

    @pytest.mark.parametrize(
        "ttl", [timedelta(seconds=30), timedelta(hours=5, microseconds=123_457), CENTURY]
    )
    async def test_load_returns_the_remaining_ttl(
        self, backend: SessionStorageBackend, ttl: timedelta
    ) -> None:
        """The TTL of a loaded record is at most the one that was stored."""
        loaded = await backend.load(await live_id(backend, ttl))
        assert loaded is not None
        assert ttl - timedelta(seconds=25) < loaded.ttl <= ttl

    async def test_a_loaded_record_belongs_to_the_caller(
        self, backend: SessionStorageBackend
    ) -> None:
        """Changing a record after loading or storing it does not change the store."""
        session_id = SessionId.generate()
        given = record(cart=[1])
        await backend.create(session_id, given)
        given.state["cart"] = None
        loaded = await backend.load(session_id)
        assert loaded is not None
        loaded.state["cart"] = "changed"
        assert await state_of(backend, session_id) == {"cart": [1]}
