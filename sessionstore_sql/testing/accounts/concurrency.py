"""Many callers at once on the sessions of one user: invariants, never timing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sessionstore_sql import (
    ConflictError,
    DuplicateIdError,
    SessionId,
    UnknownIdError,
)
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    anonymous_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import HOUR, record

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

CALLERS = 12
ROUNDS = 5


async def outcomes(calls: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Make the calls at once; return each result, or its error if a concurrent call explains it."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(
            result, (DuplicateIdError, UnknownIdError, ConflictError)
        ):
            raise result
    return list(results)


def succeeded(results: list[Any]) -> list[int]:
    """Return which of the calls succeeded."""
    return [index for index, result in enumerate(results) if not isinstance(result, Exception)]


async def use(backend: FullBackend, session_id: SessionId, times: int) -> SessionId:
    """Rotate, extend and write to a session until it is gone; return its last id."""
    for number in range(times):
        new_id = SessionId.generate()
        try:
            await backend.change_id(session_id, new_id)
            session_id = new_id
            await backend.update_ttl(session_id, HOUR)
            await backend.update(session_id, record(number=number))
            new_id = SessionId.generate()
            await backend.replace(session_id, new_id, record(number=number))
            session_id = new_id
        except UnknownIdError:
            return new_id
    return session_id


class AccountConcurrencyContract(AccountBackendTests):
    """Races, and what must hold after them."""

    async def test_one_of_many_conditional_updates_wins(self, backend: FullBackend) -> None:
        """The others are told of the conflict, and the winner's state is what is stored."""
        for _ in range(ROUNDS):
            session_id = await anonymous_id(backend)
            version = (await session_of(backend, session_id)).version

            results = await outcomes(
                backend.update_if(session_id, record(caller=caller), version)
                for caller in range(CALLERS)
            )

            (winner,) = succeeded(results)
            after = await session_of(backend, session_id)
            assert after.record.state == {"caller": winner}
            assert after.version == results[winner]
            assert sum(isinstance(each, ConflictError) for each in results) == CALLERS - 1

    async def test_no_increment_is_lost(self, backend: FullBackend) -> None:
        """Callers that load again after a conflict all get their change in."""
        session_id = await anonymous_id(backend)
        await backend.update(session_id, record(total=0))

        async def increment() -> None:
            while True:
                session = await session_of(backend, session_id)
                total = session.record.state["total"]
                assert isinstance(total, int)
                try:
                    await backend.update_if(session_id, record(total=total + 1), session.version)
                except ConflictError:
                    continue
                return

        await asyncio.gather(*(increment() for _ in range(CALLERS)))

        assert (await session_of(backend, session_id)).record.state == {"total": CALLERS}

    async def test_one_of_many_sign_ins_from_one_session_wins(self, backend: FullBackend) -> None:
        """A double click on the button moves the session once."""
        for _ in range(ROUNDS):
            subject, old_id = new_subject(), await anonymous_id(backend)
            new_ids = [SessionId.generate() for _ in range(CALLERS)]

            results = await outcomes(
                backend.sign_in(old_id, new_id, record(), subject=subject) for new_id in new_ids
            )

            (winner,) = succeeded(results)
            assert await handles_of(backend, subject) == {results[winner]}
            live = [await backend.load(new_id) is not None for new_id in new_ids]
            assert live == [index == winner for index in range(CALLERS)]

    async def test_one_of_many_sign_ins_onto_one_id_wins(self, backend: FullBackend) -> None:
        """The others are told of the duplicate."""
        for _ in range(ROUNDS):
            subject, new_id = new_subject(), SessionId.generate()

            results = await outcomes(
                backend.sign_in(None, new_id, record(), subject=subject) for _ in range(CALLERS)
            )

            (winner,) = succeeded(results)
            assert await handles_of(backend, subject) == {results[winner]}

    async def test_one_of_many_replacements_wins(self, backend: FullBackend) -> None:
        """From one id, as for ``change_id``."""
        for _ in range(ROUNDS):
            old_id = await anonymous_id(backend)
            new_ids = [SessionId.generate() for _ in range(CALLERS)]

            results = await outcomes(
                backend.replace(old_id, new_id, record(caller=caller))
                for caller, new_id in enumerate(new_ids)
            )

            (winner,) = succeeded(results)
            assert (await session_of(backend, new_ids[winner])).record.state == {"caller": winner}

    async def test_no_session_escapes_a_revocation(self, backend: FullBackend) -> None:
        """Sessions that are rotated, extended and written to meanwhile end all the same."""
        for _ in range(ROUNDS):
            subject = new_subject()
            ids = [(await signed_in(backend, subject))[0] for _ in range(CALLERS)]
            users = [asyncio.create_task(use(backend, each, 10)) for each in ids]
            await asyncio.sleep(0)

            await backend.revoke(subject)

            assert await handles_of(backend, subject) == set()
            last_ids = await asyncio.gather(*users)
            assert [await backend.load(each) for each in last_ids] == [None] * CALLERS

    async def test_the_kept_session_survives_its_rotation(self, backend: FullBackend) -> None:
        """It is the handle that is kept, not an id."""
        for _ in range(ROUNDS):
            subject = new_subject()
            kept_id, kept = await signed_in(backend, subject)
            for _ in range(3):
                await signed_in(backend, subject)
            user = asyncio.create_task(use(backend, kept_id, 5))
            await asyncio.sleep(0)

            assert await backend.revoke(subject, keep=kept) == 3

            assert await backend.load(await user) is not None
            assert await handles_of(backend, subject) == {kept}

    async def test_no_session_escapes_its_sign_out(self, backend: FullBackend) -> None:
        """It ends under whatever id it has by then."""
        for _ in range(ROUNDS):
            subject = new_subject()
            session_id, _ = await signed_in(backend, subject)
            loaded = await session_of(backend, session_id)
            user = asyncio.create_task(use(backend, session_id, 10))
            await asyncio.sleep(0)

            await backend.sign_out(session_id, loaded)

            assert await handles_of(backend, subject) == set()
            assert await backend.load(await user) is None

    async def test_sign_ins_at_once_keep_to_the_limit(self, backend: FullBackend) -> None:
        """None is rejected, and in the end the limit holds exactly."""
        for _ in range(ROUNDS):
            subject = new_subject()

            handles = await asyncio.gather(
                *(
                    backend.sign_in(
                        None, SessionId.generate(), record(), subject=subject, max_sessions=3
                    )
                    for _ in range(CALLERS)
                )
            )

            left = await handles_of(backend, subject)
            assert len(left) == 3
            assert left <= set(handles)
