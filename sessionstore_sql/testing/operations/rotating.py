"""``change_id``, one call at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sessionstore_sql import (
    ChangeIdError,
    DuplicateIdError,
    SessionId,
    UnknownIdError,
)
from sessionstore_sql.testing.support import BackendTests, fails, record

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend

from sessionstore_sql.testing.operations.support import (
    CENTURY,
    MINUTE,
    expired_id,
    live_id,
    state_of,
)


class RotatingContract(BackendTests):
    """Sessions that get another id."""

    async def test_change_id_moves_the_session(self, backend: SessionStorageBackend) -> None:
        """State and deadline do not change, and the old id is unknown."""
        old_id, new_id = await live_id(backend, CENTURY), SessionId.generate()
        await backend.change_id(old_id, new_id)
        assert await backend.load(old_id) is None
        loaded = await backend.load(new_id)
        assert loaded is not None
        assert loaded.state == {"was": "live"}
        assert CENTURY - MINUTE < loaded.ttl <= CENTURY

    async def test_change_id_there_and_back(self, backend: SessionStorageBackend) -> None:
        """The old id can be used again."""
        first, second = await live_id(backend), SessionId.generate()
        await backend.change_id(first, second)
        await backend.change_id(second, first)
        assert await state_of(backend, first) == {"was": "live"}
        assert await backend.load(second) is None

    @pytest.mark.parametrize("new", ["unknown", "live", "expired"])
    @pytest.mark.parametrize("old", ["unknown", "expired"])
    async def test_change_id_of_an_id_that_is_not_live_fails(
        self, backend: SessionStorageBackend, old: str, new: str
    ) -> None:
        """The error is about the old id, whatever the new id is."""
        make = {"expired": expired_id, "live": live_id}
        old_id = await make[old](backend) if old in make else SessionId.generate()
        new_id = await make[new](backend) if new in make else SessionId.generate()
        with fails(ChangeIdError, UnknownIdError) as caught:
            await backend.change_id(old_id, new_id)
        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        assert (await backend.load(new_id) is not None) == (new == "live")

    async def test_change_id_onto_a_live_id_fails(self, backend: SessionStorageBackend) -> None:
        """Both sessions remain unchanged."""
        old_id, new_id = await live_id(backend), SessionId.generate()
        await backend.create(new_id, record(other=True))
        with fails(ChangeIdError, DuplicateIdError) as caught:
            await backend.change_id(old_id, new_id)
        assert caught.value.session_id == new_id  # type: ignore[attr-defined]
        assert await state_of(backend, old_id) == {"was": "live"}
        assert await state_of(backend, new_id) == {"other": True}

    async def test_change_id_replaces_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """An expired session does not block its id."""
        old_id, new_id = await live_id(backend), await expired_id(backend)
        await backend.change_id(old_id, new_id)
        assert await backend.load(old_id) is None
        assert await state_of(backend, new_id) == {"was": "live"}

    async def test_change_id_to_itself_fails(self, backend: SessionStorageBackend) -> None:
        """The call is a mistake of the caller, and the session remains unchanged."""
        session_id = await live_id(backend)
        with fails(ChangeIdError, DuplicateIdError) as caught:
            await backend.change_id(session_id, SessionId(session_id.value))
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        assert await state_of(backend, session_id) == {"was": "live"}

    @pytest.mark.parametrize("make", [expired_id, None], ids=["expired", "unknown"])
    async def test_change_id_to_itself_of_an_id_that_is_not_live_fails(
        self, backend: SessionStorageBackend, make: Any
    ) -> None:
        """An unknown id takes precedence over a duplicate."""
        session_id = SessionId.generate() if make is None else await make(backend)
        with fails(ChangeIdError, UnknownIdError):
            await backend.change_id(session_id, session_id)
