"""With OpenTelemetry's API alone: nothing is recorded, and nothing is in the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider
from sqlalchemy import URL

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, UnknownIdError
from sessionstore_sql.otel import OpenTelemetry
from tests.telemetry.exported import DURATION, Exported
from tests.telemetry.test_operations import use

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)

SCRIPT = """
import asyncio
from datetime import timedelta
from opentelemetry import trace
from sessionstore_sql import SQLSessionStore, SessionId, migrate
from sessionstore_sql.otel import OpenTelemetry

async def main():
    await migrate.upgrade("sqlite:///sessions.db")
    async with SQLSessionStore("sqlite:///sessions.db", telemetry=OpenTelemetry()) as store:
        await asyncio.gather(*(store.load(SessionId.generate()) for _ in range(50)))
        print(await store.delete_expired())

asyncio.run(main())
import sys
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""


def test_the_api_is_all_that_is_needed(tmp_path: object) -> None:
    """No SDK is imported, configured or asked for."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("0\n[]\n", "")


async def test_without_a_tracer_the_operations_work(sqlite_url: URL, exported: Exported) -> None:
    """Together and alone; what is measured is measured all the same."""
    telemetry = OpenTelemetry(
        tracer_provider=NoOpTracerProvider(), meter_provider=exported.meter_provider
    )
    async with SQLSessionStore(sqlite_url, telemetry=telemetry) as store:
        await use(store)
        with pytest.raises(UnknownIdError):
            await store.delete(SessionId.generate())
        await asyncio.gather(*(store.load(SessionId.generate()) for _ in range(20)))

    assert exported.all_spans() == ()
    assert len(exported.points(DURATION)) == 8


async def test_the_applications_own_span_is_left_alone(sqlite_url: URL, exported: Exported) -> None:
    """A store without a recorded span does not change the span of another library."""
    telemetry = OpenTelemetry(tracer_provider=NoOpTracerProvider())
    async with SQLSessionStore(sqlite_url, telemetry=telemetry) as store:
        with exported.application.start_as_current_span("request") as request:
            with pytest.raises(UnknownIdError):
                await store.delete(SessionId.generate())
            assert trace.get_current_span() is request

    (span,) = exported.all_spans()
    assert (dict(span.attributes or {}), span.events, span.links) == ({}, (), ())


async def test_a_trace_that_is_not_sampled_stays_so(sqlite_url: URL) -> None:
    """What an instrumented driver does inside is no trace of its own."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    sampled: list[bool] = []

    async with SQLSessionStore(
        sqlite_url, telemetry=OpenTelemetry(tracer_provider=provider)
    ) as store:
        from sqlalchemy import event

        @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
        def driver(*_: object) -> None:
            context = trace.get_current_span().get_span_context()
            assert context.is_valid
            sampled.append(context.trace_flags.sampled)

        await store.create(SessionId.generate(), SessionRecord({}, HOUR))

    assert set(sampled) == {False}
