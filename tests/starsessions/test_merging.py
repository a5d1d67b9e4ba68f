"""Concurrent requests of one visitor, on a store that notices them."""

from __future__ import annotations

import asyncio
import json
from contextvars import copy_context
from typing import Any

import pytest

from sessionstore_sql.starsessions import SQLStore
from sessionstore_sql.testing import MemorySessionStore

pytestmark = pytest.mark.anyio

TTL = 3_600


class Request:
    """One request, in a context of its own."""

    def __init__(self, stars: SQLStore) -> None:
        self._stars = stars
        self._context = copy_context()

    async def _run(self, coroutine: Any) -> Any:
        return await asyncio.get_running_loop().create_task(coroutine, context=self._context)

    async def read(self, session_id: str) -> dict[str, Any]:
        """Load the session."""
        data = await self._run(self._stars.read(session_id, TTL))
        state: dict[str, Any] = json.loads(data)
        return state

    async def write(self, session_id: str, state: dict[str, Any]) -> str:
        """Store the session."""
        data = json.dumps(state).encode()
        stored: str = await self._run(self._stars.write(session_id, data, TTL, TTL))
        return stored


@pytest.fixture
def stars() -> SQLStore:
    """A store on one that knows versions."""
    return SQLStore(MemorySessionStore())


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Tasks with a context are asyncio's."""
    return str(request.param)


async def test_changes_of_different_keys_are_merged(stars: SQLStore) -> None:
    """As of two tabs; a request that only reads undoes nothing."""
    session_id = await Request(stars).write("unknown", {"color": "red", "size": "small"})
    first, second, reader = (Request(stars) for _ in range(3))
    states = [await each.read(session_id) for each in (first, second, reader)]

    await first.write(session_id, {"size": "small", "cart": "tea"})
    await second.write(session_id, states[1] | {"size": "large"})
    await reader.write(session_id, states[2])

    assert await Request(stars).read(session_id) == {"size": "large", "cart": "tea"}


async def test_a_logout_by_deletion_stays(stars: SQLStore) -> None:
    """Beside a slower request that stores something else."""
    session_id = await Request(stars).write("unknown", {"user": "ada"})
    logout, slow = Request(stars), Request(stars)
    for each in (logout, slow):
        await each.read(session_id)

    await logout.write(session_id, {})
    await slow.write(session_id, {"user": "ada", "seen": True})

    assert await Request(stars).read(session_id) == {"seen": True}


async def test_a_session_that_ended_is_not_revived(stars: SQLStore) -> None:
    """Between the read and the write."""
    session_id = await Request(stars).write("unknown", {"user": "ada"})
    slow = Request(stars)
    await slow.read(session_id)

    await stars.remove(session_id)

    assert await slow.write(session_id, {"user": "ada", "seen": True}) == session_id
    assert await stars.read(session_id, TTL) == b""
