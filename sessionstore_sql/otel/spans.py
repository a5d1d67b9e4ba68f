"""The work in progress: an operation or a batch, and its span."""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, SpanKind, StatusCode, set_span_in_context

from sessionstore_sql.errors import ConflictError, DatabaseError
from sessionstore_sql.otel.attributes import BATCH_SIZE, COLLECTION, OPERATION, error_attributes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from opentelemetry.trace import Span, Tracer

    from sessionstore_sql.otel.attributes import Attributes
    from sessionstore_sql.otel.instruments import Instruments
    from sessionstore_sql.telemetry import Result

OUTCOME_UNKNOWN = "sessionstore_sql.outcome_unknown"
RETRIES = "sessionstore_sql.retries"

_NO_PARENT = Context()
"""A batch answers many callers, so it belongs to no caller's trace and has a link to each."""

_current: ContextVar[Work | None] = ContextVar("sessionstore_sql.otel", default=None)


def current_work() -> Work | None:
    """Return the operation or the batch that the current task is doing."""
    return _current.get()


class Signals(NamedTuple):
    """Where spans and measurements go."""

    tracer: Tracer
    instruments: Instruments


class Subject:
    """What spans are about: one operation of one store, or the batches of one operation."""

    __slots__ = ("attributes", "name", "signals", "status_code")

    def __init__(
        self,
        signals: Signals,
        status_code: Callable[[BaseException], str | None],
        of_store: Attributes,
        operation: str,
    ) -> None:
        self.signals = signals
        self.status_code = status_code
        self.attributes: Attributes = {**of_store, OPERATION: operation}
        self.name = f"{operation} {of_store[COLLECTION]}"


class Work:
    """Work from ``begin`` to ``end``. Everything it does in between belongs to its span."""

    __slots__ = ("_began", "_inside", "_started", "retries", "span", "subject")

    span: Span

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.retries = 0

    def begin(self, context: Context | None, attributes: Attributes, links: Sequence[Link]) -> None:
        """Start the span: a child of the one in ``context``, or of the current one."""
        subject = self.subject
        # The duration is measured by a clock that cannot be set.
        self._started, self._began = time_ns(), perf_counter_ns()
        self.span = subject.signals.tracer.start_span(
            subject.name, context, SpanKind.CLIENT, attributes, links, self._started
        )
        self._inside = _Inside(self)
        self._inside.__enter__()

    def end(self, error: BaseException | None, nanoseconds: int, outcome: Attributes) -> None:
        """End the span. An error is recorded by its name, and not with its text."""
        span = self.span
        if span.is_recording():
            if error is not None:
                span.set_status(StatusCode.ERROR)
                span.set_attributes(outcome)
                if isinstance(error, DatabaseError) and error.outcome_unknown:
                    span.set_attribute(OUTCOME_UNKNOWN, value=True)
            if self.retries > 0:
                span.set_attribute(RETRIES, self.retries)
        span.end(self._started + nanoseconds)
        self._inside.__exit__(None if error is None else type(error), error, None)

    def took(self) -> int:
        """Return the nanoseconds since the beginning."""
        return perf_counter_ns() - self._began


class Operation(Work):
    """An operation, in its caller's task."""

    __slots__ = ()

    def __enter__(self) -> Self:
        self.begin(None, self.subject.attributes, ())
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        took, subject = self.took(), self.subject
        outcome = {} if error is None else error_attributes(error, subject.status_code)
        # The span is still current, so that a backend can link the measurement to it.
        subject.signals.instruments.duration.record(
            took / 1e9, {**subject.attributes, **outcome} if outcome else subject.attributes
        )
        if isinstance(error, ConflictError):
            subject.signals.instruments.conflicts.add(1, subject.attributes)
        self.end(error, took, outcome)

    async def resume(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Run ``call``, in another task, as part of this operation."""
        with _Inside(self):
            return await call()


class Batch(Work):
    """A batch, in a task of its queue."""

    __slots__ = ("_origins",)

    def __init__(self, subject: Subject, origins: Sequence[Operation | None]) -> None:
        super().__init__(subject)
        self._origins = origins

    def __enter__(self) -> Self:
        spans = [origin.span for origin in self._origins if origin is not None]
        contexts = [span.get_span_context() for span in spans]
        size = len(self._origins)
        subject = self.subject
        subject.signals.instruments.batch_size.record(size, subject.attributes)
        links = [Link(context) for context in contexts if context.is_valid]
        self.begin(_NO_PARENT, {**subject.attributes, BATCH_SIZE: size}, links)
        if self.span.is_recording():
            batch = self.span.get_span_context()
            for span in spans:
                if span.is_recording():
                    span.add_link(batch)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        outcome = {} if error is None else error_attributes(error, self.subject.status_code)
        self.end(error, self.took(), outcome)


class _Inside:
    """Makes everything inside of it part of some work."""

    __slots__ = ("_span_token", "_token", "_work")

    def __init__(self, work: Work) -> None:
        self._work = work
        self._span_token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = _current.set(self._work)
        # Without an SDK there is no span.
        if self._work.span.get_span_context().is_valid:
            self._span_token = attach(set_span_in_context(self._work.span))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit:
            # A coroutine that is garbage-collected is closed in some other context, in which there
            # is nothing to restore.
            return
        if self._span_token is not None:
            detach(self._span_token)
        _current.reset(self._token)
