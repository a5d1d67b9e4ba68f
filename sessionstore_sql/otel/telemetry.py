"""``OpenTelemetry``: what an application gives its stores."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from sessionstore_sql.otel.attributes import attributes_of
from sessionstore_sql.otel.instruments import Instruments
from sessionstore_sql.otel.pools import pools_of
from sessionstore_sql.otel.spans import Signals
from sessionstore_sql.otel.watching import StoreWatch

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.dialects import Dialect

SCOPE = "sessionstore_sql"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that are followed."""


class OpenTelemetry:
    """Has OpenTelemetry watch session stores: ``SQLSessionStore(url, telemetry=OpenTelemetry())``.

    Each operation is a span, a child of whatever span is current where it is called, and so is
    each batch, with links to the operations it answers. Nothing of a session is in any of them,
    nor in the metrics: no id, no digest, no state; and no password, query or text of an error.

    One may watch many stores. Without an SDK it records nothing, and costs some microseconds an
    operation.

    Args:
        tracer_provider: Makes the spans; ``None`` for the global one, set now or later.
        meter_provider: Takes the measurements; likewise.
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

    def observer(self, engine: AsyncEngine, dialect: Dialect, table: str) -> StoreWatch:
        """Return who watches one store; ``SQLSessionStore`` asks."""
        attributes = attributes_of(engine, dialect, table)
        self._pools.add(engine.sync_engine, attributes)
        return StoreWatch(self._signals, dialect, attributes)
