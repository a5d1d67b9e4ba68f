"""OpenTelemetry with an SDK that keeps what it would export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from sessionstore_sql.otel import OpenTelemetry

DURATION = "db.client.operation.duration"
QUEUE = "sessionstore_sql.queue.duration"
BATCH_SIZE = "sessionstore_sql.batch.size"
RETRIES = "sessionstore_sql.retries"
PURGED = "sessionstore_sql.purged"
SIGNED_IN = "sessionstore_sql.signed_in"
REVOKED = "sessionstore_sql.revoked"
EVICTED = "sessionstore_sql.evicted"
CONFLICTS = "sessionstore_sql.conflicts"
CONNECTIONS = "db.client.connection.count"
MOST_CONNECTIONS = "db.client.connection.max"


class Exported:
    """Providers of one test, and what they were given."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider([self._reader])

    def telemetry(self) -> OpenTelemetry:
        """Return what a store takes."""
        return OpenTelemetry(
            tracer_provider=self.tracer_provider, meter_provider=self.meter_provider
        )

    @property
    def application(self) -> Tracer:
        """A tracer that is not the store's."""
        return self.tracer_provider.get_tracer("application")

    def spans(self, operation: str) -> list[ReadableSpan]:
        """Return the ended spans of an operation, or of ``BATCH`` and one, in their order."""
        return [span for span in self.all_spans() if attributes(span)["operation"] == operation]

    def span(self, operation: str) -> ReadableSpan:
        """Return the only span of an operation."""
        (span,) = self.spans(operation)
        return span

    def all_spans(self) -> Sequence[ReadableSpan]:
        """Return every span that has ended."""
        return self._spans.get_finished_spans()

    def points(self, metric: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        scopes = [scope for each in resources for scope in each.scope_metrics]
        found = [each for scope in scopes for each in scope.metrics if each.name == metric]
        return [point for each in found for point in each.data.data_points]

    def everything(self) -> str:
        """Return all that would leave the process, as text."""
        data = self._reader.get_metrics_data()
        spans = [span.to_json() for span in self.all_spans()]
        return "\n".join([*spans, "" if data is None else data.to_json()])

    def forget(self) -> None:
        """Drop the spans so far."""
        self._spans.clear()


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes, and the operation's name as ``operation``."""
    given = dict(span.attributes or {})
    return {**given, "operation": given.get("db.operation.name")}


def by(points: Sequence[Any], name: str) -> dict[Any, Any]:
    """Return each point's value, or count, by the value of an attribute; ``None`` without."""
    return {
        point.attributes.get(name): getattr(point, "value", None) or getattr(point, "count", 0)
        for point in points
    }
