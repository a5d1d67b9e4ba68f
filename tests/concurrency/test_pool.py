"""More callers than connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from sessionstore_sql import SessionId
from tests.concurrency.stores import HOUR, StoreMaker, record
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

CALLS = 1_000


async def test_a_thousand_calls_share_five_connections(make_store: StoreMaker) -> None:
    """All calls succeed with at most five connections, and all connections are returned."""
    store = await make_store(engine_options={"pool_timeout": 120})
    ids = [SessionId.generate() for _ in range(CALLS // 4)]
    in_use, connected = [], []
    engine = store.engine.sync_engine
    event.listen(engine, "checkout", lambda *_: in_use.append(connections_in_use(store)))
    event.listen(engine, "connect", lambda *_: connected.append(1))

    async def life(number: int, session_id: SessionId) -> Any:
        await store.create(session_id, record(number=number))
        await store.update_ttl(session_id, HOUR)
        loaded = await store.load(session_id)
        await store.delete(session_id)
        return None if loaded is None else loaded.state["number"]

    loaded = await asyncio.gather(*(life(*each) for each in enumerate(ids)))
    results = await asyncio.gather(*(store.load(each) for each in ids * 4))

    assert loaded == list(range(len(ids)))
    assert results == [None] * CALLS
    assert max(in_use) <= 5
    assert len(connected) <= 5
    assert connections_in_use(store) == 0


async def test_every_caller_gets_a_connection(make_store: StoreMaker) -> None:
    """Callers that repeat their calls take turns on the connections."""
    store = await make_store(engine_options={"pool_size": 2, "max_overflow": 0})
    served: list[int] = []
    # Connections are opened first: a caller that has to open one would miss turns.
    async with store.engine.connect(), store.engine.connect():
        pass

    async def ask_again_and_again(caller: int) -> None:
        for _ in range(20):
            # change_id is never coalesced: each call needs a connection.
            await store.delete_expired(batch_size=1)
            served.append(caller)

    await asyncio.gather(*(ask_again_and_again(caller) for caller in range(8)))

    assert set(served[:40]) == set(range(8))
