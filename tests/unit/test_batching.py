"""When calls are sent: immediately, together, or by another statement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql import batch_queue, batching
from sessionstore_sql.sql.batching import MAX_ROWS, WORTH_A_STATEMENT, Batcher
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.operations import CHANGE_ID, LOAD, UPDATE
from tests.unit.senders import (
    Clock,
    GatedSender,
    LoadSender,
    SteppedSender,
    answers_to,
    ask,
    ask_all,
    names_of,
    settle,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock on which the run of a test takes no time."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock.time)
    monkeypatch.setattr(batching, "PATIENCE_S", 3600)
    return clock


@pytest.fixture
async def sender() -> GatedSender:
    """A sender whose statements all end when the gate opens."""
    return GatedSender()


@pytest.fixture
async def stepped() -> SteppedSender:
    """A sender whose statements end one by one."""
    return SteppedSender()


@pytest.fixture
async def loads() -> LoadSender:
    """A sender of loads."""
    return LoadSender()


@pytest.fixture
async def batcher(sender: GatedSender) -> Batcher[Any]:
    """A batcher that sends one statement at a time."""
    return Batcher(UPDATE, sender, at_once=1)


@pytest.fixture
async def pair(sender: GatedSender) -> Batcher[Any]:
    """A batcher that sends two statements at a time."""
    return Batcher(UPDATE, sender, at_once=2)


async def test_a_call_is_sent_immediately_if_no_statement_is_in_flight(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """In the caller's own task: no other task is started."""
    sender.gate.set()
    tasks = asyncio.all_tasks()

    assert await batcher.ask(Row(b"a")) == "a alone"

    assert asyncio.all_tasks() == tasks
    assert sender.batches == []


async def test_calls_that_wait_are_sent_together(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """One statement is in flight. The next one answers all calls that came meanwhile."""
    calls = ask_all(batcher, "abcd")
    await settle()
    assert (sender.ones, sender.batches) == (["a"], [])
    sender.gate.set()
    assert await answers_to(calls) == ["a alone", "b batched", "c batched", "d batched"]
    assert sender.batches == [["b", "c", "d"]]


async def test_many_calls_for_one_session_take_one_statement(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Beside the one that was sent immediately: the last state replaces the others."""
    calls = [ask(batcher, "a", b"%d" % number, ttl=1) for number in range(1_000)]
    await settle()
    sender.gate.set()

    assert set(await answers_to(calls)) == {"a alone"}
    assert sender.states == [b"0", b"999"]


async def test_calls_for_one_session_that_cannot_be_merged_are_sent_in_order(
    sender: GatedSender,
) -> None:
    """A batch has one row of a session; the next call waits for the next batch."""
    batcher = Batcher(CHANGE_ID, sender, at_once=1)
    calls = ask_all(batcher, ("first", "a", "b", "a", "c", "a", "c"))
    await settle()
    sender.gate.set()
    await answers_to(calls)
    assert sender.batches == [["a", "b", "c"], ["a", "c"]]
    assert sender.ones == ["first", "a"]


async def test_loads_of_one_session_share_a_row(loads: LoadSender) -> None:
    """Each of them gets the answer."""
    loads.sizes = {"a": 1, "b": 2}
    batcher = Batcher(LOAD, loads, at_once=1)
    calls = ask_all(batcher, "0aba")
    await settle()
    await loads.end_all()
    answers = await answers_to(calls)
    assert loads.batches == [["a", "b"]]
    assert [answer and len(answer[0]) for answer in answers] == [None, 1, 2, 1]


async def test_a_cancelled_first_caller_leaves_the_others_served(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Its statement is its own. The waiting calls are answered by another one."""
    calls = ask_all(batcher, "abc")
    await settle()
    calls[0].cancel()
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == ["b batched", "c batched"]


async def test_a_caller_cancelled_while_it_waits_is_left_out(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Its call is never sent."""
    calls = ask_all(batcher, "abcd")
    await settle()
    calls[2].cancel()
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert sender.batches == [["b", "d"]]


async def test_a_caller_cancelled_in_a_batch_has_no_effect_on_the_others(
    stepped: SteppedSender,
) -> None:
    """The batch continues, and the others get their answers."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0abc")
    await settle()
    await stepped.end(0)
    assert stepped.batches == [["a", "b", "c"]]
    calls[2].cancel()
    await settle()
    await stepped.end_all()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [answers[0], answers[1], answers[3]] == ["0 alone", "a batched", "c batched"]


async def test_batches_are_bounded_by_rows(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that came first are sent first."""
    monkeypatch.setattr(batching, "MAX_ROWS", 2)
    calls = ask_all(batcher, "0abcde")
    await settle()
    sender.gate.set()
    await answers_to(calls)
    assert sender.batches == [["a", "b"], ["c", "d"]]
    assert sender.ones == ["0", "e"]


# Several calls in statements of their own


@pytest.fixture
async def twice(stepped: SteppedSender) -> Batcher[Any]:
    """A batcher that sends two calls immediately."""
    return Batcher(UPDATE, stepped, at_once=2, max_immediate=2)


async def test_two_calls_are_sent_immediately(twice: Batcher[Any], stepped: SteppedSender) -> None:
    """Two callers never wait for each other. The third one does, and has company then."""
    calls = ask_all(twice, "abcd")
    await settle()
    assert stepped.started == [["a"], ["b"]]

    await stepped.end(1)
    assert stepped.started == [["a"], ["b"], ["c", "d"]]
    await stepped.end_all()
    assert len(await answers_to(calls)) == 4


async def test_no_call_is_sent_immediately_beside_a_batch(
    twice: Batcher[Any], stepped: SteppedSender
) -> None:
    """It waits with the others, so that the next batch is large."""
    calls = ask_all(twice, "abcd")
    await settle()
    await stepped.end(0)
    await stepped.end(1)
    calls += ask_all(twice, "ef")
    await settle()
    assert stepped.started == [["a"], ["b"], ["c", "d"]]

    await stepped.end(2)
    assert stepped.started[3:] == [["e", "f"]]
    await stepped.end_all()
    await answers_to(calls)


async def test_no_call_overtakes_those_that_wait(
    twice: Batcher[Any], stepped: SteppedSender
) -> None:
    """Even if a statement has ended, and the queue has not been served yet."""
    first = ask(twice, "a")
    second = ask(twice, "b")
    calls = ask_all(twice, "cd")
    await settle()
    first.cancel()
    await settle()
    calls += ask_all(twice, "e")
    await stepped.end_all()
    await answers_to([second, *calls])
    assert stepped.started[2] == ["c", "d"]


async def test_a_second_write_of_a_session_is_not_sent_immediately(
    twice: Batcher[Any], stepped: SteppedSender
) -> None:
    """It waits for the first one, and so it is the one that remains."""
    calls = [ask(twice, "a"), ask(twice, "a"), ask(twice, "a")]
    await settle()
    assert stepped.started == [["a"]]

    await stepped.end(0)
    assert stepped.started == [["a"], ["a"]]
    await stepped.end_all()
    await answers_to(calls)


async def test_a_second_write_of_a_session_does_not_wait_for_long(
    twice: Batcher[Any], stepped: SteppedSender, clock: Clock
) -> None:
    """The first one may wait for a lock that is on the row, and the second one has its own time."""
    calls = [ask(twice, "a"), ask(twice, "a"), ask(twice, "a")]
    await settle()
    for _ in range(2):
        await clock.advance(batching.PATIENCE_S)
        await settle()
    assert stepped.started == [["a"], ["a"]]
    calls += [ask(twice, "a")]
    await settle()
    await stepped.end(0)
    assert stepped.started == [["a"], ["a"]]  # the batch still writes the row
    await stepped.end_all()
    await answers_to(calls)


async def test_calls_are_sent_immediately_again_when_the_queue_is_empty(
    twice: Batcher[Any], stepped: SteppedSender
) -> None:
    """As before."""
    calls = ask_all(twice, "abc")
    await settle()
    await stepped.end_all()
    await answers_to(calls)
    stepped.started.clear()

    calls = ask_all(twice, "ab")
    await settle()
    assert stepped.started == [["a"], ["b"]]
    await stepped.end_all()
    await answers_to(calls)


# Bounds of the queue


async def test_a_state_that_is_too_large_for_a_batch_is_sent_beside_the_queue(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """A state as large as a batch still fits."""
    calls = [
        ask(batcher, "0"),
        ask(batcher, "fits", b"x" * batch_queue.MAX_BYTES),
        ask(batcher, "large", b"x" * (batch_queue.MAX_BYTES + 1)),
    ]
    await settle()
    assert sender.ones == ["0", "large"]
    sender.gate.set()
    await answers_to(calls)
    assert sender.ones == ["0", "large", "fits"]


async def test_large_states_count_as_waiting_while_they_are_sent(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot exceed the bound in bytes, however many callers there are."""
    large = b"x" * (batch_queue.MAX_BYTES + 1)
    monkeypatch.setattr(batch_queue, "MAX_WAITING_BYTES", len(large) * 3)
    calls = [ask(batcher, "0"), *(ask(batcher, name, large) for name in "abcde")]
    await settle()
    assert sender.ones == ["0", "a", "b", "c"]
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [isinstance(answer, DatabaseError) for answer in answers] == [False] * 4 + [True] * 2
    await answers_to([ask(batcher, name, large) for name in "abc"])


async def test_large_states_count_among_the_calls(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound in calls is theirs as well."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING", 2)
    large = b"x" * (batch_queue.MAX_BYTES + 1)
    calls = [ask(batcher, "0"), *(ask(batcher, name, large) for name in "abc")]
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [isinstance(answer, DatabaseError) for answer in answers] == [False] * 3 + [True]


async def test_a_large_state_that_fails_or_is_cancelled_makes_room(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its call ends, its bytes no longer wait."""
    large = b"x" * (batch_queue.MAX_BYTES + 1)
    monkeypatch.setattr(batch_queue, "MAX_WAITING_BYTES", len(large) * 2)
    sender.bad = {"bad"}
    calls = [ask(batcher, name, large) for name in ("0", "bad", "cancelled")]
    await settle()
    calls[2].cancel()
    await settle()
    sender.gate.set()
    await answers_to(calls, errors=True)
    sender.gate.clear()
    calls = [ask(batcher, name, large) for name in "0ab"]
    await settle()
    sender.gate.set()
    assert await answers_to(calls) == ["0 alone", "a alone", "b alone"]


async def test_one_call_too_many_is_rejected_immediately(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transient; the calls that wait are not affected."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING", 3)
    calls = ask_all(batcher, "0abc")
    await settle()
    with pytest.raises(DatabaseError) as caught:
        await answers_to([ask(batcher, "d")])
    assert caught.value.transient
    sender.gate.set()
    assert len(await answers_to(calls)) == 4


async def test_a_cancelled_caller_makes_room(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Immediately, and not only when its place in the queue comes up."""
    monkeypatch.setattr(batch_queue, "MAX_WAITING", 2)
    calls = ask_all(batcher, "0ab")
    await settle()
    calls[1].cancel()
    await settle()
    calls += [ask(batcher, "c")]
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [answers[0], *answers[2:]] == ["0 alone", "b batched", "c batched"]


# Another statement for calls that have waited for long


async def test_a_statement_that_waits_for_a_lock_does_not_hold_up_the_queue(
    stepped: SteppedSender, clock: Clock
) -> None:
    """The other calls are sent by another statement. The slow one still gets its answer."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    slow = ask(batcher, "slow")
    for number, names in enumerate(("a", "bcd"), 1):
        calls = ask_all(batcher, names)
        await settle()
        assert len(stepped.started) == number
        await clock.advance(batching.PATIENCE_S)
        await stepped.end(number)
        assert all(call.done() for call in calls)
    assert not slow.done()
    await stepped.end(0)
    assert await answers_to([slow]) == ["slow alone"]


async def test_few_statements_are_in_flight_at_once(
    batcher: Batcher[Any], sender: GatedSender, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all are slow, the other calls wait instead of taking every connection."""
    monkeypatch.setattr(batching, "MAX_ROWS", 1)
    calls = ask_all(batcher, names_of("n", 20))
    for _ in range(batching.MAX_STATEMENTS * 2):
        await settle()
        await clock.advance(batching.PATIENCE_S)
    assert len(sender.ones) == batching.MAX_STATEMENTS
    sender.gate.set()
    assert len(await answers_to(calls)) == 20


async def test_one_statement_is_added_at_a_time(
    stepped: SteppedSender, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls have waited for long."""
    monkeypatch.setattr(batching, "MAX_ROWS", 1)
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, "0abc")
    await settle()
    await clock.advance(batching.PATIENCE_S)
    assert stepped.started == [["0"], ["a"]]
    await clock.advance(batching.PATIENCE_S * 3 / 4)
    assert stepped.started == [["0"], ["a"]]
    await clock.advance(batching.PATIENCE_S / 4)
    assert stepped.started == [["0"], ["a"], ["b"]]
    await stepped.end_all()
    await answers_to(calls)


async def test_a_later_call_waits_as_long_as_an_earlier_one(
    stepped: SteppedSender, clock: Clock
) -> None:
    """The time counts from its own beginning."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0ab")
    await settle()
    await stepped.end(0)
    await clock.advance(batching.PATIENCE_S / 2)
    calls += ask_all(batcher, "cd")
    await settle()
    await clock.advance(batching.PATIENCE_S * 3 / 4)
    assert stepped.started == [["0"], ["a", "b"]]
    await clock.advance(batching.PATIENCE_S)
    assert stepped.started == [["0"], ["a", "b"], ["c", "d"]]
    await stepped.end_all()
    await answers_to(calls)


async def test_an_added_statement_takes_the_later_calls_along(
    stepped: SteppedSender, clock: Clock
) -> None:
    """It is sent because of the first call, and answers all."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0a")
    await settle()
    await clock.advance(batching.PATIENCE_S / 2)
    calls += [ask(batcher, "b")]
    await settle()
    await clock.advance(batching.PATIENCE_S / 2)
    assert stepped.started == [["0"], ["a", "b"]]
    await stepped.end_all()
    await answers_to(calls)


async def test_a_queue_that_was_idle_waits_as_before(stepped: SteppedSender, clock: Clock) -> None:
    """Nothing happens while no call waits, and later the same as the first time."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    for _ in range(2):
        stepped.started.clear()
        calls = ask_all(batcher, "0ab")
        await settle()
        await clock.advance(batching.PATIENCE_S)
        assert stepped.started == [["0"], ["a", "b"]]
        await stepped.end_all()
        await answers_to(calls)
        await clock.advance(batching.PATIENCE_S)


async def test_a_slow_statement_leaves_the_queue_to_the_newer_ones(
    stepped: SteppedSender, clock: Clock
) -> None:
    """Otherwise there would be more and more statements in turn."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0ab")
    await settle()
    await stepped.end(0)
    calls += ask_all(batcher, "cd")
    await settle()
    await clock.advance(batching.PATIENCE_S)
    calls += ask_all(batcher, "ef")
    await settle()
    assert stepped.started == [["0"], ["a", "b"], ["c", "d"]]
    await stepped.end(1)
    assert stepped.started[3:] == []
    await stepped.end(2)
    assert stepped.started[3:] == [["e", "f"]]
    await stepped.end(3)
    await answers_to(calls)


async def test_no_statement_is_added_for_a_busy_session(
    stepped: SteppedSender, clock: Clock
) -> None:
    """Its call waits for the batch that writes its row, and is sent when that has ended."""
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0ab")
    await settle()
    await stepped.end(0)
    calls += [ask(batcher, "a")]
    for _ in range(3):
        await settle()
        await clock.advance(batching.PATIENCE_S)
    assert stepped.started == [["0"], ["a", "b"]]
    await stepped.end(1)
    assert stepped.started[2:] == [["a"]]
    await stepped.end_all()
    await answers_to(calls)


# Two statements at a time


async def test_under_load_two_batches_share_the_calls() -> None:
    """Callers that call again and again are soon in two halves that take turns."""
    count = WORTH_A_STATEMENT * 4
    sizes: list[int] = []

    class Sender(GatedSender):
        async def one(self, row: Row) -> Any:
            await asyncio.sleep(0)

        async def many(self, rows: Sequence[Row]) -> Mapping[bytes, Any]:
            sizes.append(len(rows))
            for _ in range(5):
                await asyncio.sleep(0)
            return {row.key: "batched" for row in rows}

    batcher = Batcher(UPDATE, Sender(), at_once=2)

    async def repeat(number: int) -> None:
        for _ in range(6):
            await batcher.ask(Row(b"%d" % number))

    await asyncio.gather(*(repeat(number) for number in range(count)))
    assert sizes[3:9] == [count // 2] * 6


async def test_a_batch_beside_an_immediate_call_takes_all_calls(
    pair: Batcher[Any], sender: GatedSender
) -> None:
    """No other statement could take the rest before one of the two has ended."""
    many = names_of("n", WORTH_A_STATEMENT * 4)
    calls = ask_all(pair, ["0", *many])
    await settle()
    assert (sender.ones, sender.batches) == (["0"], [many])
    sender.gate.set()
    await answers_to(calls)


async def test_few_calls_are_not_worth_a_second_statement(
    pair: Batcher[Any], sender: GatedSender
) -> None:
    """They wait for the one in flight."""
    few = names_of("n", WORTH_A_STATEMENT - 1)
    calls = ask_all(pair, ["0", *few])
    await settle()
    assert (sender.ones, sender.batches) == (["0"], [])
    sender.gate.set()
    await answers_to(calls)
    assert sender.batches == [few]


async def test_many_calls_for_one_session_are_not_worth_a_second_statement(
    pair: Batcher[Any], sender: GatedSender
) -> None:
    """They make one row."""
    calls = [ask(pair, "0"), *(ask(pair, "a", ttl=1) for _ in range(WORTH_A_STATEMENT))]
    await settle()
    assert sender.started == [["0"]]
    sender.gate.set()
    await answers_to(calls)
    assert sender.started == [["0"], ["a"]]


async def test_a_session_is_in_one_batch_of_writes_at_a_time(stepped: SteppedSender) -> None:
    """A call for a session that a batch is writing waits for that batch, not for its lock."""
    many, others = names_of("n", WORTH_A_STATEMENT), names_of("m", WORTH_A_STATEMENT)
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, ["0", *many])
    await settle()
    await stepped.end(0)
    calls += ask_all(batcher, [*many, *others])
    await settle()
    assert stepped.started == [["0"], many, others]
    await stepped.end(1)
    assert stepped.started[3:] == [many]
    await stepped.end_all()
    await answers_to(calls)


async def test_loads_of_a_session_need_not_wait_for_each_other(loads: LoadSender) -> None:
    """Two batches may read the same rows at once."""
    many = names_of("n", WORTH_A_STATEMENT)
    batcher = Batcher(LOAD, loads, at_once=2)
    calls = ask_all(batcher, ["0", *many])
    await settle()
    await loads.end(0)
    calls += ask_all(batcher, many)
    await settle()
    assert loads.started == [["0"], many, many]
    await loads.end_all()
    await answers_to(calls)


async def test_the_end_of_an_immediate_call_makes_room_for_a_statement(
    stepped: SteppedSender,
) -> None:
    """The calls that waited for it do not wait for one more call."""
    many, more = names_of("n", WORTH_A_STATEMENT), names_of("m", WORTH_A_STATEMENT)
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, ["0", *many])
    await settle()
    calls += ask_all(batcher, more)
    await settle()
    assert stepped.started == [["0"], many]
    await stepped.end(0)
    assert stepped.started[2:] == [more]
    await stepped.end_all()
    await answers_to(calls)


async def test_calls_that_waited_for_a_batch_are_shared_when_it_ends(
    stepped: SteppedSender,
) -> None:
    """Two statements take them at once, without another call that would start the second."""
    many = names_of("n", WORTH_A_STATEMENT * 2)
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, ["0", *many, *many])
    await settle()
    await stepped.end(0)
    assert stepped.started == [["0"], many]
    await stepped.end(1)
    assert stepped.started[2:] == [many[:WORTH_A_STATEMENT], many[WORTH_A_STATEMENT:]]
    await stepped.end_all()
    await answers_to(calls)


async def share(batcher: Batcher[Any], stepped: SteppedSender) -> None:
    """Require that a second batch takes its half of what the first has taken and what waits."""
    first = len(stepped.started)
    few, many = names_of("n", 10), names_of("m", 61)
    calls = ask_all(batcher, ["0", *few])
    await settle()
    await stepped.end(first)
    calls += ask_all(batcher, many)
    await settle()
    assert stepped.started[first:] == [["0"], few, many[:36]]
    await stepped.end(first + 1)
    assert stepped.started[first + 3 :] == [many[36:]]
    await stepped.end_all()
    await answers_to(calls)


async def test_concurrent_batches_become_alike(stepped: SteppedSender) -> None:
    """The second statement leaves to the first what that has taken less, time after time."""
    batcher = Batcher(UPDATE, stepped, at_once=2)
    await share(batcher, stepped)
    await share(batcher, stepped)


async def test_a_batch_whose_task_was_cancelled_is_no_longer_in_flight(
    stepped: SteppedSender,
) -> None:
    """It counts neither as a statement nor with its rows."""
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, "0abcdef")
    await settle()
    await stepped.end(0)
    (serving,) = batcher._tasks
    serving.cancel()
    await answers_to(calls, errors=True)
    await share(batcher, stepped)


async def test_too_few_calls_for_two_statements_are_not_shared(stepped: SteppedSender) -> None:
    """One less than it takes: the second statement takes all."""
    few, many = names_of("n", 3), names_of("m", WORTH_A_STATEMENT * 2 - 1)
    batcher = Batcher(UPDATE, stepped, at_once=2)
    calls = ask_all(batcher, ["0", *few])
    await settle()
    await stepped.end(0)
    calls += ask_all(batcher, many)
    await settle()
    assert stepped.started == [["0"], few, many]
    await stepped.end_all()
    await answers_to(calls)


async def test_callers_that_call_again_at_once_are_in_the_next_batch() -> None:
    """A batch does not only consist of the calls that came while the last one was in flight."""
    sizes: list[int] = []

    class Sender(GatedSender):
        async def one(self, row: Row) -> Any:
            await asyncio.sleep(0)

        async def many(self, rows: Sequence[Row]) -> Mapping[bytes, Any]:
            sizes.append(len(rows))
            await asyncio.sleep(0)
            return {row.key: "batched" for row in rows}

    batcher = Batcher(UPDATE, Sender(), at_once=1)

    async def repeat(number: int) -> None:
        for _ in range(6):
            await batcher.ask(Row(b"%d" % number))

    await asyncio.gather(*(repeat(number) for number in range(4)))
    assert sizes == [4] * 5 + [3]


async def test_batches_of_loads_adapt_to_the_sizes_seen() -> None:
    """Large states make small batches. Small states, in time, make large batches again."""
    size = 0
    batches: list[int] = []

    class Sender(LoadSender):
        async def one(self, row: Row) -> Any:
            await asyncio.sleep(0)

        async def many(self, rows: Sequence[Row]) -> Mapping[bytes, Any]:
            batches.append(len(rows))
            return {row.key: (b"x" * size, 1) for row in rows}

    batcher = Batcher(LOAD, Sender(), at_once=1)

    async def largest_batch() -> int:
        batches.clear()
        await asyncio.gather(*(batcher.ask(Row(b"%d" % number)) for number in range(300)))
        return max(batches)

    assert await largest_batch() < MAX_ROWS
    size = batch_queue.MAX_LOADED_BYTES // 2
    await largest_batch()
    assert await largest_batch() == 2
    size = 100
    assert [await largest_batch() for _ in range(20)][-1] == MAX_ROWS


# Draining


async def test_draining_waits_for_the_calls_that_wait(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """After it, every waiting call has its answer, and no task of the queue is left."""
    tasks = asyncio.all_tasks()
    calls = ask_all(batcher, "0abc")
    await settle()
    asyncio.get_running_loop().call_soon(sender.gate.set)
    await asyncio.wait_for(batcher.drain(), 10)
    assert asyncio.all_tasks() - {*calls} == tasks
    await settle()
    assert all(call.done() for call in calls)


async def test_draining_waits_for_what_is_in_flight(stepped: SteppedSender) -> None:
    """For a batch that no call waits behind, and for the rows that it leaves unanswered."""
    stepped.unanswered = {"a"}
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0ab")
    await settle()
    await stepped.end(0)
    drained = asyncio.ensure_future(batcher.drain())
    await settle()
    assert not drained.done()
    await stepped.end(1)
    assert stepped.started == [["0"], ["a", "b"], ["a"]]
    assert not drained.done()
    await stepped.end(2)
    assert drained.done()
    await answers_to([*calls, drained])


async def test_draining_does_not_wait_for_cancelled_callers(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Their calls will not be sent."""
    calls = ask_all(batcher, "0a")
    await settle()
    calls[1].cancel()
    await settle()
    await asyncio.wait_for(batcher.drain(), 10)
    assert not calls[0].done()
    sender.gate.set()
    await answers_to(calls, errors=True)


async def test_the_end_of_the_event_loop_is_the_end_of_the_calls_that_wait(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """If the queue's task is cancelled, as at shutdown, no caller is left without an answer."""
    calls = ask_all(batcher, "0abc")
    await settle()
    calls[0].cancel()
    await settle()
    (serving,) = batcher._tasks
    serving.cancel()
    answers = await answers_to(calls, errors=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 4
    assert serving.cancelled()
    sender.gate.set()
    assert await answers_to([ask(batcher, "z")]) == ["z alone"]


async def test_a_batch_runs_in_no_callers_context(sender: GatedSender) -> None:
    """Nor do the calls that it leaves out: they do not run in the context of the first caller."""
    user: ContextVar[str] = ContextVar("user", default="none")
    seen: list[str] = []

    class Sender(GatedSender):
        async def one(self, row: Row) -> Any:
            seen.append(user.get())
            await sender.gate.wait()

        async def many(self, rows: Sequence[Row]) -> Mapping[bytes, Any]:
            seen.append(user.get())
            return {}

    batcher = Batcher(UPDATE, Sender(), at_once=1)

    async def ask_as(name: str) -> Any:
        user.set(name)
        return await batcher.ask(Row(name.encode()))

    calls = [asyncio.ensure_future(ask_as(name)) for name in ("ada", "grace", "alan")]
    await settle()
    sender.gate.set()
    await answers_to(calls)
    assert seen == ["ada", *["none"] * 3]
