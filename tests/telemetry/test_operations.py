"""A span and a measurement for each operation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    SerializationError,
    SessionId,
    SessionRecord,
    SessionStorageBackend,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.otel import OpenTelemetry
from tests.telemetry.exported import DURATION, PURGED, Exported, attributes, by

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
RECORD = SessionRecord({"cart": [7]}, HOUR)
TABLE = "sessionstore_sessions"

SEVEN = ["create", "load", "update", "update_ttl", "change_id", "delete", "delete_expired"]


async def use(store: SessionStorageBackend) -> None:
    """Do each of the seven operations once."""
    session_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(session_id, RECORD)
    assert await store.load(session_id) is not None
    await store.update(session_id, RECORD)
    await store.update_ttl(session_id, HOUR)
    await store.change_id(session_id, new_id)
    await store.delete(new_id)
    await store.delete_expired(10)


@pytest.mark.every_driver
async def test_each_operation_is_a_span(
    watched: SQLSessionStore, url: URL, exported: Exported
) -> None:
    """A client's, with what the conventions want to know of a database."""
    await use(watched)
    await watched.delete_expired_exclusively(10)
    await watched.count_expired()

    operations = [*SEVEN, "delete_expired_exclusively", "count_expired"]
    spans = exported.all_spans()
    assert [span.name for span in spans] == [f"{each} {TABLE}" for each in operations]
    expected: dict[str, Any] = {
        "db.system.name": url.get_backend_name(),
        "db.namespace": url.database,
        "db.collection.name": TABLE,
        "server.address": url.host,
        "server.port": url.port,
    }
    there = {name: value for name, value in expected.items() if value is not None}
    for span, operation in zip(spans, operations, strict=True):
        assert dict(span.attributes or {}) == {**there, "db.operation.name": operation}
        assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
        assert (span.parent, span.links, span.events) == (None, (), ())


async def test_each_operation_is_measured(watched: SQLSessionStore, exported: Exported) -> None:
    """In seconds, in the buckets that the conventions recommend, as long as its span."""
    await use(watched)

    points = exported.points(DURATION)
    assert by(points, "db.operation.name") == dict.fromkeys(SEVEN, 1)
    for point in points:
        assert point.explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
        span = exported.span(point.attributes["db.operation.name"])
        assert dict(point.attributes) == dict(span.attributes or {})
        assert span.start_time is not None
        assert span.end_time is not None
        assert point.sum == pytest.approx((span.end_time - span.start_time) / 1e9)


async def test_an_operation_is_a_part_of_what_its_caller_does(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """A child of the current span, which is current again afterwards."""
    with exported.application.start_as_current_span("request") as request:
        await use(watched)
        with exported.application.start_as_current_span("after"):
            pass

    *operations, after, _ = exported.all_spans()
    assert len(operations) == len(SEVEN)
    for span in [*operations, after]:
        assert span.parent == request.get_span_context()


async def test_what_a_driver_does_is_a_part_of_the_operation(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """The operation's span is the current one meanwhile: instrumented drivers make children."""
    from sqlalchemy import event

    @event.listens_for(on_sqlite.engine.sync_engine, "before_cursor_execute")
    def driver(*_: Any) -> None:
        with exported.application.start_as_current_span("statement"):
            pass

    await on_sqlite.load(SessionId.generate())

    statement, load = exported.all_spans()
    assert statement.parent == load.context


@pytest.mark.parametrize("coalesce", [True, False])
async def test_coalescing_makes_no_difference_to_one_caller(
    url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported, coalesce: bool
) -> None:
    """The same spans."""
    store = await opened(url, coalesce=coalesce)

    await use(store)

    assert [attributes(span)["operation"] for span in exported.all_spans()] == SEVEN


async def test_without_coalescing_there_are_no_batches(
    url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """However many call at once."""
    store = await opened(url, coalesce=False)

    await asyncio.gather(*(store.load(SessionId.generate()) for _ in range(20)))

    assert len(exported.spans("load")) == len(exported.all_spans()) == 20


async def test_bound_operations_are_watched(
    watched: SQLSessionStore, host_engine: AsyncEngine, exported: Exported
) -> None:
    """As part of the caller's transaction they are its store's all the same."""
    async with host_engine.begin() as connection:
        bound = watched.bind(connection)
        await use(bound)
        with pytest.raises(UnknownIdError):
            await bound.delete(SessionId.generate())

    operations = [attributes(span)["operation"] for span in exported.all_spans()]
    assert operations == [*SEVEN, "delete"]
    assert attributes(exported.all_spans()[-1])["error.type"] == "UnknownIdError"


async def rejected(call: Awaitable[object], cause: type[Exception]) -> None:
    """Await a call that fails."""
    with pytest.raises(cause):
        await call


async def test_answers_that_are_errors_are_told_apart(
    watched: SQLSessionStore, exported: Exported
) -> None:
    """By the name of their cause, in the span and in the measurement; the span says no more."""
    session_id, unknown = SessionId.generate(), SessionId.generate()
    await watched.create(session_id, RECORD)

    await rejected(watched.create(session_id, RECORD), DuplicateIdError)
    await rejected(watched.load("an id"), TypeError)  # type: ignore[arg-type]
    await rejected(watched.update(unknown, RECORD), UnknownIdError)
    await rejected(watched.update_ttl(session_id, HOUR * 1_000_000), ValueError)
    await rejected(watched.create(unknown, SessionRecord({"a": ()}, HOUR)), SerializationError)  # type: ignore[dict-item]

    _, *failed = exported.all_spans()
    errors = [attributes(span)["error.type"] for span in failed]
    names = ["DuplicateIdError", "TypeError", "UnknownIdError", "ValueError", "SerializationError"]
    assert errors == names
    for span in failed:
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert span.events == ()
        assert "db.response.status_code" not in attributes(span)
    assert by(exported.points(DURATION), "error.type") == dict.fromkeys([None, *names], 1)


class Junk:
    """Writes bytes that cannot be decoded."""

    def encode(self, state: object) -> bytes:
        """Write junk."""
        return b"\xff"

    def decode(self, data: bytes) -> Any:
        """Reject the bytes."""
        raise DeserializationError("the stored state cannot be decoded")


async def test_a_state_that_cannot_be_read_is_an_error(
    url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """The row was found, and the caller has nothing of it."""
    store = await opened(url, codec=Junk())
    session_id = SessionId.generate()
    await store.create(session_id, RECORD)

    await rejected(store.load(session_id), DeserializationError)

    assert attributes(exported.span("load"))["error.type"] == "DeserializationError"


@pytest.mark.every_driver
async def test_an_error_of_the_database_has_its_code(
    url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """The most specific one that the database has, which is the error's type, too."""
    store = await opened(url, table="no_such_table")

    await rejected(store.load(SessionId.generate()), DatabaseError)

    code = {"postgresql": "42P01", "mysql": "1146", "mariadb": "1146", "sqlite": "1"}
    expected = code[url.get_backend_name()]
    found = attributes(exported.span("load"))
    assert (found["error.type"], found["db.response.status_code"]) == (expected, expected)
    assert found["db.collection.name"] == "no_such_table"
    (point,) = exported.points(DURATION)
    assert point.attributes["db.response.status_code"] == expected


async def test_what_is_purged_is_counted(watched: SQLSessionStore, exported: Exported) -> None:
    """By whatever purges."""
    for _ in range(5):
        await watched.create(SessionId.generate(), SessionRecord({}, timedelta(0)))

    await watched.delete_expired(2)
    await watched.delete_expired_exclusively(2)
    await watched.delete_expired()

    (point,) = exported.points(PURGED)
    assert point.value == 5


async def test_what_is_purged_in_a_transaction_is_counted(
    watched: SQLSessionStore, host_engine: AsyncEngine, exported: Exported
) -> None:
    """By the store that the operation is bound of."""
    await watched.create(SessionId.generate(), SessionRecord({}, timedelta(0)))

    async with host_engine.begin() as connection:
        await watched.bind(connection).delete_expired()

    (point,) = exported.points(PURGED)
    assert point.value == 1


async def test_one_watches_many_stores(
    sqlite_url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """Told apart by their tables."""
    telemetry = exported.telemetry()
    here = await opened(sqlite_url, telemetry=telemetry)
    there = await opened(sqlite_url, telemetry=telemetry, table="elsewhere")

    await here.load(SessionId.generate())
    await rejected(there.load(SessionId.generate()), DatabaseError)

    assert [span.name for span in exported.all_spans()] == [f"load {TABLE}", "load elsewhere"]


@pytest.mark.parametrize("mistake", [True, "otel", OpenTelemetry])
def test_a_wrong_observer_is_rejected(mistake: Any) -> None:
    """Where the store is made; the class itself is the likeliest mistake."""
    with pytest.raises(TypeError, match=r"^telemetry is an instance, such as OpenTel"):
        SQLSessionStore("sqlite://", telemetry=mistake)


async def test_observing_replaces_nothing_in_a_store(watched: SQLSessionStore) -> None:
    """The operations of an observed store are those of its class."""
    assert not {*SEVEN, "count_expired"} & set(vars(watched))
