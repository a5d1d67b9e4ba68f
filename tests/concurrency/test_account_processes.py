"""Races between processes for the sessions of users."""

from __future__ import annotations

import pytest

from sessionstore_sql import SessionHandle, SessionId, SQLSessionStore, UnknownIdError
from sessionstore_sql.testing.accounts.support import new_subject, session_of, signed_in
from tests.concurrency import account_races
from tests.concurrency.processes import Processes
from tests.concurrency.rows import row_count
from tests.concurrency.stores import StoreMaker, record

pytestmark = [pytest.mark.anyio, pytest.mark.default_drivers]

ROUNDS = 8


async def test_the_limit_holds_after_every_sign_in(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Once all calls have returned, exactly as many sessions are left as the limit allows."""
    subjects = [new_subject() for _ in range(ROUNDS)]

    counts = await processes.run(make_store, account_races.sign_in, subjects, 2)

    assert counts == [[2] * ROUNDS] * processes.count
    assert await row_count(store.engine) == 2 * ROUNDS


async def test_no_session_survives_its_revocation(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Whatever other processes do to it meanwhile, no id of it is live afterwards."""
    subjects = [new_subject() for _ in range(ROUNDS)]
    ids = [
        [(await signed_in(store, subject))[0] for _ in range(processes.count - 1)]
        for subject in subjects
    ]

    found = await processes.run(make_store, account_races.revoke, subjects, ids)

    assert found == [[(0, 0)] * ROUNDS] * processes.count
    assert await row_count(store.engine) == 0


async def test_a_version_is_replaced_once(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """No addition is lost, and each one follows the one before it."""
    session_id = SessionId.generate()
    await store.create(session_id, record(total=0))
    version = (await session_of(store, session_id)).version

    changes = await processes.run(make_store, account_races.update_if, session_id, ROUNDS)

    followed = dict(pair for each in changes for pair in each)
    assert len(followed) == ROUNDS * processes.count
    while version in followed:
        version = followed.pop(version)
    assert not followed
    last = await session_of(store, session_id)
    assert (last.record.state, last.version) == ({"total": ROUNDS * processes.count}, version)


async def test_a_session_is_signed_in_once(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Of several processes that sign in from one session, one succeeds, with its own user."""
    ids = [SessionId.generate() for _ in range(ROUNDS)]
    for session_id in ids:
        await store.create(session_id, record())

    outcomes = await processes.run(make_store, account_races.log_in, ids)

    for results in zip(*outcomes, strict=True):
        assert sum(isinstance(each, UnknownIdError) for each in results) == processes.count - 1
    for process, results in enumerate(outcomes):
        handles = {each for each in results if isinstance(each, SessionHandle)}
        assert {each.handle for each in await store.sessions_of(f"user {process}")} == handles
    assert await row_count(store.engine) == ROUNDS


async def test_no_race_shows_as_an_error(
    processes: Processes, store: SQLSessionStore, make_store: StoreMaker
) -> None:
    """Concurrent calls never fail because of a lock, and no subject has more than its limit."""
    subjects, ids = [new_subject() for _ in range(3)], [SessionId.generate() for _ in range(6)]

    await processes.run(make_store, account_races.everything, subjects, ids)

    for subject in subjects:
        assert len(await store.sessions_of(subject)) <= 2
        await store.revoke(subject)
    assert await row_count(store.engine) == 0
