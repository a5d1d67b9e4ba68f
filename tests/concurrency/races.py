"""The calls that processes make in a race; each function returns the outcomes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sessionstore_sql import SessionId, SQLSessionStore
from tests.concurrency.processes import Start, outcome
from tests.concurrency.stores import AT_ONCE, HOUR, record

ALMOST_AT_ONCE = timedelta(milliseconds=2)


async def create(
    store: SQLSessionStore, start: Start, process: int, ids: list[SessionId]
) -> list[Any]:
    """Create each id in its own round."""
    results = []
    for session_id in ids:
        start()
        results.append(await outcome(store.create(session_id, record(process=process))))
    return results


async def rotate(
    store: SQLSessionStore,
    start: Start,
    process: int,
    rotations: list[list[tuple[SessionId, SessionId]]],
) -> list[Any]:
    """Make the rotation of this process in each round."""
    results = []
    for rotation in rotations:
        start()
        results.append(await outcome(store.change_id(*rotation[process])))
    return results


async def extend_or_purge(
    store: SQLSessionStore, start: Start, process: int, ids: list[list[SessionId]]
) -> list[Any]:
    """Half of the processes shorten and extend sessions, while the others purge."""
    if process >= len(ids):
        start()
        for _ in range(len(ids[0])):
            await store.delete_expired(batch_size=3)
        return []
    start()
    results = []
    for session_id in ids[process]:
        await outcome(store.update_ttl(session_id, ALMOST_AT_ONCE))
        results.append(await outcome(store.update_ttl(session_id, HOUR)))
    return results


async def purge(store: SQLSessionStore, start: Start, _process: int, batch_size: int) -> list[int]:
    """Purge until no expired session is left."""
    start()
    counts = []
    while count := await store.delete_expired(batch_size):
        counts.append(count)
    return counts


async def update_or_delete(
    store: SQLSessionStore, start: Start, process: int, ids: list[SessionId]
) -> list[Any]:
    """One process deletes each session; the others update it."""
    results = []
    for session_id in ids:
        start()
        if process == 0:
            results.append(await outcome(store.delete(session_id)))
        elif process == 1:
            results.append(await outcome(store.update_ttl(session_id, HOUR)))
        else:
            results.append(await outcome(store.update(session_id, record(process=process))))
    return results


async def everything(
    store: SQLSessionStore, start: Start, process: int, ids: list[SessionId], calls: int
) -> list[Any]:
    """Make random calls on the same few ids from five tasks."""
    choices = random.Random(process)
    start()

    async def work() -> list[Any]:
        return [await outcome(_any_call(store, choices, ids)) for _ in range(calls)]

    return [
        result
        for results in await asyncio.gather(*(work() for _ in range(5)))
        for result in results
    ]


def _any_call(
    store: SQLSessionStore, choices: random.Random, ids: list[SessionId]
) -> Awaitable[Any]:
    session_id, other_id = choices.choice(ids), choices.choice(ids)
    ttl = choices.choice([AT_ONCE, HOUR])
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: store.create(session_id, record(ttl, size="x" * choices.randrange(2_000))),
        lambda: store.update(session_id, record(ttl, size="x" * choices.randrange(2_000))),
        lambda: store.update_ttl(session_id, ttl),
        lambda: store.load(session_id),
        lambda: store.delete(session_id),
        lambda: store.change_id(session_id, other_id),
        lambda: store.delete_expired(choices.choice([None, 1, 3])),
    ]
    return choices.choice(calls)()
