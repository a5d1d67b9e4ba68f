"""Sign-ins, ended sessions and conflicts are counted, without users and handles."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import ConflictError, SessionId, SQLSessionStore, UnknownIdError
from sessionstore_sql.testing.accounts.support import session_of, signed_in
from sessionstore_sql.testing.support import record
from tests.telemetry.exported import (
    CONFLICTS,
    DURATION,
    EVICTED,
    REVOKED,
    SIGNED_IN,
    Exported,
    attributes,
    by,
)

pytestmark = pytest.mark.anyio

KIND = "sessionstore_sql.signed_in.kind"
SUBJECT = "planted-user"
OF_STORE = {"db.system.name", "db.namespace", "db.collection.name", "server.address", "server.port"}


def count_of(exported: Exported, metric: str) -> int:
    """Return the sum of a counter; 0 if it was never increased."""
    return sum(point.value for point in exported.points(metric))


async def test_sign_ins_are_counted_by_their_kind(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """A user who proves again who they are is no new session; a failed call is not counted."""
    session_id, new_id = SessionId.generate(), SessionId.generate()
    for _ in range(2):
        await signed_in(watched, SUBJECT)
    await watched.sign_in(None, session_id, record(), subject=SUBJECT)
    await watched.sign_in(session_id, new_id, record(), subject=SUBJECT)
    with pytest.raises(UnknownIdError):
        await watched.sign_in(session_id, SessionId.generate(), record(), subject=SUBJECT)

    points = exported.points(SIGNED_IN)
    assert by(points, KIND) == {"signed_in": 3, "reauthenticated": 1}
    for point in points:
        assert set(point.attributes) - OF_STORE == {KIND}


async def test_sessions_that_are_revoked_are_counted(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """All of a call at once, and nothing for a call that ended nothing."""
    (first, _), *_ = [await signed_in(watched, SUBJECT) for _ in range(4)]
    await watched.sign_out(first, await session_of(watched, first))
    assert exported.points(REVOKED) == []

    assert await watched.revoke(SUBJECT) == 3
    assert await watched.revoke(SUBJECT) == 0

    (point,) = exported.points(REVOKED)
    assert point.value == 3
    assert set(point.attributes) <= OF_STORE
    assert exported.points(EVICTED) == []


async def test_sessions_that_are_evicted_are_counted(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """Those above the limit of a sign-in."""
    for _ in range(3):
        await signed_in(watched, SUBJECT)

    await signed_in(watched, SUBJECT, max_sessions=2)

    (point,) = exported.points(EVICTED)
    assert point.value == 2
    assert set(point.attributes) <= OF_STORE
    assert exported.points(REVOKED) == []


async def test_conflicts_are_counted_by_their_operation(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """Alone and in a batch; as an error, a conflict has its own name."""
    session_id, new_id = SessionId.generate(), SessionId.generate()
    await watched.create(session_id, record())
    version = (await session_of(watched, session_id)).version
    await watched.update(session_id, record())

    for calls in (1, 4):
        tried = (watched.update_if(session_id, record(), version) for _ in range(calls))
        results = await asyncio.gather(*tried, return_exceptions=True)
        assert all(isinstance(each, ConflictError) for each in results)
    with pytest.raises(ConflictError):
        await watched.replace(session_id, new_id, record(), version=version)
    with pytest.raises(ConflictError):
        await watched.sign_in(session_id, new_id, record(), subject=SUBJECT, version=version)

    points = exported.points(CONFLICTS)
    assert by(points, "db.operation.name") == {"update_if": 5, "replace": 1, "sign_in": 1}
    assert by(exported.points(DURATION), "error.type")["ConflictError"]
    assert attributes(exported.span("replace"))["error.type"] == "ConflictError"
    assert count_of(exported, SIGNED_IN) == 0


async def test_a_bound_store_is_counted(
    watched: SQLSessionStore, host_engine: AsyncEngine, exported: Exported
) -> None:
    """Although it reports no events."""
    async with host_engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        bound = watched.bind(connection)
        await signed_in(bound, SUBJECT)
        await signed_in(bound, SUBJECT, max_sessions=1)
        assert await bound.revoke(SUBJECT) == 1
        await connection.rollback()

    counts = [count_of(exported, each) for each in (SIGNED_IN, EVICTED, REVOKED)]
    assert counts == [2, 1, 1]
    assert SUBJECT not in exported.everything()
