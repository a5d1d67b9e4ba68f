"""OpenTelemetry: spans and metrics of session stores.

    store = SQLSessionStore(url, telemetry=OpenTelemetry())

Needs the extra ``otel``, which is OpenTelemetry's API: ``pip install 'sessionstore-sql[otel]'``.
The application decides by its SDK what is recorded, and where it goes.
"""

from importlib.util import find_spec

if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
    raise ModuleNotFoundError(
        "opentelemetry is not installed: pip install 'sessionstore-sql[otel]'",
        name="opentelemetry",
    )

from sessionstore_sql.otel.telemetry import OpenTelemetry

__all__ = ["OpenTelemetry"]
