"""How calls are sent: immediately, or together with other calls that wait at the same time.

A statement costs Python and SQLAlchemy several times what it costs the database. Calls that arrive
while one is in flight have to wait anyway, so the next statement answers all of them.

If at most one statement of its operation is in flight, and no call waits, a call is sent
immediately, in its caller's task: it does not wait, and no task is started. Otherwise it is queued,
and a task of the queue sends batch after batch until the queue is empty. No call ever waits for a
batch to fill, and batches grow with the load. If many calls wait, two tasks share them: the
database works on one batch while this process hands out the answers of the other.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol

from sessionstore_sql.sql.batch_execution import BatchAnswers
from sessionstore_sql.sql.batch_queue import BatchQueue, Waiting
from sessionstore_sql.sql.effects import Effect, Outcome
from sessionstore_sql.sql.operation_kinds import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Mapping, Sequence

    from sessionstore_sql.sql.batch_execution import Sender
    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.event_loop import LoopState
    from sessionstore_sql.sql.execution import Executor, PooledExecutor
    from sessionstore_sql.sql.operation_kinds import Operation, Runner, SessionTable
    from sessionstore_sql.telemetry import QueueObserver

MAX_ROWS = 256
"""Maximum number of rows in one batch."""
WORTH_A_STATEMENT = 16
"""Number of rows for which a second statement is sent beside the first. Fewer cost more than they
save."""
PATIENCE_S = 0.05
"""Seconds that a call waits for the statements in flight before another one is sent, so that a lock
on one session's row does not hold up the queue. The queue is checked as often, so the wait may be
twice as long."""
MAX_IMMEDIATE = 2
"""Maximum number of calls of one queue that are in flight at once in statements of their own. With
one, the second of two callers would wait for the first one each time, which makes loads on
PostgreSQL half as fast. With three or four, more callers gain nothing: a batch for all of them
takes less of the CPU than statements of their own.
"""
MAX_STATEMENTS = 4
"""Maximum number of statements of one queue that are in flight at once."""


class Dispatcher(Protocol):
    """Has operations carried out."""

    def dispatch(self, operation: Operation[Answer], row: Row) -> Awaitable[Answer]:
        """Return the answer of ``operation`` for one row.

        Raises:
            DatabaseError: The database failed.
        """
        ...


class ImmediateDispatcher:
    """Sends every call immediately, on a connection of its own."""

    def __init__(self, executor: Executor, table: SessionTable) -> None:
        self._executor = executor
        self._table = table

    def dispatch(self, operation: Operation[Answer], row: Row) -> Awaitable[Answer]:
        """Return the answer of ``operation`` for one row."""
        return _send_one(self._executor.run, operation, self._table, row)


class BatchingDispatcher:
    """Sends calls together with those that wait at the same time."""

    def __init__(self, executor: PooledExecutor, table: SessionTable) -> None:
        self._executor = executor
        self._table = table

    def dispatch(self, operation: Operation[Answer], row: Row) -> Awaitable[Answer]:
        """Return the answer of ``operation`` for one row."""
        here = self._executor.here()
        if here.closing is not None:
            return self._dispatch_when_open(here, operation, row)
        batcher = here.batchers.get(operation)
        if batcher is None:
            sender = OperationSender(operation, self._table, partial(self._executor.run_in, here))
            if not operation.is_batched:
                return sender.one(row)
            batcher = here.batchers[operation] = self._batcher(operation, sender)
        answer: Awaitable[Answer] = batcher.ask(row)
        return answer

    async def _dispatch_when_open(
        self, here: LoopState, operation: Operation[Answer], row: Row
    ) -> Answer:
        await here.reopened()
        return await self.dispatch(operation, row)

    def _batcher(self, operation: Operation[Answer], sender: Sender[Answer]) -> Batcher[Answer]:
        at_once = self._executor.dialect.statements_at_once
        batcher = Batcher(
            operation, sender, at_once=at_once, max_immediate=min(at_once, MAX_IMMEDIATE)
        )
        if self._executor.observer is not None:
            batcher.observe(self._executor.observer.of_queue(operation.name))
        return batcher


class OperationSender(Generic[Answer]):
    """Sends calls of one operation to the database."""

    def __init__(self, operation: Operation[Answer], table: SessionTable, run: Runner) -> None:
        self._operation = operation
        self._table = table
        self._run = run

    def one(self, row: Row) -> Awaitable[Answer]:
        """Return the answer for one row, which is sent in a statement of its own."""
        return _send_one(self._run, self._operation, self._table, row)

    def many(self, rows: Sequence[Row]) -> Awaitable[Mapping[bytes, Answer]]:
        """Return the answers for those of the rows, by key, that one statement could answer."""
        return self._operation.many(self._run, self._table, rows)


class Batcher(Generic[Answer]):
    """Decides when the calls of one operation in one event loop are sent."""

    def __init__(
        self,
        operation: Operation[Answer],
        sender: Sender[Answer],
        *,
        at_once: int,
        max_immediate: int = 1,
    ) -> None:
        """Start with an empty queue.

        Args:
            operation: The operation.
            sender: Sends its calls.
            at_once: How many statements are in flight at once under load.
            max_immediate: How many calls are in flight at once in statements of their own.
        """
        self._sender = sender
        self._at_once = at_once
        self._max_immediate = max_immediate
        self._queue = BatchQueue(operation)
        self._writes = operation.effect is not Effect.READ
        self._answers = BatchAnswers(operation, sender, self._queue, self._spawn)
        self._statements: list[object] = []
        """A token for each statement in flight, in the order in which they were started."""
        self._immediate: dict[Row, bool] = {}
        """The rows of calls that were sent immediately, which are the tokens of their statements.
        They take no other calls along. True: other writes of the session wait for it."""
        self._rows_in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._observer: QueueObserver[Any] | None = None

    def observe(self, observer: QueueObserver[Any]) -> None:
        """Have the queue observed from now on."""
        self._observer = self._answers.observer = observer

    async def ask(self, row: Row) -> Answer:
        """Return the answer to one call."""
        queue = self._queue
        immediate = len(self._immediate)
        if (
            immediate < self._max_immediate
            and len(self._statements) == immediate
            and not queue.ready
            and row.key not in queue.busy
        ):
            self._statements.append(row)
            self._immediate[row] = self._writes
            if self._writes:
                queue.busy.add(row.key)
            try:
                return await self._sender.one(row)
            finally:
                if self._immediate.pop(row):
                    queue.busy.discard(row.key)
                    if row.key in queue.behind:
                        queue.free_key(row.key)
                self._ended(row)
                self._overlap()
        queue.admit(row)
        if row.size_bytes > queue.max_bytes:
            # Too large for a batch. It is sent beside the queue, and counts as waiting meanwhile.
            try:
                return await self._sender.one(row)
            finally:
                queue.discharge(row)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        origin = None if self._observer is None else self._observer.origin()
        call = Waiting(row, answer, loop.time(), origin)
        queue.add(call)
        if self._timer is None:
            self._timer = loop.call_later(PATIENCE_S, self._reinforce)
        self._overlap()
        try:
            return await answer
        except asyncio.CancelledError:
            queue.remove(call)
            raise

    async def drain(self) -> None:
        """Return when no call waits and no task of the queue is left."""
        while unfinished := self._unfinished():
            await asyncio.wait(unfinished)

    def _unfinished(self) -> list[asyncio.Future[Any]]:
        answers = (call.answer for call in self._queue.calls)
        return [*self._tasks, *(answer for answer in answers if not answer.done())]

    def _started(self) -> object:
        statement = object()
        self._statements.append(statement)
        return statement

    def _ended(self, statement: object) -> None:
        self._statements.remove(statement)
        if self._queue.ready and len(self._statements) == len(self._immediate):
            self._start_serving()

    def _start_serving(self) -> None:
        self._spawn(self._serve(self._started()))

    def _overlap(self) -> None:
        """Send another statement beside the first one if enough calls wait."""
        if len(self._statements) < self._at_once and len(self._queue.ready) >= WORTH_A_STATEMENT:
            self._start_serving()

    def _reinforce(self) -> None:
        """Send another statement if the first call has waited long enough."""
        self._timer = None
        if self._queue.is_empty:
            return
        self._let_others_write()
        loop, oldest = asyncio.get_running_loop(), self._queue.oldest
        is_due = oldest is not None and oldest + PATIENCE_S <= loop.time()
        if is_due and len(self._statements) < MAX_STATEMENTS:
            self._start_serving()
        self._timer = loop.call_later(PATIENCE_S, self._reinforce)

    def _let_others_write(self) -> None:
        """Have no call wait for a write that was sent immediately, and waits for a lock itself."""
        for row, is_busy in self._immediate.items():
            if is_busy and row.key in self._queue.behind:
                self._immediate[row] = False
                self._queue.free_key(row.key)

    async def _serve(self, statement: object) -> None:
        try:
            # A statement that took so long that others were sent leaves the queue to those.
            while statement in self._statements[-self._at_once :] and (
                batch := self._queue.take(self._share())
            ):
                self._rows_in_flight += len(batch)
                try:
                    self._overlap()
                    await self._answers.answer(batch)
                    # The callers just answered may call again at once, and join the next batch.
                    await asyncio.sleep(0)
                finally:
                    self._rows_in_flight -= len(batch)
        finally:
            self._ended(statement)

    def _share(self) -> int:
        """Return how many rows the next batch may take, so that concurrent batches become alike.

        It takes all rows if no other statement would take the rest meanwhile: the others are calls
        that were sent immediately, and there is no room for more.
        """
        rows, statements = len(self._queue.ready), len(self._statements)
        is_shared = statements < self._at_once or statements - len(self._immediate) > 1
        if is_shared and rows >= WORTH_A_STATEMENT * self._at_once:
            rows = -(-(rows + self._rows_in_flight) // self._at_once)
        return min(rows, MAX_ROWS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # In an empty context, as the calls of a batch belong to many requests.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _send_one(
    run: Runner, operation: Operation[Answer], table: SessionTable, row: Row
) -> Awaitable[Answer]:
    return run(
        operation.one,
        operation.effect,
        table,
        row,
        is_conclusive=_is_conclusive,
        on_line=operation.one_on,
    )


def _is_conclusive(answer: object) -> bool:
    """Whether an answer is certain although an earlier attempt may have taken effect.

    A repeated delete finds its session unknown if the first attempt did succeed, and a repeated
    update a conflict if another call has overtaken it since.
    """
    return not isinstance(answer, Outcome) or answer is Outcome.DONE
