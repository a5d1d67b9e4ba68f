"""One batch: what becomes of its calls if it succeeds, leaves rows out, or fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.batch_queue import FIRST_EXPECTED_BYTES
from sessionstore_sql.sql.batching import Batcher
from sessionstore_sql.sql.effects import Outcome
from sessionstore_sql.sql.operations import CREATE, DELETE, LOAD, UPDATE
from tests.unit.senders import (
    GatedSender,
    LoadSender,
    SteppedSender,
    answers_to,
    ask,
    ask_all,
    settle,
)

pytestmark = pytest.mark.anyio


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


async def test_rows_that_a_batch_leaves_out_are_sent_one_by_one(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """The other calls have their answers already."""
    sender.unanswered = {"b"}
    calls = ask_all(batcher, "0abc")
    await settle()
    sender.gate.set()
    assert await answers_to(calls) == ["0 alone", "a batched", "b alone", "c batched"]


async def test_rows_that_a_batch_leaves_out_hold_nothing_up(stepped: SteppedSender) -> None:
    """Each is sent without waiting for another, and the queue continues meanwhile."""
    stepped.unanswered = {"a", "b"}
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0abc")
    await settle()
    await stepped.end(0)
    calls += ask_all(batcher, "de")
    await settle()
    await stepped.end(1)
    assert stepped.started[2:] == [["a"], ["b"], ["d", "e"]]
    await stepped.end(4)
    assert [call.done() for call in calls] == [True, False, False, True, True, True]
    await stepped.end_all()
    await answers_to(calls)


async def test_rows_that_a_batch_leaves_out_are_not_sent_for_cancelled_callers(
    stepped: SteppedSender,
) -> None:
    """No caller would get the answer."""
    stepped.unanswered = {"a", "b"}
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0abc")
    await settle()
    await stepped.end(0)
    calls[1].cancel()
    await settle()
    await stepped.end(1)
    assert stepped.started[2:] == [["b"]]
    await stepped.end_all()
    await answers_to(calls, errors=True)


async def test_merged_calls_that_a_batch_leaves_out_take_one_statement(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """They stay merged."""
    sender.unanswered = {"a"}
    calls = [ask(batcher, "0"), *(ask(batcher, "a", b"%d" % n, ttl=1) for n in range(5))]
    calls += [ask(batcher, "b")]
    await settle()
    sender.gate.set()
    assert await answers_to(calls) == ["0 alone", *["a alone"] * 5, "b batched"]
    assert sender.states == [b"", b"4", b"", b"4"]


async def test_a_bad_record_fails_alone(batcher: Batcher[Any], sender: GatedSender) -> None:
    """The calls of a batch that fails are sent one by one."""
    sender.bad = {"b"}
    calls = ask_all(batcher, "0abc")
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [str(answer) for answer in answers] == ["0 alone", "a alone", "b is bad", "c alone"]


@pytest.mark.parametrize("others", ["", "b"], ids=["alone", "in a batch"])
@pytest.mark.parametrize(
    ("bad", "sent"),
    [
        ({b"4"}, [b"4", b"3"]),
        ({b"3"}, [b"4"]),
        ({b"2", b"3", b"4"}, [b"4", b"3", b"2", b"1"]),
    ],
)
async def test_a_bad_record_among_merged_calls_fails_alone(
    batcher: Batcher[Any], sender: GatedSender, others: str, bad: set[bytes], sent: list[bytes]
) -> None:
    """If the last state cannot be stored, the one before it is. A replaced one never matters."""
    calls = [ask(batcher, "0"), *ask_all(batcher, others)]
    calls += [ask(batcher, "a", b"%d" % number, ttl=1) for number in range(5)]
    sender.bad_states = bad
    await settle()
    sender.gate.set()
    answers = (await answers_to(calls, errors=True))[-5:]

    last_good = max(int(state) for state in sent if state not in bad)
    failed = [number for number, answer in enumerate(answers) if isinstance(answer, DatabaseError)]
    assert failed == [number for number in range(5) if number > last_good]
    assert [state for state in sender.states if state][-len(sent) :] == sent


async def test_a_failed_create_leaves_the_id_to_the_next_call(sender: GatedSender) -> None:
    """If the first record cannot be stored, the second is, and the third is its duplicate."""
    sender.bad_states = {b"0"}
    batcher = Batcher(CREATE, sender, at_once=1)
    calls = [ask(batcher, "x"), *(ask(batcher, "a", b"%d" % n, ttl=1) for n in range(3))]
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[1], DatabaseError)
    assert answers[2:] == ["a alone", Outcome.DUPLICATE]


async def test_callers_after_the_first_find_a_deleted_session_unknown(
    stepped: SteppedSender,
) -> None:
    """Also if the caller of the first delete was cancelled after it was sent."""
    batcher = Batcher(DELETE, stepped, at_once=1)
    calls = ask_all(batcher, "0aaa")
    await settle()
    await stepped.end(0)
    calls[1].cancel()
    await settle()
    await stepped.end_all()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert answers[2:] == [Outcome.UNKNOWN] * 2


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("gone", connection_failed=True),
        DatabaseError("gone", outcome_unknown=True, connection_failed=True),
        DatabaseError("gone", outcome_unknown=True),
        DatabaseError("gone", transient=True),
    ],
    ids=["unreachable", "lost", "lost, then locked", "locked"],
)
async def test_a_failure_of_the_database_fails_every_call_once(
    batcher: Batcher[Any], sender: GatedSender, error: DatabaseError
) -> None:
    """Sent one by one, the calls would meet the same failure, or what the batch did after all."""
    sender.batch_error = error
    calls = ask_all(batcher, "0abc")
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [str(answer) for answer in answers] == ["0 alone", "gone", "gone", "gone"]
    assert sender.ones == ["0"]


async def test_a_failure_of_the_database_fails_merged_calls_once(
    batcher: Batcher[Any], sender: GatedSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single session's calls as well: no second statement is sent for them."""
    calls = [ask(batcher, "0"), *(ask(batcher, "a", ttl=1) for _ in range(5))]
    await settle()

    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("gone", connection_failed=True)

    monkeypatch.setattr(sender, "answer", fail)
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [str(answer) for answer in answers[1:]] == ["gone"] * 5
    assert sender.ones == ["0", "a"]


async def test_a_batch_of_creates_that_waited_for_a_row_is_sent_call_by_call(
    sender: GatedSender,
) -> None:
    """Another transaction is inserting one of its ids. The other calls need not wait for that."""
    batcher = Batcher(CREATE, sender, at_once=1)
    sender.batch_error = DatabaseError("locked", transient=True)
    calls = ask_all(batcher, "0ab")
    await settle()
    sender.gate.set()
    assert await answers_to(calls) == ["0 alone", "a alone", "b alone"]


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("gone", transient=True, connection_failed=True),
        DatabaseError("gone", transient=True, outcome_unknown=True),
    ],
    ids=["unreachable", "lost"],
)
async def test_creates_fail_with_their_connection(
    sender: GatedSender, error: DatabaseError
) -> None:
    """No row was waited for, or the creates may have taken effect."""
    batcher = Batcher(CREATE, sender, at_once=1)
    sender.batch_error = error
    calls = ask_all(batcher, "0ab")
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [str(answer) for answer in answers] == ["0 alone", "gone", "gone"]
    assert sender.ones == ["0"]


async def test_a_batch_that_fails_for_another_reason_is_sent_call_by_call(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """An event listener of the application may fail for one of its calls. The queue continues."""
    sender.batch_error = ZeroDivisionError()
    calls = ask_all(batcher, "0ab")
    await settle()
    sender.gate.set()
    assert await answers_to(calls, errors=True) == ["0 alone", "a alone", "b alone"]
    assert await answers_to([ask(batcher, "z")]) == ["z alone"]


async def test_an_error_reaches_the_only_call_of_a_batch(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """It is sent on its own, and nothing else ends."""
    sender.bad = {"a"}
    calls = ask_all(batcher, "0a")
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [str(answer) for answer in answers] == ["0 alone", "a is bad"]


async def test_callers_cancelled_while_their_calls_are_sent_one_by_one(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Before a call is sent, it is dropped. Once sent, it runs to its end."""
    sender.unanswered = {"a", "b", "c"}
    calls = ask_all(batcher, "0abc")
    await settle()
    sender.gate.set()
    await calls[0]
    sender.gate.clear()
    calls[1].cancel()
    await settle()
    calls[2].cancel()
    await settle()
    sender.gate.set()
    answers = await answers_to(calls, errors=True)
    assert [type(answer) for answer in answers[1:3]] == [asyncio.CancelledError] * 2
    assert answers[3] == "c alone"
    await batcher.drain()


async def test_a_single_call_is_cancelled_with_the_queues_task(
    batcher: Batcher[Any], sender: GatedSender
) -> None:
    """Its caller is not left without an answer."""
    calls = ask_all(batcher, "0a")
    await settle()
    calls[0].cancel()
    await settle()
    (serving,) = batcher._tasks
    serving.cancel()
    answers = await answers_to(calls, errors=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2


async def test_a_cancelled_caller_in_a_batch_that_fails_gets_no_error(
    stepped: SteppedSender,
) -> None:
    """The others do."""
    stepped.batch_error = DatabaseError("gone", connection_failed=True)
    batcher = Batcher(UPDATE, stepped, at_once=1)
    calls = ask_all(batcher, "0abc")
    await settle()
    await stepped.end(0)
    calls[2].cancel()
    await settle()
    await stepped.end_all()
    answers = await answers_to(calls, errors=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [str(answers[1]), str(answers[3])] == ["gone", "gone"]


# Sizes of loads


async def load_together(loads: LoadSender, batcher: Batcher[Any], names: str) -> None:
    """Load these in one batch, after a call that is sent immediately."""
    calls = ask_all(batcher, f"0{names}")
    await settle()
    await loads.end_all()
    await answers_to(calls)
    assert loads.started[-1] == list(names)


@pytest.mark.parametrize("names", ["b", "abc"], ids=["alone", "together"])
async def test_sizes_are_learned_from_every_batch(loads: LoadSender, names: str) -> None:
    """Also from a batch of one row."""
    loads.sizes = {"a": 90_000, "b": 100_000, "c": 80_000}
    batcher = Batcher(LOAD, loads, at_once=1)
    assert batcher._queue._expected_bytes == FIRST_EXPECTED_BYTES
    await load_together(loads, batcher, names)
    assert batcher._queue._expected_bytes == 100_000
    loads.sizes = {"d": 100}
    await load_together(loads, batcher, "d")
    assert batcher._queue._expected_bytes == 50_000


async def test_sizes_are_learned_from_the_rows_of_a_failed_batch(loads: LoadSender) -> None:
    """If it failed because of its size, the next batches would fail as well."""
    names = "abcdefgh"
    loads.sizes = dict.fromkeys(names, 400) | {"a": 3 * 1024 * 1024}
    loads.batch_error = DatabaseError("more than the server can hold")
    batcher = Batcher(LOAD, loads, at_once=1)
    calls = ask_all(batcher, f"0{names}")
    await settle()
    await loads.end_all()
    await answers_to(calls)
    loads.batch_error = None
    calls = ask_all(batcher, f"0{names}")
    await settle()
    await loads.end_all()
    await answers_to(calls)
    # Expectations fall as batches return small states.
    assert loads.batches == [list(names), ["c", "d"], list("efgh")]


async def test_a_load_that_fails_or_is_cancelled_ends_nothing_else(loads: LoadSender) -> None:
    """There is no size to learn from it, and the queue's task does not fail for that."""
    loads.bad = {"bad"}
    for name, error in (("bad", DatabaseError), ("cancelled", asyncio.CancelledError)):
        first = len(loads.started)
        batcher = Batcher(LOAD, loads, at_once=1)
        calls = ask_all(batcher, ["0", name])
        await settle()
        await loads.end(first)
        (serving,) = batcher._tasks
        if error is asyncio.CancelledError:
            calls[1].cancel()
            await settle()
        await loads.end(first + 1)
        answers = await answers_to(calls, errors=True)
        assert [type(answer) for answer in answers] == [type(None), error]
        await answers_to([serving])
