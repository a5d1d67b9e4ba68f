"""Lanes: many waiting calls, one batch, and each call's own contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from sessionstore_sql import lanes
from sessionstore_sql.calls import Loaded
from sessionstore_sql.dialects.base import Row
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.lanes import CreateLane, Lane, LoadLane

pytestmark = pytest.mark.anyio


class Statements:
    """Statements that wait until they are let go, and what was asked of them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.alone: list[str] = []
        self.batches: list[list[str]] = []
        self.unanswered: set[str] = set()
        self.batch_error: BaseException | None = None
        self.bad: set[str] = set()

    def call(self, name: str) -> Callable[[], Awaitable[str]]:
        """Return a call that is made alone."""

        async def alone() -> str:
            self.alone.append(name)
            await self.gate.wait()
            if name in self.bad:
                raise DatabaseError(f"{name} is bad")
            return f"{name} alone"

        return alone

    async def batch(self, rows: Sequence[Row]) -> Mapping[bytes, str]:
        """Make a batch of calls."""
        names = [row.key.decode() for row in rows]
        self.batches.append(names)
        await self.gate.wait()
        if self.batch_error is not None:
            raise self.batch_error
        if self.bad & set(names):
            raise DatabaseError("one of them is bad")
        return {name.encode(): f"{name} together" for name in names if name not in self.unanswered}


@pytest.fixture
async def statements() -> Statements:
    """Statements of this test."""
    return Statements()


@pytest.fixture
async def lane(statements: Statements) -> Lane[str]:
    """A lane that nobody uses yet."""
    return Lane(statements.batch, at_once=1)


def ask(
    lane: Lane[str], statements: Statements, name: str, state: bytes = b""
) -> asyncio.Task[str]:
    """Ask in a task of its own."""
    row = Row(name.encode(), state=state)
    return asyncio.ensure_future(lane.ask(row, statements.call(name)))


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_idle_lane_makes_a_call_at_once(lane: Lane[str], statements: Statements) -> None:
    """In the caller's own task: no other is started."""
    statements.gate.set()
    tasks = asyncio.all_tasks()
    answer = await lane.ask(Row(b"a"), statements.call("a"))
    assert answer == "a alone"
    assert asyncio.all_tasks() == tasks
    assert statements.batches == []


async def test_calls_that_wait_are_answered_together(
    lane: Lane[str], statements: Statements
) -> None:
    """One statement is under way; the next answers all that came meanwhile, each its own."""
    asked = [ask(lane, statements, name) for name in "abcd"]
    await settle()
    assert (statements.alone, statements.batches) == (["a"], [])
    await settle()
    statements.gate.set()
    assert await asyncio.gather(*asked) == ["a alone", "b together", "c together", "d together"]
    assert statements.batches == [["b", "c", "d"]]


async def test_a_batch_never_changes_one_session_twice(
    lane: Lane[str], statements: Statements
) -> None:
    """Of two calls for one id, the later one waits for the next batch."""
    asked = [ask(lane, statements, name) for name in ("first", "a", "b", "a", "c", "a", "c")]
    await settle()
    statements.gate.set()
    await asyncio.gather(*asked)
    assert statements.batches == [["a", "b", "c"], ["a", "c"]]
    assert statements.alone == ["first", "a"]


async def test_loads_of_one_session_share_a_row(statements: Statements) -> None:
    """Reading is not changing."""

    async def load(rows: Sequence[Row]) -> Mapping[bytes, Loaded]:
        await statements.batch(rows)
        return {row.key: (row.key, timedelta(1)) for row in rows}

    async def alone() -> Loaded:
        await statements.gate.wait()
        return None

    lane = LoadLane(load, at_once=1)
    asked = [asyncio.ensure_future(lane.ask(Row(key), alone)) for key in (b"0", b"a", b"b", b"a")]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked)
    assert statements.batches == [["a", "b"]]
    assert [answer and answer[0] for answer in answers] == [None, b"a", b"b", b"a"]


async def test_what_a_batch_leaves_is_made_alone(lane: Lane[str], statements: Statements) -> None:
    """The others have their answers already."""
    statements.unanswered = {"b"}
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked)
    assert answers == ["0 alone", "a together", "b alone", "c together"]


async def test_a_bad_record_fails_alone(lane: Lane[str], statements: Statements) -> None:
    """A batch that fails is made again call by call."""
    statements.bad = {"b"}
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["0 alone", "a alone", "b is bad", "c alone"]


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("gone", connection_failed=True),
        DatabaseError("gone", outcome_unknown=True, connection_failed=True),
        DatabaseError("gone", outcome_unknown=True),
        DatabaseError("gone", transient=True),
    ],
    ids=["not had", "lost", "lost, then locked", "locked"],
)
async def test_a_failed_connection_fails_everyone_once(
    lane: Lane[str], statements: Statements, error: DatabaseError
) -> None:
    """Made one by one, the calls would meet the same, or what the batch did after all."""
    statements.batch_error = error
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["0 alone", "gone", "gone", "gone"]
    assert statements.alone == ["0"]


async def test_a_batch_that_waited_for_one_row_is_made_call_by_call(
    statements: Statements,
) -> None:
    """Someone else is about to insert one of its ids; the others don't have to wait for that."""
    lane = CreateLane(statements.batch, at_once=1)
    statements.batch_error = DatabaseError("locked", transient=True)
    asked = [ask(lane, statements, name) for name in "0ab"]
    await settle()
    statements.gate.set()
    assert await asyncio.gather(*asked) == ["0 alone", "a alone", "b alone"]


async def test_a_batch_that_fails_for_whatever_reason_is_made_call_by_call(
    lane: Lane[str], statements: Statements
) -> None:
    """A listener of the host's may not like one of its calls; the lane goes on."""
    statements.batch_error = ZeroDivisionError()
    asked = [ask(lane, statements, name) for name in "0ab"]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers == ["0 alone", "a alone", "b alone"]
    assert await ask(lane, statements, "z") == "z alone"


async def test_a_cancelled_first_caller_leaves_the_others_served(
    lane: Lane[str], statements: Statements
) -> None:
    """Its statement is its own; what waits is answered by another."""
    asked = [ask(lane, statements, name) for name in "abc"]
    await settle()
    asked[0].cancel()
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == ["b together", "c together"]


async def test_a_caller_cancelled_while_waiting_is_left_out(
    lane: Lane[str], statements: Statements
) -> None:
    """Its call is never made."""
    asked = [ask(lane, statements, name) for name in "abcd"]
    await settle()
    asked[2].cancel()
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert statements.batches == [["b", "d"]]


async def test_a_caller_cancelled_in_a_batch_takes_nobody_along(statements: Statements) -> None:
    """The batch goes on; the others get their answers."""
    first = asyncio.Event()
    lane = Lane(statements.batch, at_once=1)

    async def quick() -> str:
        await first.wait()
        return "quick"

    opener = asyncio.ensure_future(lane.ask(Row(b"0"), quick))
    asked = [ask(lane, statements, name) for name in "abc"]
    await settle()
    first.set()
    await settle()
    assert statements.batches == [["a", "b", "c"]]
    asked[1].cancel()
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(opener, *asked, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [answers[0], answers[1], answers[3]] == ["quick", "a together", "c together"]


async def test_batches_are_bounded_by_rows(
    lane: Lane[str], statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that came first go first."""
    monkeypatch.setattr(lanes, "MAX_ROWS", 2)
    asked = [ask(lane, statements, name) for name in "0abcde"]
    await settle()
    statements.gate.set()
    await asyncio.gather(*asked)
    assert statements.batches == [["a", "b"], ["c", "d"]]
    assert statements.alone == ["0", "e"]


async def test_batches_are_bounded_by_bytes(lane: Lane[str], statements: Statements) -> None:
    """A state larger than a batch goes alone at once; others fill batches in order."""
    half = b"x" * (lanes.MAX_BYTES // 2)
    asked = [ask(lane, statements, "0")]
    asked += [ask(lane, statements, name, half) for name in "abcd"]
    asked += [ask(lane, statements, "large", half * 3)]
    await settle()
    assert statements.alone == ["0", "large"]
    await settle()
    statements.gate.set()
    await asyncio.gather(*asked)
    assert statements.batches == [["a", "b"], ["c", "d"]]


async def test_batches_of_loads_adapt_to_the_sizes_seen() -> None:
    """Large states seen make small batches; small ones, in time, large batches again."""
    size = 0
    batches: list[int] = []

    async def load(rows: Sequence[Row]) -> Mapping[bytes, Loaded]:
        batches.append(len(rows))
        return {row.key: (b"x" * size, timedelta(1)) for row in rows}

    async def alone() -> Loaded:
        await asyncio.sleep(0)
        return None

    lane = LoadLane(load, at_once=1)

    async def ask_many() -> int:
        batches.clear()
        await asyncio.gather(*(lane.ask(Row(b"%d" % n), alone) for n in range(300)))
        return max(batches)

    before = await ask_many()
    size = lanes.MAX_LOADED_BYTES // 2
    await ask_many()
    large = await ask_many()
    size = 100
    small = [await ask_many() for _ in range(20)][-1]
    assert before < lanes.MAX_ROWS
    assert large == 2
    assert small == lanes.MAX_ROWS


async def test_a_lane_has_a_bound(
    lane: Lane[str], statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call too many is refused at once, as transient."""
    monkeypatch.setattr(lanes, "MAX_WAITING", 3)
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    with pytest.raises(DatabaseError) as caught:
        await lane.ask(Row(b"d"), statements.call("d"))
    assert caught.value.transient
    await settle()
    statements.gate.set()
    assert len(await asyncio.gather(*asked)) == 4


async def test_a_statement_that_waits_for_a_lock_does_not_stop_the_lane(
    lane: Lane[str], statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are served by another statement; the slow one still gets its answer."""
    monkeypatch.setattr(lanes, "PATIENCE", 0.001)
    unlocked = asyncio.Event()

    async def locked() -> str:
        await unlocked.wait()
        return "at last"

    slow = asyncio.ensure_future(lane.ask(Row(b"slow"), locked))
    statements.gate.set()
    assert await ask(lane, statements, "a") == "a alone"
    assert await asyncio.gather(*(ask(lane, statements, name) for name in "bcd"))
    assert not slow.done()
    unlocked.set()
    assert await slow == "at last"


async def test_few_statements_are_under_way_at_once(
    lane: Lane[str], statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all are slow, the rest waits rather than take every connection."""
    monkeypatch.setattr(lanes, "PATIENCE", 0.0001)
    monkeypatch.setattr(lanes, "MAX_ROWS", 1)
    asked = [ask(lane, statements, str(number)) for number in range(20)]
    for _ in range(200):
        await asyncio.sleep(0.0001)
    assert len(statements.alone) == lanes.MAX_AT_ONCE
    await settle()
    statements.gate.set()
    assert len(await asyncio.gather(*asked)) == 20


async def test_drain_waits_for_those_who_wait(lane: Lane[str], statements: Statements) -> None:
    """After it, every call has its answer, and no task of the lane is left."""
    tasks = asyncio.all_tasks()
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    asyncio.get_running_loop().call_later(0.01, statements.gate.set)
    await lane.drain()
    await settle()
    assert all(task.done() for task in asked)
    assert asyncio.all_tasks() == tasks


async def test_two_callers_of_one_session_wait_for_the_same_batch_of_one(
    lane: Lane[str], statements: Statements
) -> None:
    """A batch of one session is made alone, and its errors reach its caller."""
    statements.bad = {"a"}
    asked = [ask(lane, statements, name) for name in "0a"]
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["0 alone", "a is bad"]


async def test_callers_cancelled_as_their_calls_are_made_alone(
    lane: Lane[str], statements: Statements
) -> None:
    """Before it starts, the call is dropped; once it runs, it runs to its end unheard."""
    statements.unanswered = {"a", "b", "c"}
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    await asked[0]
    statements.gate.clear()
    asked[1].cancel()
    await settle()
    asked[2].cancel()
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers[1:3]] == [asyncio.CancelledError] * 2
    assert answers[3] == "c alone"
    await lane.drain()


async def test_the_end_of_the_loop_is_the_end_of_those_who_wait(statements: Statements) -> None:
    """A lane whose task is cancelled, as at shutdown, leaves no caller without an answer."""
    lane = Lane(statements.batch, at_once=1)
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    asked[0].cancel()
    await settle()
    (serving,) = lane._tasks
    serving.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 4


async def test_a_call_made_alone_that_is_cancelled_cancels_its_caller(
    lane: Lane[str], statements: Statements
) -> None:
    """And with an answer that nobody waits for any more, nothing happens."""
    asked = [ask(lane, statements, name) for name in "0a"]
    await settle()
    asked[0].cancel()
    await settle()
    (serving,) = lane._tasks
    serving.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2


async def test_a_caller_cancelled_in_a_batch_that_fails_hears_nothing_of_it(
    statements: Statements,
) -> None:
    """The others are told; for who is gone there is nothing to tell."""
    lane = Lane(statements.batch, at_once=1)
    first = asyncio.Event()

    async def quick() -> str:
        await first.wait()
        return "quick"

    statements.batch_error = DatabaseError("gone", connection_failed=True)
    opener = asyncio.ensure_future(lane.ask(Row(b"0"), quick))
    asked = [ask(lane, statements, name) for name in "abc"]
    await settle()
    first.set()
    await settle()
    asked[1].cancel()
    await settle()
    statements.gate.set()
    answers = await asyncio.gather(opener, *asked, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert [str(answers[1]), str(answers[3])] == ["gone", "gone"]


@pytest.fixture
async def pair(statements: Statements) -> Lane[str]:
    """A lane with two statements under way at once."""
    return Lane(statements.batch, at_once=2)


def names_of(prefix: str, count: int) -> list[str]:
    """Return so many different names."""
    return [f"{prefix}{number}" for number in range(count)]


async def test_where_many_wait_two_batches_share_them() -> None:
    """Callers who ask again and again are soon in two halves that take turns."""
    count = lanes.WORTH_A_STATEMENT * 4
    sizes: list[int] = []

    async def batch(rows: Sequence[Row]) -> Mapping[bytes, str]:
        sizes.append(len(rows))
        for _ in range(5):
            await asyncio.sleep(0)
        return {row.key: "together" for row in rows}

    async def alone() -> str:
        await asyncio.sleep(0)
        return "alone"

    lane = Lane(batch, at_once=2)

    async def repeat(number: int) -> None:
        for _ in range(6):
            await lane.ask(Row(b"%d" % number), alone)

    await asyncio.gather(*(repeat(number) for number in range(count)))
    assert sizes[3:9] == [count // 2] * 6


async def test_a_batch_beside_a_call_alone_takes_all_that_wait(
    pair: Lane[str], statements: Statements
) -> None:
    """Nobody else would take the rest until one of them has ended."""
    many = names_of("n", lanes.WORTH_A_STATEMENT * 4)
    asked = [ask(pair, statements, name) for name in ("0", *many)]
    await settle()
    assert (statements.alone, statements.batches) == (["0"], [many])
    statements.gate.set()
    await asyncio.gather(*asked)


async def test_few_that_wait_are_not_worth_a_second_statement(
    pair: Lane[str], statements: Statements
) -> None:
    """They wait for the one under way."""
    few = names_of("n", lanes.WORTH_A_STATEMENT - 1)
    asked = [ask(pair, statements, name) for name in ("0", *few)]
    await settle()
    assert (statements.alone, statements.batches) == (["0"], [])
    statements.gate.set()
    await asyncio.gather(*asked)
    assert statements.batches == [few]


async def test_a_session_is_in_one_batch_at_a_time(pair: Lane[str], statements: Statements) -> None:
    """A write for a session that a batch is changing waits for that batch, not for its lock."""
    many = names_of("n", lanes.WORTH_A_STATEMENT)
    others = names_of("m", lanes.WORTH_A_STATEMENT)
    asked = [ask(pair, statements, name) for name in ("0", *many)]
    await settle()
    assert statements.batches == [many]
    asked += [ask(pair, statements, name) for name in (*many, *others)]
    await settle()
    assert statements.batches == [many]
    statements.gate.set()
    await asyncio.gather(*asked)
    assert all(len(set(batch)) == len(batch) for batch in statements.batches)
    assert sorted(name for batch in statements.batches for name in batch) == sorted(
        [*many, *many, *others]
    )
