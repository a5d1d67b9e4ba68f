"""Operations of an observed store appear in the trace without further code."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from sqlalchemy import URL
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from sessionstore_sql import (
    SessionId,
    SessionRecord,
    SQLSessionStore,
    continuously_delete_expired,
)
from sessionstore_sql.starlette import SessionMiddleware
from sessionstore_sql.web.loop_thread import LoopThread
from tests.telemetry.exported import PURGED, Exported, attributes

HOUR = timedelta(hours=1)


def children_of(parent: ReadableSpan, exported: Exported) -> list[str]:
    """Return the operations that are a part of a span."""
    return [
        attributes(span)["operation"]
        for span in exported.all_spans()
        if span.parent is not None and span.parent.span_id == parent.context.span_id
    ]


def test_a_requests_session_is_a_part_of_the_request(sqlite_url: URL, exported: Exported) -> None:
    """Starlette: the middleware loads and stores where the server's span is current."""
    store = SQLSessionStore(sqlite_url, telemetry=exported.telemetry())

    async def visit(request: Request) -> Response:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return PlainTextResponse(str(request.session["visits"]))

    async def traced(request: Request, call_next: Any) -> Any:
        with exported.application.start_as_current_span("GET /"):
            return await call_next(request)

    app = Starlette()
    app.add_route("/", visit)
    app.add_middleware(SessionMiddleware, store=store)
    app.add_middleware(BaseHTTPMiddleware, dispatch=traced)
    with TestClient(app, base_url="https://testserver") as client:
        assert [client.get("/").text for _ in range(2)] == ["1", "2"]
        assert client.portal is not None
        client.portal.call(store.aclose)

    first, second = [span for span in exported.all_spans() if span.name == "GET /"]
    assert children_of(first, exported) == ["create"]
    assert children_of(second, exported) == ["load_session", "update_if"]


def test_djangos_views_reach_the_store_in_their_own_context(
    sqlite_url: URL, exported: Exported
) -> None:
    """Although the store lives in another thread."""

    async def load(store: SQLSessionStore) -> None:
        await store.load(SessionId.generate())

    thread = LoopThread(SQLSessionStore(sqlite_url, telemetry=exported.telemetry()))
    with exported.application.start_as_current_span("view"):
        thread.submit(load).result()
    thread.close()

    span, view = exported.all_spans()
    assert children_of(view, exported) == ["load"]
    assert span.context.trace_id == view.context.trace_id


@pytest.mark.anyio
async def test_the_purge_of_an_application_is_watched(
    on_sqlite: SQLSessionStore, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is a trace of its own, and what it removed is counted."""
    await on_sqlite.create(SessionId.generate(), SessionRecord({}, timedelta(0)))
    monkeypatch.setattr("sessionstore_sql.purging._FIRST_DELAY_S", 0)
    told = asyncio.Event()
    purge = asyncio.create_task(
        continuously_delete_expired(on_sqlite, period=HOUR, on_batch=lambda _: told.set())
    )
    await told.wait()
    purge.cancel()
    await asyncio.wait([purge])

    span = exported.span("delete_expired_exclusively")
    assert span.parent is None
    (point,) = exported.points(PURGED)
    assert point.value == 1
    assert not trace.get_current_span().get_span_context().is_valid
