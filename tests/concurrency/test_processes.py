"""Races between processes: any process may win, but the result is always consistent."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore_sql import DuplicateIdError, SessionId, SQLSessionStore, UnknownIdError
from tests.concurrency import races
from tests.concurrency.processes import Processes
from tests.concurrency.rows import database_time, insert_rows, row_count
from tests.concurrency.stores import AT_ONCE, HOUR, StoreMaker, record

pytestmark = pytest.mark.anyio

ROUNDS = 12


def ids(count: int) -> list[SessionId]:
    """Return new ids."""
    return [SessionId.generate() for _ in range(count)]


def winner_of(results: tuple[Any, ...], loses_by: type[Exception]) -> int:
    """Return the process that won; the others must have failed with this error."""
    (winner,) = [process for process, result in enumerate(results) if result is None]
    assert all(isinstance(result, loses_by) for result in results if result is not None)
    return winner


async def test_an_id_is_created_once(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Of several processes that create an id, exactly one succeeds; its state is stored."""
    new_ids = ids(2 * ROUNDS)
    for session_id in new_ids[ROUNDS:]:
        await store.create(session_id, record(AT_ONCE))

    outcomes = await processes.run(make_store, races.create, new_ids)

    for session_id, results in zip(new_ids, zip(*outcomes, strict=True), strict=True):
        loaded = await store.load(session_id)
        assert loaded is not None
        assert loaded.state == {"process": winner_of(results, DuplicateIdError)}
    assert await row_count(store.engine) == 2 * ROUNDS


async def test_an_id_is_rotated_away_once(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Of several processes that rotate a session, one succeeds; the others find it unknown."""
    old_ids = ids(ROUNDS)
    rotations = [[(old, SessionId.generate()) for _ in range(processes.count)] for old in old_ids]
    for number, old_id in enumerate(old_ids):
        await store.create(old_id, record(number=number))

    outcomes = await processes.run(make_store, races.rotate, rotations)

    for number, results in enumerate(zip(*outcomes, strict=True)):
        winner = winner_of(results, UnknownIdError)
        loaded = await store.load(rotations[number][winner][1])
        assert loaded is not None
        assert loaded.state == {"number": number}
        assert await store.load(old_ids[number]) is None
    assert await row_count(store.engine) == ROUNDS


async def test_an_id_is_rotated_onto_once(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Of several processes that rotate to an id, one succeeds; the other sessions are kept."""
    everyone = range(processes.count)
    rotations = []
    for turn in range(2 * ROUNDS):
        new_id = SessionId.generate()
        rotations.append([(SessionId.generate(), new_id) for _ in everyone])
        for process, (old_id, _) in enumerate(rotations[-1]):
            await store.create(old_id, record(process=process))
        if turn >= ROUNDS:
            await store.create(new_id, record(AT_ONCE))

    outcomes = await processes.run(make_store, races.rotate, rotations)

    for rotation, results in zip(rotations, zip(*outcomes, strict=True), strict=True):
        winner = winner_of(results, DuplicateIdError)
        for process, (old_id, new_id) in enumerate(rotation):
            loaded = await store.load(new_id if process == winner else old_id)
            assert loaded is not None
            assert loaded.state == {"process": process}
            assert process != winner or await store.load(old_id) is None


async def test_an_extended_session_is_never_purged(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """A session whose extension has returned is live, even if a purge runs at that moment."""
    extended = [ids(60), ids(60)]
    for session_id in extended[0] + extended[1]:
        await store.create(session_id, record())

    outcomes = await processes.run(make_store, races.extend_or_purge, extended)

    for some_ids, results in zip(extended, outcomes[:2], strict=True):
        for session_id, result in zip(some_ids, results, strict=True):
            lives = await store.load(session_id) is not None
            assert lives == (result is None)


async def test_purgers_share_the_work(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """The counts of concurrent purges add up to the expired sessions; live ones are kept."""
    live, expired = ids(20), ids(400)
    now = await database_time(store.engine)
    await insert_rows(store.engine, [(each, now + 3_600_000_000) for each in live])
    await insert_rows(store.engine, [(each, now - n) for n, each in enumerate(expired)])

    counts = await processes.run(make_store, races.purge, 17)

    assert sum(sum(each) for each in counts) == len(expired)
    assert all(count <= 17 for each in counts for count in each)
    assert await row_count(store.engine) == len(live)
    for session_id in live:
        assert await store.load(session_id) is not None


async def test_a_deleted_session_stays_deleted(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Updates by other processes never revive a session that was deleted."""
    session_ids = ids(2 * ROUNDS)
    for session_id in session_ids:
        await store.create(session_id, record())

    outcomes = await processes.run(make_store, races.update_or_delete, session_ids)

    assert outcomes[0] == [None] * len(session_ids)
    assert all(
        result is None or isinstance(result, UnknownIdError)
        for results in outcomes[1:]
        for result in results
    )
    assert await row_count(store.engine) == 0


async def test_no_race_shows_as_an_error(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Concurrent calls on a few ids never fail because of a deadlock or a lock."""
    session_ids = ids(6)

    await processes.run(make_store, races.everything, session_ids, 30)

    live = [each for each in session_ids if await store.load(each) is not None]
    expired = await store.delete_expired()
    assert len(live) + expired <= len(session_ids)
    assert await row_count(store.engine) == len(live)
    for session_id in live:
        await store.update_ttl(session_id, HOUR)
