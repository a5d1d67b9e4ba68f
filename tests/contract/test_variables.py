"""What an error tracker sees in the frames of an error, on every database and driver."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    JSON,
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    JSONCodec,
    SerializationError,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.records import key_of
from tests.leaks import shows

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
RECORD = SessionRecord({"name": "secret-state"}, HOUR)


class DamagedCodec(JSONCodec):
    """A codec that cannot decode what it has encoded."""

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Fail."""
        raise DeserializationError("damaged")


def secrets_of(*ids: SessionId) -> list[str]:
    """Return the texts that no frame may show: ids, digests in both forms, and the state."""
    digests = [key_of(each) for each in ids]
    return [
        "secret-state",
        *(each.value for each in ids),
        *(each.hex() for each in digests),
        *(repr(each)[2:-1] for each in digests),
        *(b"secret-state".hex() for _ in ids),
    ]


async def error_of(call: Any, cause: type[SessionStoreError]) -> SessionStoreError:
    """Return what a call raises."""
    with pytest.raises(cause) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("coalesce", [True, False])
async def test_what_an_outcome_raises_shows_nothing(
    store: SQLSessionStore, url: URL, coalesce: bool
) -> None:
    """Unknown, duplicate and unserialisable: alone and in a batch."""
    live, gone = SessionId("secret-live-id"), SessionId("secret-gone-id")
    async with SQLSessionStore(url, coalesce=coalesce) as tried:
        await tried.create(live, RECORD)
        bad: Any = SessionRecord({"name": "secret-state", "bad": object()}, HOUR)  # type: ignore[dict-item]
        for rivals in (1, 5):
            errors = await asyncio.gather(
                *(error_of(tried.create(live, RECORD), DuplicateIdError) for _ in range(rivals)),
                *(error_of(tried.update(gone, RECORD), UnknownIdError) for _ in range(rivals)),
                *(error_of(tried.delete(gone), UnknownIdError) for _ in range(rivals)),
                error_of(tried.change_id(gone, live), UnknownIdError),
                error_of(tried.change_id(live, live), DuplicateIdError),
                error_of(tried.update(live, bad), SerializationError),
            )
            for error in errors:
                assert shows(error, *secrets_of(live, gone)) == []


async def test_what_cannot_be_decoded_shows_nothing(store: SQLSessionStore, url: URL) -> None:
    """The bytes that were read are in no frame."""
    session_id = SessionId("secret-id-of-the-damaged")
    await store.create(session_id, RECORD)
    async with SQLSessionStore(url, codec=DamagedCodec()) as damaged:
        error = await error_of(damaged.load(session_id), DeserializationError)

    assert shows(error, *secrets_of(session_id)) == []


@pytest.mark.parametrize("coalesce", [True, False])
async def test_what_the_database_raises_shows_nothing(
    store: SQLSessionStore, url: URL, coalesce: bool
) -> None:
    """Nor do the frames of SQLAlchemy and of the driver, which had the bound parameters."""
    session_id, other = SessionId("secret-id-of-the-failed"), SessionId("secret-other-id")
    async with SQLSessionStore(url, table="missing", coalesce=coalesce) as missing:
        for calls in (1, 5):
            errors = await asyncio.gather(
                *(
                    error_of(call, DatabaseError)
                    for _ in range(calls)
                    for call in (
                        missing.create(session_id, RECORD),
                        missing.update(session_id, RECORD),
                        missing.update_ttl(session_id, HOUR),
                        missing.load(session_id),
                        missing.delete(session_id),
                        missing.change_id(session_id, other),
                    )
                )
            )
            for error in errors:
                assert shows(error, *secrets_of(session_id, other)) == []
                assert error.__cause__ is not None
                assert error.__cause__.__traceback__ is not None


async def test_what_a_bound_store_raises_shows_nothing(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """It runs on a connection of the caller's, whose own errors are the caller's."""
    session_id, gone = SessionId("secret-bound-id"), SessionId("secret-gone-id")
    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        await bound.create(session_id, RECORD)
        errors = [
            await error_of(bound.create(session_id, RECORD), DuplicateIdError),
            await error_of(bound.change_id(session_id, session_id), DuplicateIdError),
            await error_of(bound.update(gone, RECORD), UnknownIdError),
        ]
        await connection.execute(text("SELECT 1"))

    for error in errors:
        assert shows(error, *secrets_of(session_id, gone)) == []
