"""What is measured, but for connection pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""As the conventions have them for ``db.client.operation.duration``."""
_CALLS = (2, 4, 8, 16, 32, 64, 128, 256)


class Instruments:
    """The instruments of one meter, which all stores share."""

    __slots__ = ("batch_size", "duration", "purged", "queued", "retries")

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.queued = meter.create_histogram(
            "sessionstore_sql.queue.duration",
            unit="s",
            description="How long a call waited for the statements before it, if it had to.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.batch_size = meter.create_histogram(
            "sessionstore_sql.batch.size",
            unit="{operation}",
            description="How many operations one batch answered.",
            explicit_bucket_boundaries_advisory=_CALLS,
        )
        self.retries = meter.create_counter(
            "sessionstore_sql.retries",
            unit="{retry}",
            description="Attempts that failed and were made again.",
        )
        self.purged = meter.create_counter(
            "sessionstore_sql.purged",
            unit="{session}",
            description="Expired sessions that were removed.",
        )
