"""What the parts of the contract share."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    SerializationError,
    SessionRecord,
    SessionStoreError,
    UnknownIdError,
    UpdateError,
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
)
CAUSES = (
    DuplicateIdError,
    UnknownIdError,
    SerializationError,
    DeserializationError,
    DatabaseError,
)


class BackendTests:
    """A test class that is given a ``backend``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """asyncio; override it for a backend that runs under trio."""
        return "asyncio"

    @pytest.fixture
    def backend(self) -> SessionStorageBackend:
        """The backend under test: to be given by whoever inherits."""
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
