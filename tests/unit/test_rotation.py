"""A rotation, and the note that it leaves of the old id."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore_sql import (
    DatabaseError,
    DuplicateIdError,
    SessionId,
    SessionRecord,
    UnknownIdError,
)
from sessionstore_sql.cookies import id_of
from sessionstore_sql.rotation import rotate, was_rotated
from sessionstore_sql.testing.support import HOUR
from tests.unit.memory_backend import MemoryBackend

pytestmark = pytest.mark.anyio

OLD_ID = SessionId("the id from before")
STATE = {"user": "ada"}


@pytest.fixture
async def memory() -> MemoryBackend:
    """A store with one session."""
    memory = MemoryBackend()
    await memory.create(OLD_ID, SessionRecord(dict(STATE), HOUR))
    return memory


def notes_in(memory: MemoryBackend, *session_ids: SessionId) -> list[SessionId]:
    """Return the ids of all there is but ``session_ids``."""
    return [each for each in memory.rows if each not in session_ids]


async def test_the_session_has_another_id(memory: MemoryBackend) -> None:
    """The old one is unknown, and known to have been rotated."""
    new_id = await rotate(memory, OLD_ID)

    record = await memory.load(new_id)
    assert record is not None
    assert record.state == STATE
    assert await memory.load(OLD_ID) is None
    assert await was_rotated(memory, OLD_ID)
    assert not await was_rotated(memory, new_id)


async def test_a_note_is_no_way_in(memory: MemoryBackend) -> None:
    """It holds nothing, neither of the ids, and its own is none that a client can present."""
    new_id = await rotate(memory, OLD_ID)

    (note,) = notes_in(memory, new_id)
    record = await memory.load(note)
    assert record is not None
    assert record.state == {}
    assert OLD_ID.value not in note.value
    assert new_id.value not in note.value
    assert id_of([note.value.encode()]) is None


async def test_a_note_lives_as_long_as_a_request_may_wait(memory: MemoryBackend) -> None:
    """And goes with what has expired."""
    new_id = await rotate(memory, OLD_ID)

    (note,) = notes_in(memory, new_id)
    record = await memory.load(note)
    assert record is not None
    assert timedelta(minutes=4) < record.ttl <= timedelta(minutes=5)


async def test_what_is_not_there_is_not_rotated(memory: MemoryBackend) -> None:
    """A session that was logged out leaves no note, although somebody tried."""
    await memory.delete(OLD_ID)

    with pytest.raises(UnknownIdError):
        await rotate(memory, OLD_ID)

    assert not await was_rotated(memory, OLD_ID)
    assert memory.rows == {}


async def test_who_loses_to_a_rotation_leaves_its_note(memory: MemoryBackend) -> None:
    """Others may still have to find it."""
    await rotate(memory, OLD_ID)

    with pytest.raises(UnknownIdError):
        await rotate(memory, OLD_ID)

    assert await was_rotated(memory, OLD_ID)


async def test_the_note_is_there_before_the_old_id_is_gone(memory: MemoryBackend) -> None:
    """Whoever finds the id unknown finds the note: at no moment is there neither."""
    found: list[bool] = []
    change_id = memory.change_id

    async def look_and_change(old_id: SessionId, new_id: SessionId) -> None:
        found.append(await was_rotated(memory, old_id))
        await change_id(old_id, new_id)

    memory.change_id = look_and_change  # type: ignore[method-assign]

    await rotate(memory, OLD_ID)

    assert found == [True]


async def test_the_longest_id_has_a_note(memory: MemoryBackend) -> None:
    """And its id is no longer than those of others."""
    longest = SessionId("i" * 1024)
    await memory.create(longest, SessionRecord({}, HOUR))

    await rotate(memory, longest)

    assert await was_rotated(memory, longest)


async def test_the_loser_of_two_rotations_leaves_the_winners_note(memory: MemoryBackend) -> None:
    """Though it was the loser who wrote it: its own answer would remove the winner's cookie."""
    change_id = memory.change_id
    winner: list[SessionId] = []

    async def lose(old_id: SessionId, new_id: SessionId) -> None:
        memory.change_id = change_id  # type: ignore[method-assign]
        winner.append(await rotate(memory, old_id))
        await change_id(old_id, new_id)

    memory.change_id = lose  # type: ignore[method-assign]

    with pytest.raises(UnknownIdError):
        await rotate(memory, OLD_ID)

    assert await memory.load(winner[0]) is not None
    assert await was_rotated(memory, OLD_ID)


async def test_a_note_that_is_there_is_renewed(memory: MemoryBackend) -> None:
    """As one is that a rotation left which failed in the middle, and is made again."""

    async def fail(old_id: SessionId, new_id: SessionId) -> None:
        raise DatabaseError("away", transient=True)

    change_id, memory.change_id = memory.change_id, fail  # type: ignore[method-assign]
    with pytest.raises(DatabaseError):
        await rotate(memory, OLD_ID)
    memory.change_id = change_id  # type: ignore[method-assign]
    (note,) = notes_in(memory, OLD_ID)
    await memory.update_ttl(note, timedelta(seconds=9))

    await rotate(memory, OLD_ID)

    record = await memory.load(note)
    assert record is not None
    assert record.ttl > timedelta(minutes=4)


async def test_a_note_that_comes_and_goes_is_no_failure(memory: MemoryBackend) -> None:
    """Rivals that find nothing to rotate take theirs away, and others leave one again."""
    create, update = memory.create, memory.update

    async def taken(session_id: SessionId, record: SessionRecord) -> None:
        raise DuplicateIdError(session_id)

    async def gone(session_id: SessionId, record: SessionRecord) -> None:
        raise UnknownIdError(session_id)

    memory.create, memory.update = taken, gone  # type: ignore[method-assign]

    new_id = await rotate(memory, OLD_ID)

    memory.create, memory.update = create, update  # type: ignore[method-assign]
    assert await memory.load(new_id) is not None
