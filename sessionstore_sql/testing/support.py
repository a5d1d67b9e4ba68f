"""Helpers that the parts of the contract share."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sessionstore_sql import (
    ChangeIdError,
    ConflictError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    LoadSessionError,
    ReplaceError,
    RevokeError,
    SerializationError,
    SessionRecord,
    SessionsOfError,
    SessionStoreError,
    SignInError,
    SignOutError,
    UnknownIdError,
    UpdateError,
    UpdateIfError,
    UpdateTtlError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionstore_sql import JSON, SessionStorageBackend

HOUR = timedelta(hours=1)
AT_ONCE = timedelta(0)

OPERATIONS = (
    CreateError,
    UpdateError,
    UpdateTtlError,
    LoadError,
    DeleteError,
    ChangeIdError,
    DeleteExpiredError,
    SignInError,
    LoadSessionError,
    SessionsOfError,
    RevokeError,
    SignOutError,
    ReplaceError,
    UpdateIfError,
)
CAUSES = (
    DuplicateIdError,
    UnknownIdError,
    ConflictError,
    SerializationError,
    DeserializationError,
    DatabaseError,
)


class BackendTests:
    """The base class of the contract: it expects a fixture ``backend``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The event loop. Override it for a backend that runs on trio."""
        return "asyncio"

    @pytest.fixture
    def backend(self) -> SessionStorageBackend:
        """The backend to test. A subclass overrides this fixture."""
        raise NotImplementedError("override the fixture `backend`")


def record(ttl: timedelta = HOUR, **state: JSON) -> SessionRecord:
    """Return a record of ``state``."""
    return SessionRecord(dict(state), ttl)


@contextmanager
def fails(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> Iterator[pytest.ExceptionInfo[SessionStoreError]]:
    """Expect an error of exactly this operation and this cause."""
    with pytest.raises(SessionStoreError) as caught:
        yield caught
    error = caught.value
    assert [each for each in OPERATIONS if isinstance(error, each)] == [operation]
    assert [each for each in CAUSES if isinstance(error, each)] == [cause]
