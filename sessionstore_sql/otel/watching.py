"""Who watches one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.otel.attributes import error_attributes
from sessionstore_sql.otel.spans import Batch, Operation, Signals, Subject, under_way

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.dialects import Dialect
    from sessionstore_sql.otel.attributes import Attributes


class StoreWatch:
    """Watches one store; the ``Observer`` of the core."""

    def __init__(self, signals: Signals, dialect: Dialect, attributes: Attributes) -> None:
        self._signals = signals
        self._dialect = dialect
        self._attributes = attributes
        self._operations: dict[str, Subject] = {}

    def operation(self, name: str) -> Operation:
        """Enclose an operation."""
        subject = self._operations.get(name)
        if subject is None:
            subject = self._operations[name] = self._subject(name)
        return Operation(subject)

    def of_lane(self, operation: str) -> LaneWatch:
        """Return who watches the calls of an operation that wait for each other."""
        return LaneWatch(self._subject(operation), self._subject(f"BATCH {operation}"))

    def retrying(self, error: BaseException) -> None:
        """Count another attempt, for the operation or the batch that makes it."""
        doing = under_way()
        attributes = self._attributes
        if doing is not None:
            doing.retries += 1
            attributes = doing.subject.attributes
        reason = error_attributes(error, self._dialect)
        self._signals.instruments.retries.add(1, {**attributes, **reason})

    def purged(self, count: int) -> None:
        """Count what was removed."""
        self._signals.instruments.purged.add(count, self._attributes)

    def _subject(self, operation: str) -> Subject:
        return Subject(self._signals, self._dialect, self._attributes, operation)


class LaneWatch:
    """Watches the calls of one operation that wait for each other."""

    def __init__(self, calls: Subject, batches: Subject) -> None:
        self._calls = calls
        self._batches = batches

    def origin(self) -> Operation | None:
        """Return the operation of the caller's task."""
        doing = under_way()
        return doing if isinstance(doing, Operation) else None

    def waited(self, seconds: Sequence[float]) -> None:
        """Measure each wait."""
        record, attributes = self._calls.signals.instruments.queued.record, self._calls.attributes
        for each in seconds:
            record(each, attributes)

    def batch(self, origins: Sequence[Operation | None]) -> Batch:
        """Enclose a batch."""
        return Batch(self._batches, origins)
