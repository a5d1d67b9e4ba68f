"""The calls that processes make in a race for the sessions of users."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from sessionstore_sql import ConflictError, SessionId, SQLSessionStore, UnknownIdError
from tests.concurrency.processes import Start, outcome
from tests.concurrency.stores import HOUR, record

CALLS = 25
"""Number of random calls of each task."""


async def sign_in(
    store: SQLSessionStore, start: Start, _process: int, subjects: list[str], limit: int
) -> list[int]:
    """Sign in three times at once for each subject; return how many sessions that leaves."""
    counts = []
    for subject in subjects:
        start()
        await asyncio.gather(
            *(
                store.sign_in(
                    None, SessionId.generate(), record(), subject=subject, max_sessions=limit
                )
                for _ in range(3)
            )
        )
        start()
        counts.append(len(await store.sessions_of(subject)))
    return counts


async def revoke(
    store: SQLSessionStore,
    start: Start,
    process: int,
    subjects: list[str],
    ids: list[list[SessionId]],
) -> list[tuple[int, int]]:
    """One process ends the sessions of each subject, while the others use one each.

    Returns:
        For each subject, how many sessions there are after the revocation has returned, and how
        many of the sessions that this process used can be loaded once all calls have ended.
    """
    found = []
    for subject, session_ids in zip(subjects, ids, strict=True):
        start()
        used: set[SessionId] = set()
        if process == 0:
            await store.revoke(subject)
        else:
            used = await _use(store, session_ids[process - 1], subject)
        left = len(await store.sessions_of(subject)) if process == 0 else 0
        start()
        loaded = [await store.load(each) is not None for each in used]
        found.append((left, sum(loaded)))
    return found


async def _use(store: SQLSessionStore, session_id: SessionId, subject: str) -> set[SessionId]:
    """Rotate a session and write to it until it is gone; return all ids that it may have had."""
    used = {session_id}
    with_id: list[Callable[[SessionId, SessionId], Awaitable[object]]] = [
        store.change_id,
        lambda old, new: store.replace(old, new, record()),
        lambda old, new: store.sign_in(old, new, record(), subject=subject),
    ]
    for number in range(100):
        new_id = SessionId.generate()
        used.add(new_id)
        try:
            await with_id[number % 3](session_id, new_id)
            session_id = new_id
            await store.update_ttl(session_id, HOUR)
            await store.update(session_id, record(number=number))
        except UnknownIdError:
            break
    return used


async def update_if(
    store: SQLSessionStore, start: Start, _process: int, session_id: SessionId, times: int
) -> list[tuple[int, int]]:
    """Add 1 to a number so many times; return the version before and after each addition."""
    start()
    changes: list[tuple[int, int]] = []
    while len(changes) < times:
        session = await store.load_session(session_id)
        assert session is not None
        total = session.record.state["total"]
        assert isinstance(total, int)
        try:
            version = await store.update_if(session_id, record(total=total + 1), session.version)
        except ConflictError:
            continue
        changes.append((session.version, version))
    return changes


async def log_in(
    store: SQLSessionStore, start: Start, process: int, ids: list[SessionId]
) -> list[Any]:
    """Sign a user in from each session, in its own round; return who did it."""
    results = []
    for session_id in ids:
        start()
        call = store.sign_in(
            session_id, SessionId.generate(), record(process=process), subject=f"user {process}"
        )
        results.append(await outcome(call))
    return results


async def everything(
    store: SQLSessionStore, start: Start, process: int, subjects: list[str], ids: list[SessionId]
) -> int:
    """Make random calls on a few subjects and ids from three tasks; return how many succeeded."""
    choices = random.Random(process)
    start()

    async def work() -> int:
        results = [await outcome(_any_call(store, choices, subjects, ids)) for _ in range(CALLS)]
        return sum(not isinstance(each, Exception) for each in results)

    return sum(await asyncio.gather(*(work() for _ in range(3))))


async def _any_call(
    store: SQLSessionStore, choices: random.Random, subjects: list[str], ids: list[SessionId]
) -> object:
    subject, old_id, new_id = choices.choice(subjects), choices.choice(ids), choices.choice(ids)
    session = await store.load_session(old_id)
    version = 0 if session is None else session.version
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.sign_in(None, new_id, record(), subject=subject, max_sessions=2),
        lambda: store.sign_in(None, new_id, record(), subject=subject, max_sessions=2),
        lambda: store.sign_in(
            old_id, new_id, record(), subject=subject, max_sessions=2, version=version
        ),
        lambda: store.change_id(old_id, new_id),
        lambda: store.replace(old_id, new_id, record(), version=version),
        lambda: store.update_if(old_id, record(), version),
        lambda: store.revoke(subject),
        lambda: store.revoke(subject, keep=None if session is None else session.handle),
        store.delete_expired,
    ]
    if session is not None:
        calls.append(lambda: store.sign_out(old_id, session))
    return await choices.choice(calls)()
