"""Concurrent calls: the tests assert invariants, never timing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql import DuplicateIdError, SessionId, UnknownIdError
from sessionstore_sql.testing.support import AT_ONCE, HOUR, BackendTests, record

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from sessionstore_sql import SessionStorageBackend

CALLS = 12
ROUNDS = 5


async def outcomes(calls: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Make concurrent calls. Return each result, or the error that another call explains."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(
            result, (DuplicateIdError, UnknownIdError)
        ):
            raise result
    return list(results)


def winners(results: list[Any]) -> list[int]:
    """Return the indexes of the calls that succeeded."""
    return [index for index, result in enumerate(results) if not isinstance(result, Exception)]


class ConcurrencyContract(BackendTests):
    """Concurrent calls of the operations, and what must hold afterwards."""

    async def test_one_of_many_creates_wins(self, backend: SessionStorageBackend) -> None:
        """The other calls report a duplicate, and the state of the winner is stored."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            results = await outcomes(
                backend.create(session_id, record(number=number)) for number in range(CALLS)
            )
            (winner,) = winners(results)
            assert all(
                isinstance(result, DuplicateIdError)
                for number, result in enumerate(results)
                if number != winner
            )
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == {"number": winner}

    async def test_one_of_many_creates_replaces_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """One of several concurrent calls replaces the expired session."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record(AT_ONCE))
            results = await outcomes(
                backend.create(session_id, record(number=number)) for number in range(CALLS)
            )
            (winner,) = winners(results)
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == {"number": winner}

    async def test_one_of_many_rotations_from_one_id_wins(
        self, backend: SessionStorageBackend
    ) -> None:
        """One new id is live, and the other calls find the old id unknown."""
        for _ in range(ROUNDS):
            old_id = SessionId.generate()
            new_ids = [SessionId.generate() for _ in range(CALLS)]
            await backend.create(old_id, record(kept=True))
            results = await outcomes(backend.change_id(old_id, new_id) for new_id in new_ids)
            (winner,) = winners(results)
            assert await backend.load(old_id) is None
            for number, new_id in enumerate(new_ids):
                loaded = await backend.load(new_id)
                assert (loaded is not None) == (number == winner)
                assert number == winner or isinstance(results[number], UnknownIdError)

    async def test_one_of_many_rotations_onto_one_id_wins(
        self, backend: SessionStorageBackend
    ) -> None:
        """The new id is taken once, free or expired. The other sessions do not change."""
        for target_exists in (False, True) * ROUNDS:
            new_id = SessionId.generate()
            old_ids = [SessionId.generate() for _ in range(CALLS)]
            for number, old_id in enumerate(old_ids):
                await backend.create(old_id, record(number=number))
            if target_exists:
                await backend.create(new_id, record(AT_ONCE))
            results = await outcomes(backend.change_id(old_id, new_id) for old_id in old_ids)
            (winner,) = winners(results)
            loaded = await backend.load(new_id)
            assert loaded is not None
            assert loaded.state == {"number": winner}
            for number, old_id in enumerate(old_ids):
                assert (await backend.load(old_id) is None) == (number == winner)
                assert number == winner or isinstance(results[number], DuplicateIdError)

    async def test_one_of_many_deletes_wins(self, backend: SessionStorageBackend) -> None:
        """A session is deleted once."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record())
            results = await outcomes(backend.delete(session_id) for _ in range(CALLS))
            assert len(winners(results)) == 1
            assert await backend.load(session_id) is None

    async def test_a_late_update_never_revives(self, backend: SessionStorageBackend) -> None:
        """After concurrent updates and a delete, the session is gone."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record())
            calls: list[Coroutine[Any, Any, None]] = [
                backend.update(session_id, record(late=number)) for number in range(CALLS)
            ]
            calls += [backend.update_ttl(session_id, HOUR) for _ in range(CALLS)]
            calls.insert(CALLS // 2, backend.delete(session_id))
            await outcomes(calls)
            assert await backend.load(session_id) is None

    async def test_updates_and_rotations_keep_one_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """Updates come before the rotation or fail, and one session is left."""
        for _ in range(ROUNDS):
            old_id, new_id = SessionId.generate(), SessionId.generate()
            await backend.create(old_id, record(number=-1))
            calls: list[Coroutine[Any, Any, None]] = [
                backend.update(old_id, record(number=number)) for number in range(CALLS)
            ]
            calls.insert(CALLS // 2, backend.change_id(old_id, new_id))
            results = await outcomes(calls)
            assert not isinstance(results[CALLS // 2], Exception)
            assert await backend.load(old_id) is None
            loaded = await backend.load(new_id)
            assert loaded is not None
            landed = [n for n in winners(results) if n != CALLS // 2]
            numbers = {n - (n > CALLS // 2) for n in landed} or {-1}
            assert loaded.state["number"] in numbers

    async def test_a_purge_never_removes_an_extended_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """If the extension succeeded, the session is live."""
        soon = timedelta(milliseconds=20)
        for _ in range(ROUNDS):
            ids = [SessionId.generate() for _ in range(CALLS * 2)]
            await asyncio.gather(*(backend.create(each, record(soon)) for each in ids))
            calls: list[Coroutine[Any, Any, Any]] = []
            for session_id in ids:
                calls.append(backend.update_ttl(session_id, HOUR))
                calls.append(backend.delete_expired(batch_size=3))
            results = await outcomes(calls)
            for session_id, extended in zip(ids, results[::2], strict=True):
                assert (await backend.load(session_id) is None) == isinstance(extended, Exception)

    async def test_purges_at_once_count_each_session_once(
        self, backend: SessionStorageBackend
    ) -> None:
        """The counts of concurrent purges add up to the number of expired sessions."""
        await backend.delete_expired()
        expired = 60
        live = SessionId.generate()
        await backend.create(live, record())
        for _ in range(expired):
            await backend.create(SessionId.generate(), record(AT_ONCE))

        async def purge_to_the_end() -> int:
            removed = 0
            while batch := await backend.delete_expired(batch_size=7):
                assert batch <= 7
                removed += batch
            return removed

        counts = await asyncio.gather(*(purge_to_the_end() for _ in range(4)))
        assert sum(counts) == expired
        assert await backend.delete_expired() == 0
        assert await backend.load(live) is not None

    async def test_a_cancelled_call_leaves_the_backend_usable(
        self, backend: SessionStorageBackend
    ) -> None:
        """A call is cancelled at different moments, and other sessions are not affected."""
        kept = SessionId.generate()
        await backend.create(kept, record(kept=True))
        for steps in range(30):
            task = asyncio.ensure_future(backend.update(kept, record(kept=True)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            loaded = await backend.load(kept)
            assert loaded is not None
            assert loaded.state == {"kept": True}
