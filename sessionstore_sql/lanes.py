"""Many waiting calls, one statement.

A statement costs Python and SQLAlchemy several times what it costs the database. While one is
under way, the calls that arrive have to wait anyway; the next statement answers all of them.

Each operation has a *lane*. Where nothing is under way, a call goes out at once, alone, in its
caller's own task: no added wait, no switch of tasks. Otherwise it waits in the lane, and a task
of the lane answers what waits, batch after batch, until nothing does. So nobody ever waits for a
batch to fill, and batches grow with the load. Where many wait, two tasks share them: the database
works on the batch of one while the answers of the other's are handed out here.

What keeps each call's contract its own:

- A batch never changes one session twice, nor one that another batch is changing: of two calls for
  one id, the later one waits for a later batch. Loads of one id share a row.
- A batch answers the calls it can. Of the others it looks up at once which are unknown, or
  duplicates. What is left (rows that someone has locked) is made alone, call by call, so that
  each waits for its own lock and for nobody else's.
- A batch that fails is made again call by call, so that a bad record fails alone; but not for
  what is everybody's fate, such as a lost connection or a locked table, nor where the batch may
  have taken effect: the calls would meet what they did themselves.
- A call with more bytes than a batch may have is made alone, beside the lane.
- A caller that is cancelled takes nobody along: its call is dropped if it still waits, and
  carried out unheard if it is under way.
- Batches are bounded by rows and by bytes, and lanes by the calls that wait in them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sessionstore_sql.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sessionstore_sql.calls import Loaded
    from sessionstore_sql.dialects.base import Row
    from sessionstore_sql.telemetry import LaneObserver, Origin

Answer = TypeVar("Answer")

MAX_ROWS = 256
"""Of a batch."""
MAX_BYTES = 256 * 1024
"""Of the states in a batch of writes, which hexadecimal doubles: it fits any packet."""
MAX_LOADED_BYTES = 4 * 1024 * 1024
"""Of the states that a batch of loads is expected to return."""
FIRST_EXPECTED_BYTES = 64 * 1024
"""What a state is taken to have before one was seen."""
MAX_WAITING = 10_000
"""Calls in a lane; more are refused at once rather than served too late."""

WORTH_A_STATEMENT = 16
"""Waiting calls for which a second statement is started: for fewer, it costs more than it saves."""
PATIENCE = 0.05
"""Seconds that a call waits for the statements under way before another one is started: a lane
must not stand still because one session's row is locked. Who waits is looked at as often, so that
it may take twice as long."""
MAX_AT_ONCE = 4
"""Statements of a lane under way at once, at the most."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Answer]):
    row: Row
    alone: Callable[[], Awaitable[Answer]]
    answer: asyncio.Future[Answer]
    since: float
    origin: Origin | None
    """Whose call it is, for who watches the lane."""


class Lane(Generic[Answer]):
    """The calls of one operation in one event loop."""

    shares_rows = False
    """Whether one row answers all calls for its id: true of reading."""
    waits_for_rows = False
    """Whether a batch may wait for one of its rows."""
    max_bytes = MAX_BYTES
    observer: LaneObserver[Any] | None = None

    def __init__(
        self,
        make_batch: Callable[[Sequence[Row]], Awaitable[Mapping[bytes, Answer]]],
        *,
        at_once: int,
    ) -> None:
        """Make an empty lane.

        Args:
            make_batch: Makes the calls for these rows; what it doesn't answer is made alone.
            at_once: How many statements may be under way as a rule.
        """
        self._make_batch = make_batch
        self._at_once = at_once
        self._waiting: deque[_Waiting[Answer]] = deque()
        self._under_way: list[object] = []
        """Of each statement a token, in the order in which they were started."""
        self._alone: object | None = None
        """Of those, the call that was made alone as nothing was under way: it takes no others."""
        self._rows_under_way = 0
        self._keys_under_way: set[bytes] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, row: Row, alone: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer to one call, made ``alone`` or with others."""
        if not self._under_way:
            token = self._alone = self._started()
            try:
                return await alone()
            finally:
                self._ended(token)
                self._overlap()
        if len(row.state) > self.max_bytes:
            return await alone()
        if len(self._waiting) >= MAX_WAITING:
            raise DatabaseError("too many calls are waiting for the database", transient=True)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        origin = None
        if self.observer is not None:
            origin = self.observer.origin()
            if origin is not None:
                alone = partial(origin.resume, alone)
        self._waiting.append(_Waiting(row, alone, answer, loop.time(), origin))
        if self._alarm is None:
            self._alarm = loop.call_later(PATIENCE, self._reinforce)
        self._overlap()
        return await answer

    async def drain(self) -> None:
        """Return when no task of the lane is left, and so no call waits."""
        while unfinished := self._unfinished():
            await asyncio.wait(unfinished)

    def size_of(self, row: Row) -> int:
        """Return the bytes that a call adds to a batch."""
        return len(row.state)

    def note_answers(self, answers: Mapping[bytes, Answer]) -> None:
        """Learn from what a batch returned."""

    def note_left(self, answers: Mapping[bytes, Answer]) -> None:
        """Learn from one of those that a batch left."""

    def _unfinished(self) -> list[asyncio.Future[Any]]:
        answers = (waiting.answer for waiting in self._waiting)
        return [*self._tasks, *(answer for answer in answers if not answer.done())]

    def _started(self) -> object:
        token = object()
        self._under_way.append(token)
        return token

    def _ended(self, token: object) -> None:
        self._under_way.remove(token)
        if self._waiting and not self._under_way:
            self._start_serving()

    def _start_serving(self) -> None:
        self._spawn(self._serve(self._started()))

    def _overlap(self) -> None:
        """Start another statement beside the first, if enough calls wait."""
        if len(self._under_way) < self._at_once and len(self._waiting) >= WORTH_A_STATEMENT:
            self._start_serving()

    def _reinforce(self) -> None:
        self._alarm = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        is_due = self._waiting[0].since + PATIENCE <= loop.time()
        if is_due and len(self._under_way) < MAX_AT_ONCE:
            self._start_serving()
        self._alarm = loop.call_later(PATIENCE, self._reinforce)

    async def _serve(self, token: object) -> None:
        try:
            # One that was stuck while others were started leaves what waits to those.
            while token in self._under_way[-self._at_once :] and (batch := self._take()):
                self._rows_under_way += len(batch)
                try:
                    self._overlap()
                    await self._answer(batch)
                    # Those just answered may call again at once: let them into the next batch.
                    await asyncio.sleep(0)
                finally:
                    self._rows_under_way -= len(batch)
        finally:
            self._ended(token)

    def _take(self) -> list[list[_Waiting[Answer]]]:
        """Remove from the queue, in order, what makes the next batch; grouped by key."""
        batch: dict[bytes, list[_Waiting[Answer]]] = {}
        later: list[_Waiting[Answer]] = []
        queue, size, most = self._waiting, 0, self._share()
        while queue and len(batch) < most:
            waiting = queue.popleft()
            key = waiting.row.key
            if waiting.answer.done():  # cancelled
                continue
            if key in batch and self.shares_rows:
                batch[key].append(waiting)
                continue
            if key in batch or key in self._keys_under_way:
                later.append(waiting)
                continue
            size += self.size_of(waiting.row)
            if batch and size > self.max_bytes:
                later.append(waiting)
                break
            batch[key] = [waiting]
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    def _share(self) -> int:
        """Return how many of those that wait a batch may take, so that batches become alike.

        All of them, where nobody would take the rest meanwhile: who else is under way is a call
        alone, and for another statement there is no room.
        """
        count, servers = len(self._waiting), len(self._under_way)
        is_shared = servers < self._at_once or servers - (self._alone in self._under_way) > 1
        if is_shared and count >= WORTH_A_STATEMENT * self._at_once:
            count = -(-(count + self._rows_under_way) // self._at_once)
        return min(count, MAX_ROWS)

    async def _answer(self, batch: list[list[_Waiting[Answer]]]) -> None:
        if self.observer is not None:
            now = asyncio.get_running_loop().time()
            self.observer.waited([now - waiting.since for same in batch for waiting in same])
        if len(batch) == 1:
            await asyncio.gather(*(_answer_alone(waiting) for waiting in batch[0]))
            self.note_answers(_answers_of(batch[0]))
            return
        everyone = [waiting for same in batch for waiting in same]
        answers: Mapping[bytes, Answer] = {}
        try:
            answers = await self._make(batch)
            self.note_answers(answers)
        except BaseException as error:  # noqa: BLE001  # every caller must hear of it
            if not self._may_be_one_calls(error):
                _fail(everyone, error)
                return
        for waiting in everyone:
            if waiting.row.key not in answers:
                self._spawn(self._make_alone(waiting))
            elif not waiting.answer.done():
                waiting.answer.set_result(answers[waiting.row.key])

    async def _make_alone(self, waiting: _Waiting[Answer]) -> None:
        await _answer_alone(waiting)
        self.note_left(_answers_of([waiting]))

    async def _make(self, batch: list[list[_Waiting[Answer]]]) -> Mapping[bytes, Answer]:
        rows = [same[0].row for same in batch]
        keys = set() if self.shares_rows else {row.key for row in rows}
        self._keys_under_way |= keys
        try:
            with self._watch(batch):
                return await self._make_batch(rows)
        finally:
            self._keys_under_way -= keys

    def _watch(self, batch: list[list[_Waiting[Answer]]]) -> AbstractContextManager[object]:
        if self.observer is None:
            return nullcontext()
        return self.observer.batch([waiting.origin for same in batch for waiting in same])

    def _may_be_one_calls(self, error: BaseException) -> bool:
        """Whether one call of the batch may be to blame, so that the others can succeed."""
        if not isinstance(error, DatabaseError):
            return isinstance(error, Exception)
        if error.connection_failed or error.outcome_unknown:
            return False
        # What passes is the database's trouble, such as a locked table, unless one row was waited
        # for: each of the calls would wait as long as the batch has.
        return self.waits_for_rows or not error.transient

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of nobody's: the calls of a batch are those of many requests.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class CreateLane(Lane[Answer]):
    """Creates: a rival may be about to insert the same id."""

    waits_for_rows = True


class LoadLane(Lane["Loaded"]):
    """Loads: one row answers all who ask for it, and sizes are known only afterwards."""

    shares_rows = True
    max_bytes = MAX_LOADED_BYTES
    _expected = FIRST_EXPECTED_BYTES

    def size_of(self, row: Row) -> int:  # noqa: ARG002
        """Return what a state is expected to have."""
        return self._expected

    def note_answers(self, answers: Mapping[bytes, Loaded]) -> None:
        """Expect the largest state of this batch, and half of what was expected at the least."""
        if sizes := _sizes(answers):
            self._expected = max(*sizes, self._expected // 2)

    def note_left(self, answers: Mapping[bytes, Loaded]) -> None:
        """Expect no less than this: the batch may have failed for the size of one of many."""
        self._expected = max([self._expected, *_sizes(answers)])


def _sizes(answers: Mapping[bytes, Loaded]) -> list[int]:
    return [len(found[0] or b"") for found in answers.values() if found is not None]


async def _answer_alone(waiting: _Waiting[Answer]) -> None:
    if waiting.answer.done():
        return
    try:
        answer = await waiting.alone()
    except BaseException as error:  # noqa: BLE001  # the caller must hear of it
        _fail([waiting], error)
    else:
        if not waiting.answer.done():
            waiting.answer.set_result(answer)


def _fail(everyone: Sequence[_Waiting[Any]], error: BaseException) -> None:
    """Hand ``error`` to the callers, and on, if it is the end of the task or the program."""
    for waiting in everyone:
        if waiting.answer.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            waiting.answer.cancel()
        else:
            waiting.answer.set_exception(error)
    if not isinstance(error, Exception):
        raise error


def _answers_of(same: Sequence[_Waiting[Answer]]) -> dict[bytes, Answer]:
    return {
        waiting.row.key: waiting.answer.result()
        for waiting in same
        if not waiting.answer.cancelled() and waiting.answer.exception() is None
    }
