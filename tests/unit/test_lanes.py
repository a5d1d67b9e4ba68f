"""Lanes: many waiting calls, one batch, and each call's own contract."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

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
            await self.end_of([name])
            if name in self.bad:
                raise DatabaseError(f"{name} is bad")
            return f"{name} alone"

        return alone

    async def batch(self, rows: Sequence[Row]) -> Mapping[bytes, str]:
        """Make a batch of calls."""
        names = [row.key.decode() for row in rows]
        self.batches.append(names)
        await self.end_of(names)
        if self.batch_error is not None:
            raise self.batch_error
        if self.bad & set(names):
            raise DatabaseError("one of them is bad")
        return {name.encode(): f"{name} together" for name in names if name not in self.unanswered}

    async def end_of(self, names: list[str]) -> None:
        """Return when this statement may end."""
        await self.gate.wait()


class OneByOne(Statements):
    """Statements that are let go one by one, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[list[str]] = []
        """What each was for: one call made alone, or a batch."""
        self._ends: list[asyncio.Event] = []

    async def end_of(self, names: list[str]) -> None:
        """Return when this statement may end."""
        end = asyncio.Event()
        self.started.append(names)
        self._ends.append(end)
        await end.wait()

    async def end(self, number: int) -> None:
        """Let one go, counted from zero as they started."""
        self._ends[number].set()
        await settle()

    async def end_all(self) -> None:
        """Let all go, those too that start then."""
        for end in self._ends:
            end.set()
            await settle()


class Loads(OneByOne):
    """Statements that load states of the given sizes; for other names there is no session."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def ask(self, lane: LoadLane, name: str) -> asyncio.Task[Loaded]:
        """Ask in a task of its own."""

        async def alone() -> Loaded:
            await self.call(name)()
            return self._found(name)

        return asyncio.ensure_future(lane.ask(Row(name.encode()), alone))

    async def load(self, rows: Sequence[Row]) -> Mapping[bytes, Loaded]:
        """Make a batch of loads."""
        return {key: self._found(key.decode()) for key in await self.batch(rows)}

    def _found(self, name: str) -> Loaded:
        return (b"x" * self.sizes[name], timedelta(1)) if name in self.sizes else None


class Clock:
    """The loop's clock, put forward rather than waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._time = loop.time
        self._ahead = 0.0

    def time(self) -> float:
        """Return the time since whenever."""
        return self._time() + self._ahead

    async def advance(self, seconds: float) -> None:
        """Let whatever is due by then happen."""
        self._ahead += seconds
        await settle()


@pytest.fixture(autouse=True)
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock beside which the time that a test takes is nothing."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock.time)
    monkeypatch.setattr(lanes, "PATIENCE", 3600)
    return clock


@pytest.fixture
async def held() -> OneByOne:
    """Statements of this test, let go one by one."""
    return OneByOne()


@pytest.fixture
async def loads() -> Loads:
    """Loads of this test, let go one by one."""
    return Loads()


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


async def all_of(*asked: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
    """Return the answers; a call that nobody answers fails the test rather than hold it up."""
    async with asyncio.timeout(10):
        return await asyncio.gather(*asked, return_exceptions=return_exceptions)


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
    assert await all_of(*asked) == ["a alone", "b together", "c together", "d together"]
    assert statements.batches == [["b", "c", "d"]]


async def test_a_batch_never_changes_one_session_twice(
    lane: Lane[str], statements: Statements
) -> None:
    """Of two calls for one id, the later one waits for the next batch."""
    asked = [ask(lane, statements, name) for name in ("first", "a", "b", "a", "c", "a", "c")]
    await settle()
    statements.gate.set()
    await all_of(*asked)
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
    answers = await all_of(*asked)
    assert statements.batches == [["a", "b"]]
    assert [answer and answer[0] for answer in answers] == [None, b"a", b"b", b"a"]


async def test_what_a_batch_leaves_is_made_alone(lane: Lane[str], statements: Statements) -> None:
    """The others have their answers already."""
    statements.unanswered = {"b"}
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    answers = await all_of(*asked)
    assert answers == ["0 alone", "a together", "b alone", "c together"]


async def test_a_bad_record_fails_alone(lane: Lane[str], statements: Statements) -> None:
    """A batch that fails is made again call by call."""
    statements.bad = {"b"}
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    statements.gate.set()
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(*asked, return_exceptions=True)
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
    assert await all_of(*asked) == ["0 alone", "a alone", "b alone"]


async def test_sizes_are_learned_from_what_a_failed_batch_left(loads: Loads) -> None:
    """Had it failed for its size, the next ones would do so as well."""
    lane = LoadLane(loads.load, at_once=1)
    names = "0abcdefgh"
    loads.sizes = dict.fromkeys(names, 400) | {"a": 3 * 1024 * 1024}
    loads.batch_error = DatabaseError("more than the server can hold")
    asked = [loads.ask(lane, name) for name in names]
    await settle()
    await loads.end_all()
    await all_of(*asked)
    loads.batch_error = None
    asked = [loads.ask(lane, name) for name in names]
    await settle()
    await loads.end_all()
    assert [answer is None for answer in await all_of(*asked)] == [False] * len(names)
    # By and by, as batches return small ones.
    assert loads.batches == [list("abcdefgh"), ["c", "d"], list("efgh")]


async def test_a_batch_that_fails_for_whatever_reason_is_made_call_by_call(
    lane: Lane[str], statements: Statements
) -> None:
    """A listener of the host's may not like one of its calls; the lane goes on."""
    statements.batch_error = ZeroDivisionError()
    asked = [ask(lane, statements, name) for name in "0ab"]
    await settle()
    statements.gate.set()
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(opener, *asked, return_exceptions=True)
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
    await all_of(*asked)
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
    await all_of(*asked)
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
        await all_of(*(lane.ask(Row(b"%d" % n), alone) for n in range(300)))
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
        await all_of(ask(lane, statements, "d"))
    assert caught.value.transient
    await settle()
    statements.gate.set()
    assert len(await all_of(*asked)) == 4


async def test_a_statement_that_waits_for_a_lock_does_not_stop_the_lane(
    lane: Lane[str], statements: Statements, clock: Clock
) -> None:
    """Others are served by another statement; the slow one still gets its answer."""
    unlocked = asyncio.Event()

    async def locked() -> str:
        await unlocked.wait()
        return "at last"

    slow = asyncio.ensure_future(lane.ask(Row(b"slow"), locked))
    statements.gate.set()
    for names in ("a", "bcd"):
        asked = [ask(lane, statements, name) for name in names]
        await settle()
        assert not any(task.done() for task in asked)
        await clock.advance(lanes.PATIENCE)
        assert all(task.done() for task in asked)
    assert not slow.done()
    unlocked.set()
    assert await all_of(slow) == ["at last"]


async def test_few_statements_are_under_way_at_once(
    lane: Lane[str], statements: Statements, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all are slow, the rest waits rather than take every connection."""
    monkeypatch.setattr(lanes, "MAX_ROWS", 1)
    asked = [ask(lane, statements, str(number)) for number in range(20)]
    for _ in range(lanes.MAX_AT_ONCE * 2):
        await settle()
        await clock.advance(lanes.PATIENCE)
    assert len(statements.alone) == lanes.MAX_AT_ONCE
    statements.gate.set()
    assert len(await all_of(*asked)) == 20


async def test_one_statement_is_started_each_time_that_patience_ends(
    held: OneByOne, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many have lost theirs."""
    monkeypatch.setattr(lanes, "MAX_ROWS", 1)
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in "0abc"]
    await settle()
    await clock.advance(lanes.PATIENCE)
    assert held.started == [["0"], ["a"]]
    await clock.advance(lanes.PATIENCE * 3 / 4)
    assert held.started == [["0"], ["a"]]
    await clock.advance(lanes.PATIENCE / 4)
    assert held.started == [["0"], ["a"], ["b"]]
    await held.end_all()
    await all_of(*asked)


async def test_who_came_later_is_patient_for_longer(held: OneByOne, clock: Clock) -> None:
    """The patience of those who have their statement is not that of those who wait."""
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0ab"]
    await settle()
    await held.end(0)
    await clock.advance(lanes.PATIENCE / 2)
    asked += [ask(lane, held, name) for name in "cd"]
    await settle()
    await clock.advance(lanes.PATIENCE * 3 / 4)
    assert held.started == [["0"], ["a", "b"]]
    await clock.advance(lanes.PATIENCE)
    assert held.started == [["0"], ["a", "b"], ["c", "d"]]
    await held.end_all()
    await all_of(*asked)


async def test_the_first_to_lose_patience_takes_the_others_along(
    held: OneByOne, clock: Clock
) -> None:
    """A statement that is started for one is there for all."""
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0a"]
    await settle()
    await clock.advance(lanes.PATIENCE / 2)
    asked += [ask(lane, held, "b")]
    await settle()
    await clock.advance(lanes.PATIENCE / 2)
    assert held.started == [["0"], ["a", "b"]]
    await held.end_all()
    await all_of(*asked)


async def test_a_lane_that_was_idle_is_as_patient_again(held: OneByOne, clock: Clock) -> None:
    """Nothing happens when nobody waits any more, and later the same as before."""
    lane = Lane(held.batch, at_once=1)
    for _ in range(2):
        held.started.clear()
        asked = [ask(lane, held, name) for name in "0ab"]
        await settle()
        await clock.advance(lanes.PATIENCE)
        assert held.started == [["0"], ["a", "b"]]
        await held.end_all()
        await all_of(*asked)
        await clock.advance(lanes.PATIENCE)


async def test_a_statement_that_was_stuck_leaves_what_waits_to_the_others(
    held: OneByOne, clock: Clock
) -> None:
    """Or there would be more and more statements that take turns."""
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0ab"]
    await settle()
    await held.end(0)
    asked += [ask(lane, held, name) for name in "cd"]
    await settle()
    await clock.advance(lanes.PATIENCE)
    asked += [ask(lane, held, name) for name in "ef"]
    await settle()
    assert held.started == [["0"], ["a", "b"], ["c", "d"]]
    await held.end(1)
    assert held.started[3:] == []
    await held.end(2)
    assert held.started[3:] == [["e", "f"]]
    await held.end(3)
    await all_of(*asked)


async def test_drain_waits_for_those_who_wait(lane: Lane[str], statements: Statements) -> None:
    """After it, every call has its answer, and no task of the lane is left."""
    tasks = asyncio.all_tasks()
    asked = [ask(lane, statements, name) for name in "0abc"]
    await settle()
    asyncio.get_running_loop().call_soon(statements.gate.set)
    await all_of(lane.drain())
    assert asyncio.all_tasks() - {*asked} == tasks
    await settle()
    assert all(task.done() for task in asked)


async def test_drain_waits_for_what_is_under_way(held: OneByOne) -> None:
    """A batch that nobody waits behind, and what that leaves to be made alone."""
    held.unanswered = {"a"}
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0ab"]
    await settle()
    await held.end(0)
    drained = asyncio.ensure_future(lane.drain())
    await settle()
    assert not drained.done()
    await held.end(1)
    assert held.started == [["0"], ["a", "b"], ["a"]]
    assert not drained.done()
    await held.end(2)
    assert drained.done()
    await all_of(drained, *asked)


async def test_drain_does_not_wait_for_who_was_cancelled(
    lane: Lane[str], statements: Statements
) -> None:
    """Though its place in the lane is not cleared yet."""
    asked = [ask(lane, statements, name) for name in "0a"]
    await settle()
    asked[1].cancel()
    await settle()
    await all_of(lane.drain())
    assert not asked[0].done()
    statements.gate.set()
    await all_of(*asked, return_exceptions=True)


async def test_two_callers_of_one_session_wait_for_the_same_batch_of_one(
    lane: Lane[str], statements: Statements
) -> None:
    """A batch of one session is made alone, and its errors reach its caller."""
    statements.bad = {"a"}
    asked = [ask(lane, statements, name) for name in "0a"]
    await settle()
    statements.gate.set()
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 4
    assert serving.cancelled()
    statements.gate.set()
    assert await all_of(ask(lane, statements, "z")) == ["z alone"]


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
    answers = await all_of(*asked, return_exceptions=True)
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
    answers = await all_of(opener, *asked, return_exceptions=True)
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

    await all_of(*(repeat(number) for number in range(count)))
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
    await all_of(*asked)


async def test_few_that_wait_are_not_worth_a_second_statement(
    pair: Lane[str], statements: Statements
) -> None:
    """They wait for the one under way."""
    few = names_of("n", lanes.WORTH_A_STATEMENT - 1)
    asked = [ask(pair, statements, name) for name in ("0", *few)]
    await settle()
    assert (statements.alone, statements.batches) == (["0"], [])
    statements.gate.set()
    await all_of(*asked)
    assert statements.batches == [few]


async def test_a_session_is_in_one_batch_at_a_time(held: OneByOne) -> None:
    """A write for a session that a batch is changing waits for that batch, not for its lock."""
    many = names_of("n", lanes.WORTH_A_STATEMENT)
    others = names_of("m", lanes.WORTH_A_STATEMENT)
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in ("0", *many)]
    await settle()
    await held.end(0)
    asked += [ask(lane, held, name) for name in (*many, *others)]
    await settle()
    assert held.started == [["0"], many, others]
    await held.end(1)
    assert held.started[3:] == [many]
    await held.end_all()
    await all_of(*asked)


async def test_loads_of_a_session_need_not_wait_for_each_other(loads: Loads) -> None:
    """Two batches may read the same rows at once."""
    many = names_of("n", lanes.WORTH_A_STATEMENT)
    lane = LoadLane(loads.load, at_once=2)
    asked = [loads.ask(lane, name) for name in ("0", *many)]
    await settle()
    await loads.end(0)
    asked += [loads.ask(lane, name) for name in many]
    await settle()
    assert loads.started == [["0"], many, many]
    await loads.end_all()
    await all_of(*asked)


async def test_the_end_of_a_call_alone_makes_room_for_a_statement(held: OneByOne) -> None:
    """Those who have waited for the room don't wait for one more caller as well."""
    many = names_of("n", lanes.WORTH_A_STATEMENT)
    more = names_of("m", lanes.WORTH_A_STATEMENT)
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in ("0", *many)]
    await settle()
    asked += [ask(lane, held, name) for name in more]
    await settle()
    assert held.started == [["0"], many]
    await held.end(0)
    assert held.started[2:] == [more]
    await held.end_all()
    await all_of(*asked)


async def test_what_waited_for_a_batch_is_shared_when_that_is_answered(held: OneByOne) -> None:
    """Two statements take it at once, without another call that makes the lane look."""
    many = names_of("n", lanes.WORTH_A_STATEMENT * 2)
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in ("0", *many, *many)]
    await settle()
    await held.end(0)
    assert held.started == [["0"], many]
    await held.end(1)
    half = lanes.WORTH_A_STATEMENT
    assert held.started[2:] == [many[:half], many[half:]]
    await held.end_all()
    await all_of(*asked)


async def share(lane: Lane[str], held: OneByOne) -> None:
    """Require that two batches in turn take as much as one has taken and what waits make up."""
    first = len(held.started)
    few, many = names_of("n", 10), names_of("m", 61)
    asked = [ask(lane, held, name) for name in ("0", *few)]
    await settle()
    await held.end(first)
    asked += [ask(lane, held, name) for name in many]
    await settle()
    assert held.started[first:] == [["0"], few, many[:36]]
    await held.end(first + 1)
    assert held.started[first + 3 :] == [many[36:]]
    await held.end_all()
    await all_of(*asked)


async def test_batches_become_alike(held: OneByOne) -> None:
    """A second statement leaves to the first what that has taken less; time after time."""
    lane = Lane(held.batch, at_once=2)
    await share(lane, held)
    await share(lane, held)


async def test_a_batch_whose_task_was_cancelled_is_no_longer_under_way(held: OneByOne) -> None:
    """It counts neither as a statement nor with its rows."""
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in "0abcdef"]
    await settle()
    await held.end(0)
    (serving,) = lane._tasks
    serving.cancel()
    await all_of(*asked, return_exceptions=True)
    await share(lane, held)


async def test_what_is_not_worth_two_statements_is_not_shared(held: OneByOne) -> None:
    """One short of it: the second takes all."""
    few = names_of("n", 3)
    many = names_of("m", lanes.WORTH_A_STATEMENT * 2 - 1)
    lane = Lane(held.batch, at_once=2)
    asked = [ask(lane, held, name) for name in ("0", *few)]
    await settle()
    await held.end(0)
    asked += [ask(lane, held, name) for name in many]
    await settle()
    assert held.started == [["0"], few, many]
    await held.end_all()
    await all_of(*asked)


async def test_who_asks_again_at_once_is_in_the_next_batch() -> None:
    """A batch is not made of those alone who came while the last was under way."""
    sizes: list[int] = []

    async def batch(rows: Sequence[Row]) -> Mapping[bytes, str]:
        sizes.append(len(rows))
        await asyncio.sleep(0)
        return {row.key: "together" for row in rows}

    async def alone() -> str:
        await asyncio.sleep(0)
        return "alone"

    lane = Lane(batch, at_once=1)

    async def repeat(number: int) -> None:
        for _ in range(6):
            await lane.ask(Row(b"%d" % number), alone)

    await all_of(*(repeat(number) for number in range(4)))
    assert sizes == [4] * 5 + [3]


async def test_loads_that_may_each_fill_a_batch_are_made(
    loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, as the first in a batch is taken whatever its size."""
    monkeypatch.setattr(LoadLane, "max_bytes", lanes.FIRST_EXPECTED_BYTES - 1)
    lane = LoadLane(loads.load, at_once=1)
    asked = [loads.ask(lane, name) for name in "0ab"]
    await settle()
    await loads.end_all()
    await all_of(*asked)
    assert loads.started == [["0"], ["a"], ["b"]]


async def test_a_state_as_large_as_a_batch_waits_with_the_others(
    lane: Lane[str], statements: Statements
) -> None:
    """It fits; one byte more does not, and goes beside the lane."""
    asked = [ask(lane, statements, "0")]
    asked += [ask(lane, statements, "fits", b"x" * lanes.MAX_BYTES)]
    asked += [ask(lane, statements, "large", b"x" * (lanes.MAX_BYTES + 1))]
    await settle()
    assert statements.alone == ["0", "large"]
    statements.gate.set()
    await all_of(*asked)
    assert statements.alone == ["0", "large", "fits"]


async def test_nobody_overtakes_what_did_not_fit(lane: Lane[str], statements: Statements) -> None:
    """It leads the next batch, with the small one behind it that would have fitted."""
    quarter = b"x" * (lanes.MAX_BYTES // 4)
    asked = [ask(lane, statements, "0")]
    sizes = {"a": 1, "b": 1, "c": 3, "d": 1}
    asked += [ask(lane, statements, name, quarter * size) for name, size in sizes.items()]
    await settle()
    statements.gate.set()
    await all_of(*asked)
    assert statements.batches == [["a", "b"], ["c", "d"]]


async def test_a_full_batch_looks_no_further(statements: Statements) -> None:
    """Or each batch would cost as much as all that wait."""
    looked_at: list[bytes] = []

    class Observed(Lane[str]):
        def size_of(self, row: Row) -> int:
            looked_at.append(row.key)
            return super().size_of(row)

    lane = Observed(statements.batch, at_once=1)
    half = b"x" * (lanes.MAX_BYTES // 2)
    asked = [ask(lane, statements, name, half) for name in "0abcdef"]
    await settle()
    statements.gate.set()
    await all_of(*asked)
    assert statements.batches == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert b"".join(looked_at) == b"abccdeef"


async def ask_together(loads: Loads, lane: LoadLane, *names: str) -> None:
    """Have these loaded in one batch, after a call made alone."""
    asked = [loads.ask(lane, name) for name in ("0", *names)]
    await settle()
    await loads.end_all()
    await all_of(*asked)
    assert loads.started[-1] == [*names]


@pytest.mark.parametrize("names", ["b", "abc"], ids=["alone", "together"])
async def test_the_largest_state_seen_is_expected_next(loads: Loads, names: str) -> None:
    """In a batch of one, too."""
    loads.sizes = {"a": 90_000, "b": 100_000, "c": 80_000}
    lane = LoadLane(loads.load, at_once=1)
    assert lane.size_of(Row(b"d")) == lanes.FIRST_EXPECTED_BYTES
    await ask_together(loads, lane, *names)
    assert lane.size_of(Row(b"d")) == 100_000


async def test_half_of_what_was_expected_still_is(loads: Loads) -> None:
    """One batch of small states says little of the next."""
    loads.sizes = {"a": 100_000, "b": 100, "c": 200}
    lane = LoadLane(loads.load, at_once=1)
    await ask_together(loads, lane, "a")
    await ask_together(loads, lane, "b", "c")
    assert lane.size_of(Row(b"d")) == 50_000


@pytest.mark.parametrize("names", ["a", "ab"], ids=["alone", "together"])
async def test_sessions_that_are_unknown_say_nothing_of_sizes(loads: Loads, names: str) -> None:
    """Nor does one beside a state that was found, which is all that counts."""
    lane = LoadLane(loads.load, at_once=1)
    await ask_together(loads, lane, *names)
    assert lane.size_of(Row(b"c")) == lanes.FIRST_EXPECTED_BYTES
    loads.sizes = {"found": 100_000}
    await ask_together(loads, lane, *names, "found")
    assert lane.size_of(Row(b"c")) == 100_000


async def test_loads_of_the_only_session_that_waits_are_all_answered(loads: Loads) -> None:
    """Each by a call of its own: for one session there is no batch."""
    loads.sizes = {"a": 1}
    lane = LoadLane(loads.load, at_once=1)
    asked = [loads.ask(lane, name) for name in "0aa"]
    await settle()
    await loads.end(0)
    assert loads.alone == ["0", "a", "a"]
    await loads.end_all()
    answers = await all_of(*asked)
    assert answers == [None, (b"x", timedelta(1)), (b"x", timedelta(1))]


async def test_what_a_batch_leaves_holds_nobody_up(held: OneByOne) -> None:
    """Each is made without waiting for another, and the lane goes on meanwhile."""
    held.unanswered = {"a", "b"}
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0abc"]
    await settle()
    await held.end(0)
    asked += [ask(lane, held, name) for name in "de"]
    await settle()
    await held.end(1)
    assert held.started[2:] == [["a"], ["b"], ["d", "e"]]
    await held.end(4)
    assert [task.done() for task in asked] == [True, False, False, True, True, True]
    await held.end_all()
    await all_of(*asked)


async def test_what_a_batch_leaves_of_who_is_gone_is_not_made(held: OneByOne) -> None:
    """Nobody would hear of it."""
    held.unanswered = {"a", "b"}
    lane = Lane(held.batch, at_once=1)
    asked = [ask(lane, held, name) for name in "0abc"]
    await settle()
    await held.end(0)
    asked[1].cancel()
    await settle()
    await held.end(1)
    assert held.started[2:] == [["b"]]
    await held.end_all()
    await all_of(*asked, return_exceptions=True)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("gone", transient=True, connection_failed=True),
        DatabaseError("gone", transient=True, outcome_unknown=True),
    ],
    ids=["not had", "lost"],
)
async def test_creates_share_the_fate_of_their_connection(
    statements: Statements, error: DatabaseError
) -> None:
    """No row was waited for, or no matter: they may have been made."""
    lane = CreateLane(statements.batch, at_once=1)
    statements.batch_error = error
    asked = [ask(lane, statements, name) for name in "0ab"]
    await settle()
    statements.gate.set()
    answers = await all_of(*asked, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["0 alone", "gone", "gone"]
    assert statements.alone == ["0"]


async def test_a_batch_is_made_in_a_context_of_nobodys(statements: Statements) -> None:
    """Nor do the calls that it leaves run as whoever happened to come first."""
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    async def batch(rows: Sequence[Row]) -> Mapping[bytes, str]:
        seen.append(user.get())
        return {}

    async def alone() -> str:
        seen.append(user.get())
        await statements.gate.wait()
        return "alone"

    lane = Lane(batch, at_once=1)

    async def ask_as(name: str) -> str:
        user.set(name)
        return await lane.ask(Row(name.encode()), alone)

    asked = [asyncio.ensure_future(ask_as(name)) for name in ("ada", "grace", "alan")]
    await settle()
    statements.gate.set()
    await all_of(*asked)
    assert seen == ["ada", *["nobody"] * 3]


async def test_a_batch_of_one_that_fails_or_is_given_up_ends_nothing_else(
    loads: Loads,
) -> None:
    """There is nothing to learn of sizes from it, and no task of the lane breaks on that."""
    loads.bad = {"bad"}
    for name, error in (("bad", DatabaseError), ("given up", asyncio.CancelledError)):
        first = len(loads.started)
        lane = LoadLane(loads.load, at_once=1)
        asked = [loads.ask(lane, each) for each in ("0", name)]
        await settle()
        await loads.end(first)
        (serving,) = lane._tasks
        if error is asyncio.CancelledError:
            asked[1].cancel()
            await settle()
        await loads.end(first + 1)
        answers = await all_of(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None), error]
        await all_of(serving)
