"""``OpenTelemetry``: what an application passes to its stores."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from sessionstore_sql.otel.attributes import attributes_of
from sessionstore_sql.otel.instruments import Instruments
from sessionstore_sql.otel.observing import StoreObserver
from sessionstore_sql.otel.pools import pools_of
from sessionstore_sql.otel.spans import Signals

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.telemetry import StoreDescription

SCOPE = "sessionstore_sql"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that the names follow."""


class OpenTelemetry:
    """Records spans and metrics of stores: ``SQLSessionStore(url, telemetry=OpenTelemetry())``.

    Each operation is a span, a child of the span that is current where it is called. Each batch
    is a span too, with links to the operations it answers. Neither spans nor metrics contain a
    session id, its digest or a state, nor a password, a URL's query or the text of an error.

    One object may serve many stores. Without an SDK it records nothing, and costs a few
    microseconds per operation.

    Args:
        tracer_provider: Makes the spans. ``None`` for the global one, whether it is set yet or not.
        meter_provider: Takes the measurements. ``None`` likewise.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        about = version("sessionstore-sql")
        meter = metrics.get_meter(SCOPE, about, meter_provider, SCHEMA_URL)
        self._signals = Signals(
            trace.get_tracer(SCOPE, about, tracer_provider, SCHEMA_URL), Instruments(meter)
        )
        self._pools = pools_of(meter_provider, meter)

    def observer(self, engine: AsyncEngine, description: StoreDescription) -> StoreObserver:
        """Return the observer of one store. ``SQLSessionStore`` calls this."""
        attributes = attributes_of(engine.url, description)
        self._pools.add(engine.sync_engine, attributes, description.pool_limit)
        return StoreObserver(self._signals, description, attributes)
