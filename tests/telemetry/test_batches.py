"""A span for each batch, and links to whom it answers."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode
from sqlalchemy import event

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, UnknownIdError
from sessionstore_sql.sql import batch_queue as lanes
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.engines import create_engine, describe
from sessionstore_sql.sql.operations import LOAD
from tests.telemetry.exported import BATCH_SIZE, DURATION, QUEUE, Exported, attributes, by

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MANY = 10


def linked(span: ReadableSpan) -> set[int]:
    """Return the ids of the spans that it has links to."""
    return {link.context.span_id for link in span.links}


def ids_of(spans: list[ReadableSpan]) -> set[int]:
    """Return the ids of the spans."""
    return {span.context.span_id for span in spans}


def sent_immediately(store: SQLSessionStore) -> int:
    """Return how many of many calls are sent immediately, each in a statement of its own."""
    return dialect_named(store.engine.dialect.name).statements_at_once


async def call_many(store: SQLSessionStore, operation: str) -> None:
    """Make concurrent calls; the first ones are sent on their own."""
    ids = [SessionId.generate() for _ in range(MANY)]
    record = SessionRecord({"a": 1}, HOUR)
    if operation != "create":
        for each in ids:
            await store.create(each, record)
    arguments: dict[str, tuple[Any, ...]] = {"load": (), "delete": (), "update_ttl": (HOUR,)}
    given = arguments.get(operation, (record,))
    await asyncio.gather(*(getattr(store, operation)(each, *given) for each in ids))


@pytest.mark.parametrize("operation", ["create", "update", "update_ttl", "load", "delete"])
async def test_a_batch_is_a_span_of_its_own(
    watched: SQLSessionStore, exported: Exported, operation: str
) -> None:
    """A root, with a link to each operation that it answers; and each has one to it."""
    with exported.application.start_as_current_span("request"):
        await call_many(watched, operation)

    batch = exported.span(f"BATCH {operation}")
    spans = sorted(exported.spans(operation)[-MANY:], key=lambda span: len(span.links))
    first = sent_immediately(watched)
    alone, together = spans[:first], spans[first:]
    assert batch.name == f"BATCH {operation} sessionstore_sessions"
    assert (batch.kind, batch.parent) == (SpanKind.CLIENT, None)
    assert attributes(batch)["db.operation.batch.size"] == len(together) == MANY - first
    assert linked(batch) == ids_of(together)
    assert [span.links for span in alone] == [()] * first
    for span in together:
        assert linked(span) == {batch.context.span_id}
        assert "db.operation.batch.size" not in attributes(span)


async def test_batches_and_waits_are_measured(watched: SQLSessionStore, exported: Exported) -> None:
    """How many calls a batch answered; how long each that waited did. No batch counts twice."""
    await call_many(watched, "load")
    waited = MANY - sent_immediately(watched)

    (size,) = exported.points(BATCH_SIZE)
    assert (size.count, size.sum) == (1, waited)
    assert size.attributes["db.operation.name"] == "BATCH load"
    (wait,) = exported.points(QUEUE)
    assert (wait.count, wait.attributes["db.operation.name"]) == (waited, "load")
    assert wait.sum > 0
    operations = by(exported.points(DURATION), "db.operation.name")
    assert operations == {"create": MANY, "load": MANY}


async def test_calls_of_a_batch_that_ask_for_one_session_all_have_their_link(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """Two rows, and as many operations as callers."""
    ids = [SessionId.generate(), SessionId.generate()]

    await asyncio.gather(*(watched.load(each) for each in ids * 5))
    waited = 10 - sent_immediately(watched)

    batch = exported.span("BATCH load")
    assert attributes(batch)["db.operation.batch.size"] == len(batch.links) == waited
    (wait,) = exported.points(QUEUE)
    assert wait.count == waited


async def test_a_batch_is_in_nobodys_context(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """Callers of several requests: none has another's baggage, nor the batch any of it."""
    seen: list[tuple[int, str | None]] = []
    whose: ContextVar[str | None] = ContextVar("whose", default=None)

    @event.listens_for(on_sqlite.engine.sync_engine, "before_cursor_execute")
    def look(*_: Any) -> None:
        seen.append((trace.get_current_span().get_span_context().span_id, whose.get()))

    async def request(name: str) -> None:
        whose.set(name)
        with exported.application.start_as_current_span(name) as span:
            await on_sqlite.load(SessionId.generate())
            assert trace.get_current_span() is span

    await asyncio.gather(*(request(f"request {number}") for number in range(MANY)))

    batch, requests = exported.span("BATCH load"), exported.spans("load")
    (alone,) = [span for span in requests if not span.links]
    assert seen == [(alone.context.span_id, "request 0"), (batch.context.span_id, None)]
    assert len({span.context.trace_id for span in [batch, *requests]}) == MANY + 1
    assert contexts.get_current() == {}


async def test_a_queued_call_that_is_sent_on_its_own_is_in_its_callers_context(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """A task of the queue sends it, as part of the caller's operation. There is no batch."""
    seen: list[int] = []

    @event.listens_for(on_sqlite.engine.sync_engine, "before_cursor_execute")
    def look(*_: Any) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    session_id = SessionId.generate()
    await on_sqlite.create(session_id, SessionRecord({}, HOUR))
    seen.clear()

    await asyncio.gather(*(on_sqlite.update_ttl(session_id, HOUR) for _ in range(2)))

    spans = exported.spans("update_ttl")
    assert (len(seen), set(seen)) == (2, ids_of(spans))
    assert [span.links for span in spans] == [()] * 2
    (wait,) = exported.points(QUEUE)
    assert wait.count == 1


async def test_calls_that_one_row_answers_are_a_batch(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """Its statement is in the batch's span, which has a link to each of the calls."""
    seen: list[int] = []

    @event.listens_for(on_sqlite.engine.sync_engine, "before_cursor_execute")
    def look(*_: Any) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    session_id = SessionId.generate()
    await on_sqlite.create(session_id, SessionRecord({}, HOUR))
    seen.clear()

    await asyncio.gather(*(on_sqlite.update_ttl(session_id, HOUR) for _ in range(4)))

    batch = exported.span("BATCH update_ttl")
    immediate, *merged = sorted(exported.spans("update_ttl"), key=lambda span: len(span.links))
    assert seen == [immediate.context.span_id, batch.context.span_id]
    assert attributes(batch)["db.operation.batch.size"] == len(merged) == 3
    assert linked(batch) == ids_of(merged)


async def test_a_refusal_is_the_callers_and_not_the_batchs(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """A batch that tells some of its callers that their ids are unknown has done its work."""
    calls = (watched.delete(SessionId.generate()) for _ in range(MANY))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(each).__mro__[2] for each in answers} == {UnknownIdError}
    assert exported.span("BATCH delete").status.status_code is StatusCode.UNSET
    assert by(exported.points(DURATION), "error.type") == {"UnknownIdError": MANY}


async def test_a_caller_that_went_away_has_ended_its_span(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """The span of a call that is cancelled in the queue says so; the others are answered."""
    calls = [asyncio.ensure_future(on_sqlite.load(SessionId.generate())) for _ in range(MANY)]
    await asyncio.sleep(0)
    calls[-1].cancel()

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert answers[:-1] == [None] * (MANY - 1)
    (cancelled,) = [span for span in exported.spans("load") if "error.type" in attributes(span)]
    assert attributes(cancelled)["error.type"] == "asyncio.exceptions.CancelledError"
    assert cancelled.status.status_code is StatusCode.ERROR
    batch = exported.span("BATCH load")
    assert len(batch.links) == attributes(batch)["db.operation.batch.size"] == MANY - 2


async def test_a_full_queue_is_an_error(
    on_sqlite: SQLSessionStore, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was asked of the database, so it has no code."""
    monkeypatch.setattr(lanes, "MAX_WAITING", 2)

    calls = (on_sqlite.load(SessionId.generate()) for _ in range(4))
    await asyncio.gather(*calls, return_exceptions=True)

    errors = [attributes(span).get("error.type") for span in exported.spans("load")]
    assert sorted(map(str, errors)) == ["DatabaseError", "None", "None", "None"]


async def test_a_batch_has_no_link_to_calls_outside_of_any_operation(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """It counts them, and they are answered."""
    dispatch = on_sqlite._dispatcher.dispatch
    calls = (dispatch(LOAD, Row(b"key %d" % number)) for number in range(MANY))

    answers = await asyncio.gather(*calls)

    assert answers == [None] * MANY
    (batch,) = exported.all_spans()
    assert (attributes(batch)["db.operation.batch.size"], batch.links) == (MANY - 1, ())


async def test_a_batch_of_what_is_not_sampled_has_its_links(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """Whether it is sampled itself is decided for it alone."""
    unsampled = SpanContext(trace_id=1, span_id=2, is_remote=True)
    token = contexts.attach(trace.set_span_in_context(NonRecordingSpan(unsampled)))

    await asyncio.gather(*(on_sqlite.load(SessionId.generate()) for _ in range(MANY)))
    contexts.detach(token)

    (batch,) = exported.all_spans()
    assert [link.context.trace_id for link in batch.links] == [1] * (MANY - 1)


async def test_a_batch_is_a_root_wherever_it_is_made(exported: Exported) -> None:
    """It asks for no parent, rather than to rely on a task without one."""
    engine = create_engine("sqlite://")
    observer = exported.telemetry().observer(engine, describe(engine, "sessions"))

    application = exported.application
    with application.start_as_current_span("request"), observer.of_queue("load").batch([None]):
        pass

    assert exported.span("BATCH load").parent is None
