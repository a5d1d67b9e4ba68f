"""The queue of one operation: calls that wait to be sent in a batch, grouped by session.

Calls for one session that one row answers are a *group*, and take one place in a batch. Calls for
the session that cannot join the group stay behind, and are not looked at until the group has left.
So taking a batch costs no more from a long queue than from a short one.

A session is *busy* while a batch, or a call that was sent immediately, writes its row. Its waiting
calls wait for that, rather than for the lock that it holds. So the last of several writes is the
one that remains. Reads need not wait.

A queue is bounded by calls, and by the bytes of their states. Further calls are rejected at once
rather than served too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.operation_kinds import Answer, Read, Write

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterable

    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.operation_kinds import Operation
    from sessionstore_sql.telemetry import Origin

MAX_BYTES = 256 * 1024
"""Maximum number of bytes of the states in one batch of writes. Some databases get them as
hexadecimal, which doubles them and still fits into the packets of any server."""
MAX_LOADED_BYTES = 4 * 1024 * 1024
"""Maximum number of bytes of the states that a batch of loads is expected to return."""
FIRST_EXPECTED_BYTES = 64 * 1024
"""Expected size of a state, before one was loaded."""
MAX_WAITING = 10_000
"""Maximum number of calls that a queue holds."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Maximum number of bytes that the states of these calls have, unless it is a single call."""


@dataclass(slots=True, eq=False)
class Waiting(Generic[Answer]):
    """A call that waits."""

    row: Row
    answer: asyncio.Future[Answer]
    """Done when the call was answered, or its caller was cancelled."""
    since: float
    """When the call was made, by the event loop's clock."""
    origin: Origin | None = None
    """The operation that the call belongs to, if an observer knows it."""


class Group(Generic[Answer]):
    """Waiting calls for one session, in the order in which they were made.

    Attributes:
        calls: The calls. Once the group was taken from its queue, one row answers them.
        sent: The call whose row that is.
    """

    __slots__ = ("calls", "sent")

    def __init__(self, calls: list[Waiting[Answer]]) -> None:
        self.calls = calls
        self.sent = calls[0]

    def split(self, operation: Operation[Answer]) -> list[Waiting[Answer]]:
        """Keep the calls that one row can answer, from the first on, and return the others."""
        length, place = 1, 0
        if operation.merges:
            length, place = operation.group([call.row for call in self.calls])
        left = self.calls[length:]
        del self.calls[length:]
        self.sent = self.calls[place]
        return left

    def settle(self, operation: Operation[Answer], answer: Answer) -> None:
        """Answer every call, where ``answer`` is that of the row that was sent."""
        for call in self.calls:
            if not call.answer.done():
                is_sent = call is self.sent
                call.answer.set_result(answer if is_sent else operation.answer_of_others(answer))


class BatchQueue(Generic[Answer]):
    """The waiting calls of one operation in one event loop."""

    def __init__(self, operation: Operation[Answer]) -> None:
        self.max_bytes = MAX_LOADED_BYTES if isinstance(operation, Read) else MAX_BYTES
        """Maximum number of bytes in one batch, unless it is a single row."""
        self.size = 0
        """How many calls wait, including those that are too large for a batch."""
        self.size_bytes = 0
        """How many bytes their states have."""
        self.ready: dict[bytes, Group[Answer]] = {}
        """The calls for sessions of which a row could be sent now, by key and in order."""
        self.behind: dict[bytes, Group[Answer]] = {}
        """The calls for busy sessions, by key."""
        self._operation = operation
        self._writes = isinstance(operation, Write)
        self.busy: set[bytes] = set()
        """The keys of the sessions whose rows are being written."""
        self._expected_bytes = FIRST_EXPECTED_BYTES

    @property
    def calls(self) -> list[Waiting[Answer]]:
        """The calls that wait for a batch."""
        groups = (*self.ready.values(), *self.behind.values())
        return [call for group in groups for call in group.calls]

    @property
    def is_empty(self) -> bool:
        """Whether no call waits for a batch."""
        return not self.ready and not self.behind

    @property
    def oldest(self) -> float | None:
        """When the call was made whose row is next to be sent. ``None``: no row can be sent now."""
        for group in self.ready.values():
            return group.calls[0].since
        return None

    def admit(self, row: Row) -> None:
        """Count a call as waiting.

        Raises:
            DatabaseError: The queue is full.
        """
        size_bytes = self.size_bytes + row.size_bytes
        if self.size >= MAX_WAITING or (size_bytes > MAX_WAITING_BYTES and self.size):
            raise DatabaseError("too many calls are waiting for the database", transient=True)
        self.size += 1
        self.size_bytes = size_bytes

    def discharge(self, row: Row) -> None:
        """Count an admitted call as no longer waiting."""
        self.size -= 1
        self.size_bytes -= row.size_bytes

    def add(self, call: Waiting[Answer]) -> None:
        """Have an admitted call wait for a batch."""
        key = call.row.key
        groups = self.behind if key in self.busy else self.ready
        group = groups.get(key)
        if group is None:
            groups[key] = Group([call])
        else:
            group.calls.append(call)

    def remove(self, call: Waiting[Answer]) -> None:
        """Remove a call whose caller was cancelled, if it still waits."""
        key = call.row.key
        groups = self.behind if key in self.busy else self.ready
        group = groups.get(key)
        if group is not None and call in group.calls:
            group.calls.remove(call)
            self.discharge(call.row)
            if not group.calls:
                del groups[key]

    def take(self, most: int) -> list[Group[Answer]]:
        """Remove the next batch, of at most so many rows, in order."""
        batch: list[Group[Answer]] = []
        size_bytes = 0
        while self.ready and len(batch) < most:
            key = next(iter(self.ready))
            group = self.ready[key]
            left: list[Waiting[Answer]] = []
            group.sent = group.calls[0]
            if len(group.calls) > 1 or group.sent.answer.done():
                self._drop_cancelled(group)
                if not group.calls:
                    del self.ready[key]
                    continue
                left = group.split(self._operation)
            size_bytes += group.sent.row.size_bytes if self._writes else self._expected_bytes
            if batch and size_bytes > self.max_bytes:
                group.calls += left
                break
            del self.ready[key]
            batch.append(group)
            self.size -= len(group.calls)
            if self._writes:
                self.busy.add(key)
                for call in group.calls:
                    self.size_bytes -= call.row.size_bytes
                if left:
                    self.behind[key] = Group(left)
        return batch

    def free(self, batch: Iterable[Group[Answer]]) -> None:
        """Note that the rows of a batch are no longer being written."""
        if self._writes:
            for group in batch:
                self.free_key(group.sent.row.key)

    def free_key(self, key: bytes) -> None:
        """Note that the row with this key is no longer being written."""
        self.busy.discard(key)
        if key in self.behind:
            self.ready[key] = self.behind.pop(key)

    def note_batch(self, answers: Collection[Answer]) -> None:
        """Expect states as large as the largest of a batch, and half of what was expected."""
        if largest := self._largest(answers):
            self._expected_bytes = max(largest, self._expected_bytes // 2)

    def note_left(self, answers: Collection[Answer]) -> None:
        """Expect no smaller states than those that a batch left out. It may have been too large."""
        self._expected_bytes = max(self._expected_bytes, self._largest(answers))

    def _drop_cancelled(self, group: Group[Answer]) -> None:
        """Remove calls whose callers were cancelled. Those that do not matter yet may stay."""
        considered = group.calls if self._operation.merges else group.calls[:1]
        for call in [call for call in considered if call.answer.done()]:
            group.calls.remove(call)
            self.discharge(call.row)

    def _largest(self, answers: Iterable[Answer]) -> int:
        """Return the size of the largest state among the answers; 0 if there is none."""
        operation = self._operation
        return max(map(operation.bytes_of, answers)) if isinstance(operation, Read) else 0
