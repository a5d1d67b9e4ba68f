"""Many callers at once: invariants, never timing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql import DuplicateIdError, SessionId, UnknownIdError
from sessionstore_sql.testing.support import AT_ONCE, HOUR, BackendTests, record

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from sessionstore_sql import SessionStorageBackend

RIVALS = 12
ROUNDS = 5


async def outcomes(calls: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Make the calls at once; return each result, or its error if it is one a rival explains."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(
            result, (DuplicateIdError, UnknownIdError)
        ):
            raise result
    return list(results)


def winners(results: list[Any]) -> list[int]:
    """Return which of the calls succeeded."""
    return [index for index, result in enumerate(results) if not isinstance(result, Exception)]


class ConcurrencyContract(BackendTests):
    """Races, and what must hold after them."""

    async def test_one_of_many_creates_wins(self, backend: SessionStorageBackend) -> None:
        """The others are told of the duplicate, and the winner's state is what is stored."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            results = await outcomes(
                backend.create(session_id, record(rival=rival)) for rival in range(RIVALS)
            )
            (winner,) = winners(results)
            assert all(
                isinstance(result, DuplicateIdError)
                for rival, result in enumerate(results)
                if rival != winner
            )
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == {"rival": winner}

    async def test_one_of_many_creates_replaces_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """An expired row is replaced once."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record(AT_ONCE))
            results = await outcomes(
                backend.create(session_id, record(rival=rival)) for rival in range(RIVALS)
            )
            (winner,) = winners(results)
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == {"rival": winner}

    async def test_one_of_many_rotations_from_one_id_wins(
        self, backend: SessionStorageBackend
    ) -> None:
        """One new id is live; the losers find the old one unknown."""
        for _ in range(ROUNDS):
            old_id = SessionId.generate()
            new_ids = [SessionId.generate() for _ in range(RIVALS)]
            await backend.create(old_id, record(kept=True))
            results = await outcomes(backend.change_id(old_id, new_id) for new_id in new_ids)
            (winner,) = winners(results)
            assert await backend.load(old_id) is None
            for rival, new_id in enumerate(new_ids):
                loaded = await backend.load(new_id)
                assert (loaded is not None) == (rival == winner)
                assert rival == winner or isinstance(results[rival], UnknownIdError)

    async def test_one_of_many_rotations_onto_one_id_wins(
        self, backend: SessionStorageBackend
    ) -> None:
        """Free or held by an expired session, the id is taken once; the losers stay as they are."""
        for target_exists in (False, True) * ROUNDS:
            new_id = SessionId.generate()
            old_ids = [SessionId.generate() for _ in range(RIVALS)]
            for rival, old_id in enumerate(old_ids):
                await backend.create(old_id, record(rival=rival))
            if target_exists:
                await backend.create(new_id, record(AT_ONCE))
            results = await outcomes(backend.change_id(old_id, new_id) for old_id in old_ids)
            (winner,) = winners(results)
            loaded = await backend.load(new_id)
            assert loaded is not None
            assert loaded.state == {"rival": winner}
            for rival, old_id in enumerate(old_ids):
                assert (await backend.load(old_id) is None) == (rival == winner)
                assert rival == winner or isinstance(results[rival], DuplicateIdError)

    async def test_one_of_many_deletes_wins(self, backend: SessionStorageBackend) -> None:
        """A session is deleted once."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record())
            results = await outcomes(backend.delete(session_id) for _ in range(RIVALS))
            assert len(winners(results)) == 1
            assert await backend.load(session_id) is None

    async def test_a_late_update_never_revives(self, backend: SessionStorageBackend) -> None:
        """Whatever the order of updates and a logout, the session is gone after both."""
        for _ in range(ROUNDS):
            session_id = SessionId.generate()
            await backend.create(session_id, record())
            calls: list[Coroutine[Any, Any, None]] = [
                backend.update(session_id, record(late=number)) for number in range(RIVALS)
            ]
            calls += [backend.update_ttl(session_id, HOUR) for _ in range(RIVALS)]
            calls.insert(RIVALS // 2, backend.delete(session_id))
            await outcomes(calls)
            assert await backend.load(session_id) is None

    async def test_updates_and_rotations_keep_one_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """Updates under the old id land before the rotation or fail; there is one session after."""
        for _ in range(ROUNDS):
            old_id, new_id = SessionId.generate(), SessionId.generate()
            await backend.create(old_id, record(number=-1))
            calls: list[Coroutine[Any, Any, None]] = [
                backend.update(old_id, record(number=number)) for number in range(RIVALS)
            ]
            calls.insert(RIVALS // 2, backend.change_id(old_id, new_id))
            results = await outcomes(calls)
            assert not isinstance(results[RIVALS // 2], Exception)
            assert await backend.load(old_id) is None
            loaded = await backend.load(new_id)
            assert loaded is not None
            landed = [n for n in winners(results) if n != RIVALS // 2]
            numbers = {n - (n > RIVALS // 2) for n in landed} or {-1}
            assert loaded.state["number"] in numbers

    async def test_a_purge_never_removes_an_extended_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """A session whose extension succeeded is live, however close the purge was."""
        soon = timedelta(milliseconds=20)
        for _ in range(ROUNDS):
            ids = [SessionId.generate() for _ in range(RIVALS * 2)]
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
        """The counts of all add up to what there was, and nothing is left."""
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
        """Cancelled before, during or after its statement: other sessions never notice."""
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
