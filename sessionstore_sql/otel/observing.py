"""The observer of one store, and those of its batch queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.accounts.events import AccountEventKind
from sessionstore_sql.otel.attributes import SIGN_IN_KIND, error_attributes
from sessionstore_sql.otel.spans import Batch, Operation, Signals, Subject, current_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.otel.attributes import Attributes
    from sessionstore_sql.telemetry import StoreDescription

_SIGN_INS = {AccountEventKind.SIGNED_IN, AccountEventKind.REAUTHENTICATED}


class StoreObserver:
    """The ``Observer`` of one store."""

    def __init__(
        self, signals: Signals, description: StoreDescription, attributes: Attributes
    ) -> None:
        self._signals = signals
        self._status_code = description.status_code
        self._attributes = attributes
        self._operations: dict[str, Subject] = {}

    def operation(self, name: str) -> Operation:
        """Return a context for one operation."""
        subject = self._operations.get(name)
        if subject is None:
            subject = self._operations[name] = self._subject(name)
        return Operation(subject)

    def of_queue(self, operation: str) -> BatchQueueObserver:
        """Return the observer of the batch queue of one operation."""
        return BatchQueueObserver(self._subject(operation), self._subject(f"BATCH {operation}"))

    def retrying(self, error: BaseException) -> None:
        """Count another attempt, for the operation or the batch that makes it."""
        work = current_work()
        attributes = self._attributes
        if work is not None:
            work.retries += 1
            attributes = work.subject.attributes
        reason = error_attributes(error, self._status_code)
        self._signals.instruments.retries.add(1, {**attributes, **reason})

    def purged(self, count: int) -> None:
        """Count the sessions that were removed."""
        self._signals.instruments.purged.add(count, self._attributes)

    def account(self, kind: str, count: int) -> None:
        """Count sign-ins, and sessions that were ended for their user."""
        instruments = self._signals.instruments
        if kind in _SIGN_INS:
            instruments.signed_in.add(count, {**self._attributes, SIGN_IN_KIND: str(kind)})
        elif kind == AccountEventKind.REVOKED:
            instruments.revoked.add(count, self._attributes)
        elif kind == AccountEventKind.EVICTED:
            instruments.evicted.add(count, self._attributes)

    def _subject(self, operation: str) -> Subject:
        return Subject(self._signals, self._status_code, self._attributes, operation)


class BatchQueueObserver:
    """The ``QueueObserver`` of one operation."""

    def __init__(self, calls: Subject, batches: Subject) -> None:
        self._calls = calls
        self._batches = batches

    def origin(self) -> Operation | None:
        """Return the operation of the current task."""
        work = current_work()
        return work if isinstance(work, Operation) else None

    def waited(self, seconds: Sequence[float]) -> None:
        """Record each wait."""
        record, attributes = self._calls.signals.instruments.queued.record, self._calls.attributes
        for each in seconds:
            record(each, attributes)

    def batch(self, origins: Sequence[Operation | None]) -> Batch:
        """Return a context for one batch."""
        return Batch(self._batches, origins)
