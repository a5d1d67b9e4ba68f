"""The queue of waiting calls: groups, batches, order and bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql import batch_queue
from sessionstore_sql.sql.batch_queue import BatchQueue, Group, Waiting
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.effects import Outcome
from sessionstore_sql.sql.operation_kinds import Operation
from sessionstore_sql.sql.operations import CHANGE_ID, CREATE, DELETE, LOAD, UPDATE, UPDATE_TTL
from tests.unit.senders import LONG_TTL

pytestmark = pytest.mark.anyio

ALL = 1_000
MERGING = [CREATE, UPDATE, UPDATE_TTL, LOAD, DELETE]

merging = pytest.mark.parametrize("operation", MERGING, ids=lambda each: each.name)


def wait(
    queue: BatchQueue[Any], name: str, state: bytes = b"", ttl: int = LONG_TTL
) -> Waiting[Any]:
    """Add a call, and return it."""
    row = Row(name.encode(), ttl, state)
    queue.admit(row)
    call: Waiting[Any] = Waiting(row, asyncio.get_running_loop().create_future(), 0)
    queue.add(call)
    return call


def names_in(batch: list[Group[Any]]) -> list[str]:
    """Return the keys of a batch."""
    return [group.sent.row.key.decode() for group in batch]


def take(queue: BatchQueue[Any], most: int = ALL) -> list[str]:
    """Take a batch, finish it, and return its keys."""
    batch = queue.take(most)
    queue.free(batch)
    return names_in(batch)


async def test_sessions_are_taken_in_the_order_of_their_first_calls() -> None:
    """Each takes one place in the batch, however many calls it has."""
    queue = BatchQueue(UPDATE)
    for name in "abacb":
        wait(queue, name)

    assert names_in(queue.take(ALL)) == ["a", "b", "c"]


async def test_a_batch_is_bounded_by_rows() -> None:
    """The rest waits for the next batch."""
    queue = BatchQueue(UPDATE)
    for name in "abcde":
        wait(queue, name)

    assert [take(queue, 2) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], []]


async def test_a_batch_is_bounded_by_bytes() -> None:
    """A row that does not fit leads the next batch, and smaller ones do not overtake it."""
    queue = BatchQueue(UPDATE)
    quarter = b"x" * (batch_queue.MAX_BYTES // 4)
    for name, size in {"a": 1, "b": 1, "c": 3, "d": 1}.items():
        wait(queue, name, quarter * size)

    assert [take(queue) for _ in range(2)] == [["a", "b"], ["c", "d"]]


async def test_a_single_row_may_be_larger_than_a_batch() -> None:
    """The first row of a batch is taken whatever its size."""
    queue = BatchQueue(UPDATE)
    wait(queue, "a", b"x" * (batch_queue.MAX_BYTES + 1))
    wait(queue, "b")

    assert [take(queue) for _ in range(2)] == [["a"], ["b"]]


async def test_merged_calls_count_with_the_state_that_is_sent() -> None:
    """The states that are replaced are not in the batch."""
    queue = BatchQueue(UPDATE)
    for _ in range(5):
        wait(queue, "a", b"x" * (batch_queue.MAX_BYTES // 2))
    wait(queue, "b", b"x" * (batch_queue.MAX_BYTES // 2))

    assert take(queue) == ["a", "b"]


# Groups


@merging
async def test_one_row_answers_all_calls_for_a_session(operation: Operation[Any]) -> None:
    """They leave the queue together."""
    queue = BatchQueue(operation)
    calls = [wait(queue, "a") for _ in range(3)]

    (group,) = queue.take(ALL)

    assert group.calls == calls
    assert queue.is_empty


@pytest.mark.parametrize("operation", [UPDATE, UPDATE_TTL], ids=lambda each: each.name)
async def test_the_last_of_several_replacements_is_sent(operation: Operation[Any]) -> None:
    """It replaces what the others would have written, so its outcome is theirs."""
    queue = BatchQueue(operation)
    calls = [wait(queue, "a") for _ in range(3)]

    (group,) = queue.take(ALL)
    assert group.sent is calls[-1]
    group.settle(operation, Outcome.DONE)

    assert [call.answer.result() for call in calls] == [Outcome.DONE] * 3


@pytest.mark.parametrize("operation", [UPDATE, UPDATE_TTL], ids=lambda each: each.name)
async def test_a_replacement_that_ends_the_session_is_not_skipped(
    operation: Operation[Any],
) -> None:
    """With a ttl of zero the session is not live for the calls after it, which are sent later."""
    queue = BatchQueue(operation)
    first, ending = wait(queue, "a"), wait(queue, "a", ttl=0)
    last = wait(queue, "a")

    (group,) = batch = queue.take(ALL)
    assert (group.calls, group.sent) == ([first, ending], ending)
    assert queue.take(ALL) == []
    queue.free(batch)
    (group,) = queue.take(ALL)
    assert group.calls == [last]


@pytest.mark.parametrize(
    ("operation", "others"),
    [(CREATE, Outcome.DUPLICATE), (DELETE, Outcome.UNKNOWN)],
    ids=["create", "delete"],
)
@pytest.mark.parametrize("outcome", ["done", "rejected"])
async def test_the_first_of_several_creates_or_deletes_is_sent(
    operation: Operation[Any], others: Outcome, outcome: str
) -> None:
    """Whatever its outcome, the others come too late."""
    queue = BatchQueue(operation)
    calls = [wait(queue, "a") for _ in range(3)]

    (group,) = queue.take(ALL)
    assert group.sent is calls[0]
    group.settle(operation, Outcome.DONE if outcome == "done" else others)

    first, *rest = [call.answer.result() for call in calls]
    assert first is (Outcome.DONE if outcome == "done" else others)
    assert rest == [others] * 2


async def test_a_create_that_expires_at_once_leaves_the_id_to_the_next() -> None:
    """With a ttl of zero it makes no session that the others would be duplicates of."""
    queue = BatchQueue(CREATE)
    first, second = wait(queue, "a", ttl=0), wait(queue, "a")

    (group,) = batch = queue.take(ALL)
    assert group.calls == [first]
    queue.free(batch)
    (group,) = queue.take(ALL)
    assert group.calls == [second]


async def test_loads_of_a_session_all_get_the_same_answer() -> None:
    """One row is read for them."""
    queue = BatchQueue(LOAD)
    calls = [wait(queue, "a") for _ in range(3)]

    (group,) = queue.take(ALL)
    group.settle(LOAD, (b"{}", 1))

    assert [call.answer.result() for call in calls] == [(b"{}", 1)] * 3


async def test_calls_that_cannot_be_merged_are_taken_one_by_one() -> None:
    """The session's next call waits until the batch before is finished."""
    queue = BatchQueue(CHANGE_ID)
    calls = [wait(queue, "a") for _ in range(3)]

    for call in calls:
        (group,) = batch = queue.take(ALL)
        assert group.calls == [call]
        assert queue.take(ALL) == []
        queue.free(batch)


async def test_a_caller_that_was_cancelled_gets_no_answer() -> None:
    """The others of its group do."""
    queue = BatchQueue(UPDATE)
    calls = [wait(queue, "a") for _ in range(3)]
    (group,) = queue.take(ALL)

    calls[1].answer.cancel()
    group.settle(UPDATE, Outcome.DONE)

    assert [call.answer.cancelled() for call in calls] == [False, True, False]


# Busy sessions


async def test_a_session_is_in_one_batch_of_writes_at_a_time() -> None:
    """A call that comes meanwhile waits for that batch, and not for its lock."""
    queue = BatchQueue(UPDATE)
    wait(queue, "a")
    batch = queue.take(ALL)

    wait(queue, "a")
    wait(queue, "b")
    assert take(queue) == ["b"]
    queue.free(batch)

    assert take(queue) == ["a"]


async def test_a_session_may_be_in_several_batches_of_reads() -> None:
    """Reads do not exclude each other."""
    queue = BatchQueue(LOAD)
    wait(queue, "a")
    first = queue.take(ALL)
    wait(queue, "a")

    assert names_in(queue.take(ALL)) == ["a"]
    queue.free(first)
    assert queue.is_empty


async def test_taking_a_batch_does_not_look_at_the_calls_that_stay_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch costs as much from a long queue as from a short one."""
    looked_at: list[bytes] = []
    real = CHANGE_ID.__class__.group
    queue = BatchQueue(UPDATE)
    for number in range(100):
        wait(queue, "a", ttl=0)
        wait(queue, f"b{number}")

    def group(self: Any, rows: Any) -> tuple[int, int]:
        looked_at.extend(row.key for row in rows)
        return real(self, rows)

    monkeypatch.setattr(CHANGE_ID.__class__, "group", group)
    first = queue.take(2)
    seen = len(looked_at)
    queue.take(10)

    assert names_in(first) == ["a", "b0"]
    assert len(looked_at) == seen


# Cancelled calls


async def test_a_removed_call_is_not_sent() -> None:
    """Nor does it count any longer."""
    queue = BatchQueue(UPDATE)
    calls = [wait(queue, name, b"xy") for name in "aab"]

    for call in (calls[1], calls[2]):
        queue.remove(call)

    assert (queue.size, queue.size_bytes) == (1, 2)
    (group,) = queue.take(ALL)
    assert group.sent is calls[0]


@merging
async def test_a_call_whose_caller_was_just_cancelled_is_not_sent(
    operation: Operation[Any],
) -> None:
    """Although the caller has not removed it yet."""
    queue = BatchQueue(operation)
    calls = [wait(queue, name) for name in "aaab"]
    for number in (0, 2, 3):
        calls[number].answer.cancel()

    (group,) = queue.take(ALL)

    assert (group.calls, group.sent) == ([calls[1]], calls[1])
    assert (queue.size, queue.is_empty) == (0, True)
    for call in calls:
        queue.remove(call)
    assert queue.size == 0


async def test_a_cancelled_call_makes_room_for_the_one_behind_it() -> None:
    """Also if calls cannot be merged."""
    queue = BatchQueue(CHANGE_ID)
    first, second = wait(queue, "a"), wait(queue, "a")
    first.answer.cancel()

    (group,) = queue.take(ALL)

    assert group.calls == [second]


async def test_removing_a_call_that_was_taken_changes_nothing() -> None:
    """Its statement has been sent."""
    queue = BatchQueue(UPDATE)
    call, other = wait(queue, "a"), wait(queue, "b")
    batch = queue.take(1)

    queue.remove(call)
    queue.free(batch)

    assert queue.size == 1
    assert queue.calls == [other]


# Bounds


async def test_a_queue_is_bounded_by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call too many is rejected as transient, and accepted when there is room again."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING", 2)
    queue = BatchQueue(UPDATE)
    first, _ = wait(queue, "a"), wait(queue, "b")

    with pytest.raises(DatabaseError) as caught:
        wait(queue, "c")
    assert caught.value.transient
    queue.remove(first)
    wait(queue, "c")


async def test_a_queue_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise, whether the calls are for one session or for many."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING_BYTES", 100)
    for name in "ab":
        queue = BatchQueue(UPDATE)
        wait(queue, "a", b"x" * 60)
        wait(queue, name, b"x" * 40)
        with pytest.raises(DatabaseError) as caught:
            wait(queue, name, b"x")
        assert caught.value.transient
        wait(queue, name)
        while batch := queue.take(ALL):
            queue.free(batch)
        wait(queue, "a", b"x" * 100)


async def test_a_state_larger_than_the_bound_is_accepted_by_an_empty_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would never fit otherwise. The next call has to wait until it is gone."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING_BYTES", 100)
    queue = BatchQueue(UPDATE)
    call = wait(queue, "a", b"x" * 101)

    with pytest.raises(DatabaseError):
        wait(queue, "b", b"x")
    queue.remove(call)
    wait(queue, "b", b"x")


# Sizes of loads


def expected_bytes(queue: BatchQueue[Any]) -> int:
    """Return how large the next state is expected to be."""
    return queue._expected_bytes


async def test_the_largest_state_of_a_batch_is_expected_next() -> None:
    """Sessions that were not found say nothing."""
    queue = BatchQueue(LOAD)
    assert expected_bytes(queue) == batch_queue.FIRST_EXPECTED_BYTES

    queue.note_batch([None])
    assert expected_bytes(queue) == batch_queue.FIRST_EXPECTED_BYTES
    queue.note_batch([(b"x" * 90_000, 1), None, (b"x" * 100_000, 1), (b"x" * 80_000, 1)])
    assert expected_bytes(queue) == 100_000


async def test_expectations_fall_by_half_at_most() -> None:
    """One batch of small states says little about the next."""
    queue = BatchQueue(LOAD)
    queue.note_batch([(b"x" * 100_000, 1)])

    queue.note_batch([(b"x" * 100, 1)])

    assert expected_bytes(queue) == 50_000


async def test_a_row_that_a_batch_left_out_only_raises_expectations() -> None:
    """The batch may have failed because of its size."""
    queue = BatchQueue(LOAD)
    queue.note_left([(b"x" * 100_000, 1)])
    queue.note_left([(b"x" * 100, 1)])
    queue.note_left([None])

    assert expected_bytes(queue) == 100_000


async def test_a_value_that_is_no_state_has_no_size() -> None:
    """SQLite may return a number where a state should be."""
    queue = BatchQueue(LOAD)

    queue.note_batch([(2**63 - 1, 1), ("text", 1)])

    assert expected_bytes(queue) == batch_queue.FIRST_EXPECTED_BYTES


async def test_batches_of_loads_are_bounded_by_expected_bytes() -> None:
    """The first row is taken whatever is expected."""
    queue = BatchQueue(LOAD)
    queue.note_batch([(b"x" * (batch_queue.MAX_LOADED_BYTES // 2), 1)])
    for name in "abcd":
        wait(queue, name)
    assert take(queue) == ["a", "b"]

    queue.note_batch([(b"x" * (batch_queue.MAX_LOADED_BYTES + 1), 1)])

    assert [take(queue), take(queue)] == [["c"], ["d"]]


# The oldest call


async def test_the_oldest_call_is_that_of_the_next_row() -> None:
    """Calls for busy sessions do not count, as no statement could be sent for them."""
    queue = BatchQueue(UPDATE)
    assert queue.oldest is None
    wait(queue, "a").since = 1
    wait(queue, "b").since = 2
    assert queue.oldest == 1

    batch = queue.take(1)
    wait(queue, "a").since = 0
    assert queue.oldest == 2
    queue.take(1)

    assert (queue.oldest, queue.is_empty) == (None, False)
    queue.free(batch)
    assert queue.oldest == 0
