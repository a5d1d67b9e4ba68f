"""The instruments, except those for connection pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The buckets that the conventions recommend for ``db.client.operation.duration``."""
_CALLS = (2, 4, 8, 16, 32, 64, 128, 256)


class Instruments:
    """The instruments of one meter. All stores share them."""

    __slots__ = (
        "batch_size",
        "conflicts",
        "duration",
        "evicted",
        "purged",
        "queued",
        "retries",
        "revoked",
        "signed_in",
    )

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
            description="How long a call waited in a batch queue.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.batch_size = meter.create_histogram(
            "sessionstore_sql.batch.size",
            unit="{operation}",
            description="The number of operations that one batch answered.",
            explicit_bucket_boundaries_advisory=_CALLS,
        )
        self.retries = meter.create_counter(
            "sessionstore_sql.retries",
            unit="{retry}",
            description="The number of attempts that failed and were repeated.",
        )
        self.purged = meter.create_counter(
            "sessionstore_sql.purged",
            unit="{session}",
            description="The number of expired sessions that were removed.",
        )
        self.signed_in = meter.create_counter(
            "sessionstore_sql.signed_in",
            unit="{sign_in}",
            description="The number of sign-ins and re-authentications.",
        )
        self.revoked = meter.create_counter(
            "sessionstore_sql.revoked",
            unit="{session}",
            description="The number of sessions that calls of revoke ended.",
        )
        self.evicted = meter.create_counter(
            "sessionstore_sql.evicted",
            unit="{session}",
            description="The number of sessions that ended because of a user's limit of sessions.",
        )
        self.conflicts = meter.create_counter(
            "sessionstore_sql.conflicts",
            unit="{conflict}",
            description="The number of writes that were rejected with ConflictError.",
        )
