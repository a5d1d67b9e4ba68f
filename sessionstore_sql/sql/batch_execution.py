"""One batch: how it is sent, and how its calls get their answers.

What keeps the contract of each call its own:

- A batch answers the calls it can. For the remaining calls of a write, one query determines which
  are rejected, because their ids are unknown or duplicates. The others, whose rows are locked by
  someone else, are sent one by one, so that each waits for its own lock only.
- If a batch fails, its calls are sent one by one, so that a bad record fails alone. This is not
  done for failures that every call would meet, such as a lost connection or a locked table, nor
  if the batch may have taken effect: the calls would meet their own writes. Calls whose rows have
  their versions then succeed, and the others fail.
- A caller that is cancelled has no effect on the other calls. Once sent, its call runs to its end.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, Protocol

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.batch_queue import Group
from sessionstore_sql.sql.lost_batches import LostBatchError
from sessionstore_sql.sql.operation_kinds import Answer, Answer_co, Write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sessionstore_sql.sql.batch_queue import BatchQueue, Waiting
    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.operation_kinds import Operation
    from sessionstore_sql.telemetry import QueueObserver


class Sender(Protocol[Answer_co]):
    """Sends calls of one operation to the database."""

    def one(self, row: Row) -> Awaitable[Answer_co]:
        """Return the answer for one row, which is sent in a statement of its own."""
        ...

    def many(self, rows: Sequence[Row]) -> Awaitable[Mapping[bytes, Answer_co]]:
        """Return the answers for those of the rows, by key, that one statement could answer."""
        ...


class BatchAnswers(Generic[Answer]):
    """Sends batches of one operation, and hands out the answers."""

    observer: QueueObserver[Any] | None = None

    def __init__(
        self,
        operation: Operation[Answer],
        sender: Sender[Answer],
        queue: BatchQueue[Answer],
        spawn: Callable[..., object],
    ) -> None:
        """Hand out answers for the batches of a queue.

        Args:
            operation: The operation.
            sender: Sends its calls.
            queue: The queue, which learns from the answers.
            spawn: Starts a coroutine in a task that outlives the batch.
        """
        self._operation = operation
        self._sender = sender
        self._queue = queue
        self._spawn = spawn

    async def answer(self, batch: Sequence[Group[Answer]]) -> None:
        """Answer the calls of a batch, or have them answered by other tasks."""
        try:
            await self._answer(batch)
        finally:
            self._queue.free(batch)

    async def _answer(self, batch: Sequence[Group[Answer]]) -> None:
        if self.observer is not None:
            now = asyncio.get_running_loop().time()
            self.observer.waited([now - call.since for group in batch for call in group.calls])
        if len(batch) == 1:
            await self._answer_one_by_one(batch[0].calls, self._queue.note_batch)
            return
        answers: Mapping[bytes, Answer] = {}
        try:
            with self._observed(batch):
                answers = await self._sender.many([group.sent.row for group in batch])
            self._queue.note_batch(answers.values())
        except LostBatchError as lost:
            for group in batch:
                key = group.sent.row.key
                if key in lost.answers:
                    group.settle(self._operation, lost.answers[key])
                else:
                    _fail(group.calls, lost.error)
            return
        except BaseException as error:  # noqa: BLE001  # every caller must get it
            if not self._may_be_due_to_one_call(error):
                _fail((call for group in batch for call in group.calls), error)
                return
        for group in batch:
            key = group.sent.row.key
            if key in answers:
                group.settle(self._operation, answers[key])
            else:
                self._spawn(self._answer_one_by_one(group.calls, self._queue.note_left))

    async def _answer_one_by_one(
        self, calls: list[Waiting[Answer]], note: Callable[[Collection[Answer]], None]
    ) -> None:
        """Answer calls for one session, with as few statements as possible.

        If the row that is sent for several calls is at fault, only its own call fails.
        """
        while waiting := [call for call in calls if not call.answer.done()]:
            group = Group(waiting)
            group.split(self._operation)
            try:
                answer = await self._send(group)
            except BaseException as error:  # noqa: BLE001  # every caller must get it
                if self._may_be_due_to_one_call(error):
                    _fail([group.sent], error)
                else:
                    _fail(waiting, error)
            else:
                note([answer])
                group.settle(self._operation, answer)

    async def _send(self, group: Group[Answer]) -> Answer:
        """Send the row of a group, as part of its caller's operation, or as a batch of several."""
        row, origin = group.sent.row, group.sent.origin
        if len(group.calls) > 1:
            with self._observed([group]):
                return await self._sender.one(row)
        if origin is not None:
            return await origin.resume(lambda: self._sender.one(row))
        return await self._sender.one(row)

    def _observed(self, batch: Sequence[Group[Answer]]) -> AbstractContextManager[object]:
        if self.observer is None:
            return nullcontext()
        return self.observer.batch([call.origin for group in batch for call in group.calls])

    def _may_be_due_to_one_call(self, error: BaseException) -> bool:
        """Whether one call of the batch may have caused it, so that the others can succeed."""
        if not isinstance(error, DatabaseError):
            return isinstance(error, Exception)
        if error.connection_failed or error.outcome_unknown:
            return False
        # A transient failure is the database's, such as a locked table. But if a batch waits for
        # its rows, the lock may be on one of them, and each call had better wait for its own.
        waits = isinstance(self._operation, Write) and self._operation.waits_for_rows
        return waits or not error.transient


def _fail(calls: Iterable[Waiting[Any]], error: BaseException) -> None:
    """Raise ``error`` in the callers, and here if it ends the task or the program."""
    for call in calls:
        if call.answer.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            call.answer.cancel()
        else:
            call.answer.set_exception(error)
    if not isinstance(error, Exception):
        raise error
