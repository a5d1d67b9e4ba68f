"""What is told of attempts, outcomes and calls that were given up."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import context as contexts
from opentelemetry.trace import StatusCode
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from sessionstore_sql import DatabaseError, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.operations import LOAD
from tests.telemetry.exported import DURATION, RETRIES, Exported, attributes, by

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
BUSY = str(sqlite3.SQLITE_BUSY)


def trouble(store: SQLSessionStore, *errors: Exception | None) -> None:
    """Have the next statements fail so, one after another; ``None``: that one succeeds."""
    coming = list(errors)

    @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
    def fail(*_: Any) -> None:
        error = coming.pop(0) if coming else None
        if error is not None:
            raise error


def locked() -> DBAPIError:
    """Return the error of a database that is locked."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return DBAPIError("UPDATE t", {}, error)


def lost() -> DBAPIError:
    """Return the error of a connection that went away under a statement."""
    return DBAPIError("UPDATE t", {}, sqlite3.OperationalError("gone"), connection_invalidated=True)


async def test_an_attempt_that_is_made_again_is_counted(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """With the reason; the operation went well, and says how often it was tried again."""
    trouble(on_sqlite, locked(), locked())

    await on_sqlite.create(SessionId.generate(), SessionRecord({}, HOUR))

    (point,) = exported.points(RETRIES)
    assert point.value == 2
    assert point.attributes["error.type"] == BUSY
    assert point.attributes["db.operation.name"] == "create"
    span = exported.span("create")
    assert attributes(span)["sessionstore_sql.retries"] == 2
    assert "error.type" not in attributes(span)
    assert span.status.status_code is StatusCode.UNSET
    assert by(exported.points(DURATION), "error.type") == {None: 1}


async def test_the_last_attempt_is_the_error_of_the_operation(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """Three attempts, two of them made again."""
    trouble(on_sqlite, *(locked() for _ in range(3)))

    with pytest.raises(DatabaseError):
        await on_sqlite.load(SessionId.generate())

    found = attributes(exported.span("load"))
    assert (found["error.type"], found["sessionstore_sql.retries"]) == (BUSY, 2)
    assert "sessionstore_sql.outcome_unknown" not in found


async def test_retries_of_a_batch_are_the_batchs(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """The callers' own spans have none."""
    calls = [on_sqlite.load(SessionId.generate()) for _ in range(5)]
    # The first call is sent on its own.
    trouble(on_sqlite, None, locked())

    await asyncio.gather(*calls)

    (point,) = exported.points(RETRIES)
    assert (point.value, point.attributes["db.operation.name"]) == (1, "BATCH load")
    assert attributes(exported.span("BATCH load"))["sessionstore_sql.retries"] == 1
    assert not any(
        "sessionstore_sql.retries" in attributes(span) for span in exported.spans("load")
    )


async def test_a_retry_outside_of_any_operation_is_counted(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """It belongs to no operation, and not to the one before."""
    await on_sqlite.load(SessionId.generate())
    exported.forget()
    trouble(on_sqlite, locked())

    await on_sqlite._dispatcher.dispatch(LOAD, Row(b"key"))

    (point,) = exported.points(RETRIES)
    assert (point.value, "db.operation.name" in point.attributes) == (1, False)
    assert exported.all_spans() == ()


async def test_an_unknown_outcome_is_said(on_sqlite: SQLSessionStore, exported: Exported) -> None:
    """The error type is that of the driver, which operators search for."""
    trouble(on_sqlite, lost())

    with pytest.raises(DatabaseError) as caught:
        await on_sqlite.create(SessionId.generate(), SessionRecord({}, HOUR))

    assert caught.value.outcome_unknown
    found = attributes(exported.span("create"))
    assert found["sessionstore_sql.outcome_unknown"] is True
    assert found["error.type"] == "sqlite3.OperationalError"
    (point,) = exported.points(DURATION)
    assert "sessionstore_sql.outcome_unknown" not in point.attributes


async def test_a_batch_that_fails_fails_its_callers(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """The spans of all calls and of the batch have the error."""
    calls = [on_sqlite.load(SessionId.generate()) for _ in range(5)]
    # The first call is sent on its own.
    trouble(on_sqlite, None, lost(), lost())

    await asyncio.gather(*calls, return_exceptions=True)

    assert exported.span("BATCH load").status.status_code is StatusCode.ERROR
    errors = [attributes(span).get("error.type") for span in exported.spans("load")]
    assert errors == [None, *["sqlite3.OperationalError"] * 4]


async def test_a_batch_that_is_made_again_call_by_call(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """What went wrong is the batch's alone, if the calls go well."""
    calls = [on_sqlite.load(SessionId.generate()) for _ in range(5)]
    # The first call is sent on its own.
    trouble(on_sqlite, None, DBAPIError("SELECT", {}, sqlite3.DatabaseError("bad record")))

    await asyncio.gather(*calls)

    assert attributes(exported.span("BATCH load"))["error.type"] == "sqlite3.DatabaseError"
    assert [span.status.status_code for span in exported.spans("load")] == [StatusCode.UNSET] * 5
    assert by(exported.points(DURATION), "error.type") == {None: 5}


async def test_a_cancelled_operation_says_so(
    on_sqlite: SQLSessionStore, exported: Exported
) -> None:
    """A call that is cancelled during its statement ends its span with that error."""
    sent = asyncio.Event()

    @event.listens_for(on_sqlite.engine.sync_engine, "before_cursor_execute")
    def wait(*_: Any) -> None:
        sent.set()
        await_only(asyncio.Event().wait())

    call = asyncio.ensure_future(on_sqlite.load(SessionId.generate()))
    await sent.wait()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call

    cancelled = "asyncio.exceptions.CancelledError"
    assert attributes(exported.span("load"))["error.type"] == cancelled
    assert by(exported.points(DURATION), "error.type") == {cancelled: 1}


async def test_an_abandoned_operation_ends_its_span_and_restores_nothing(
    on_sqlite: SQLSessionStore,
    exported: Exported,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its coroutine is closed in a context that is not the one it began in."""

    async def wait_forever(*_: object) -> None:
        await asyncio.Event().wait()

    on_sqlite._dispatcher.dispatch = wait_forever  # type: ignore[method-assign, assignment]
    operation = on_sqlite.load(SessionId.generate())
    contextvars.copy_context().run(operation.send, None)

    with caplog.at_level(logging.DEBUG):
        operation.close()

    assert caplog.records == []
    assert attributes(exported.span("load"))["error.type"] == "GeneratorExit"
    assert contexts.get_current() == {}
