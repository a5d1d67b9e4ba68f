"""No subject, handle, ``about``, id or state is shown by an account operation, whatever it does.

The tests plant them in every operation, and look at errors with all that can be reached from them,
at tracebacks, log records, spans and metrics.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import URL, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    AccountEvent,
    DatabaseError,
    DeserializationError,
    JSONCodec,
    SessionHandle,
    SessionId,
    SessionStoreError,
    SQLSessionStore,
)
from sessionstore_sql.testing.accounts.support import session_of
from tests.accounts.planted import (
    ABOUT,
    GONE,
    HANDLE,
    KEYS,
    LIVE,
    NEW,
    RECORD,
    SUBJECT,
    Watch,
    every_call,
    failing_calls,
    planted,
)
from tests.accounts.rows import set_columns
from tests.leaks import logged
from tests.telemetry.exported import Exported

pytestmark = pytest.mark.anyio

Open = Callable[..., SQLSessionStore]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Everything that the stores of the test show."""
    with logged() as log:
        yield Watch(Exported(), log)


@pytest.fixture
async def open_store(store: SQLSessionStore, url: URL, watch: Watch) -> AsyncIterator[Open]:
    """Opens watched stores on the table that ``store`` has emptied."""
    async with AsyncExitStack() as stack:
        opened: list[SQLSessionStore] = []

        def make(**options: Any) -> SQLSessionStore:
            options.setdefault("subject_keys", KEYS)
            made = SQLSessionStore(url, telemetry=watch.exported.telemetry(), **options)
            opened.append(made)
            return made

        yield make
        for each in opened:
            await stack.enter_async_context(each)


def digests_of(store: SQLSessionStore) -> tuple[bytes, ...]:
    """Return what the database has of the subject."""
    return tuple(store._options.subjects.digests(SUBJECT))


async def error_of(call: Awaitable[object], cause: type[SessionStoreError]) -> SessionStoreError:
    """Return what a call raises."""
    with pytest.raises(cause) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("coalesced", [True, False])
async def test_operations_that_succeed_or_are_rejected_show_nothing(
    open_store: Open, watch: Watch, coalesced: bool
) -> None:
    """Each rejection alone, and several of a kind at once, which share a batch."""
    store = open_store(coalesce=coalesced)
    version = (await planted(store, watch)).version

    errors = []
    for call, cause in failing_calls(store, version):
        for count in (1, 4):
            errors += await asyncio.gather(*(error_of(call(), cause) for _ in range(count)))

    version = await store.update_if(LIVE, RECORD, version)
    await store.replace(LIVE, NEW, RECORD, version=version)
    session = await session_of(store, NEW)
    watch.handles.append(await store.sign_in(NEW, LIVE, RECORD, subject=SUBJECT))
    for _ in range(2):
        other = SessionId.generate()
        watch.handles.append(
            await store.sign_in(None, other, RECORD, subject=SUBJECT, max_sessions=1)
        )
    assert len(await store.sessions_of(SUBJECT)) == 1
    await store.sign_out(LIVE, session)
    assert await store.revoke(SUBJECT, only=HANDLE) == 0
    assert await store.revoke(SUBJECT, keep=HANDLE) == 1
    watch.require_nothing_shown(errors, *digests_of(store))


@pytest.mark.parametrize("coalesced", [True, False])
async def test_a_failing_database_shows_nothing(
    open_store: Open, watch: Watch, coalesced: bool
) -> None:
    """The driver's error has the statement and the bound values."""
    store = open_store(coalesce=coalesced, table="missing")

    errors = [
        error
        for _ in range(2)
        for error in await asyncio.gather(
            *(error_of(call(), DatabaseError) for call in every_call(store))
        )
    ]

    assert all(error.__cause__ is not None for error in errors)
    watch.require_nothing_shown(errors, *digests_of(store))


async def test_a_bound_store_shows_nothing(
    open_store: Open, watch: Watch, host_engine: AsyncEngine
) -> None:
    """Its errors come from a connection of the application's."""
    store = open_store()
    errors = []
    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        version = (await planted(bound, watch)).version
        for call, cause in failing_calls(bound, version):
            errors.append(await error_of(call(), cause))
        await connection.rollback()
    missing = open_store(table="missing")
    for place in range(len(every_call(missing))):
        async with host_engine.connect() as connection:
            bound = missing.bind(connection)
            calls = every_call(bound)
            errors.append(await error_of(calls[place](), DatabaseError))
            await connection.rollback()
    watch.require_nothing_shown(errors, *digests_of(store))


async def test_a_limit_that_cannot_be_kept_shows_nothing(
    open_store: Open, watch: Watch, host_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store with a pool logs the error, and a bound one raises it."""

    def fail(_: object, connection: Connection, *__: object, **___: object) -> None:
        connection.exec_driver_sql("SELECT gone FROM sessionstore_missing")

    store = open_store()
    await planted(store, watch)
    monkeypatch.setattr(type(store._table.endings), "trim", fail)
    monkeypatch.setattr(SessionHandle, "generate", lambda: HANDLE)

    await store.sign_in(None, NEW, RECORD, subject=SUBJECT, about=ABOUT, max_sessions=1)
    async with host_engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        signing_in = store.bind(connection).sign_in(
            None, GONE, RECORD, subject=SUBJECT, max_sessions=1
        )
        error = await error_of(signing_in, DatabaseError)
        await connection.rollback()

    assert "the sessions above the limit of 1 could not be ended" in watch.log.text
    watch.require_nothing_shown([error], *digests_of(store))


class QuotingCodec(JSONCodec):
    """A codec whose errors about ``about`` quote what was stored."""

    def decode(self, data: bytes) -> Any:
        """Fail on what it is given, except for a state."""
        if b"subject" in data:
            raise json.JSONDecodeError("cannot read", data.decode(), 0)
        raise DeserializationError("damaged")


async def test_what_cannot_be_decoded_shows_nothing(open_store: Open, watch: Watch) -> None:
    """Neither the list, which logs an error, nor the session, which raises one."""
    store = open_store()
    await planted(store, watch)
    damaged = open_store(codec=QuotingCodec())

    (info,) = await damaged.sessions_of(SUBJECT)
    errors = [await error_of(damaged.load_session(LIVE), DeserializationError)]

    assert info.about == {}
    assert "the column `about` of a session cannot be decoded" in watch.log.text
    watch.require_nothing_shown(errors, *digests_of(store))


@pytest.mark.sqlite_only
async def test_values_of_another_type_show_nothing(
    store: SQLSessionStore, open_store: Open, watch: Watch
) -> None:
    """SQLite stores what it is given; the errors do not quote it."""
    watched = open_store()
    await planted(watched, watch)
    await set_columns(store, LIVE, handle=b"planted")
    errors = [
        await error_of(watched.load_session(LIVE), DeserializationError),
        await error_of(watched.sessions_of(SUBJECT), DeserializationError),
    ]

    watch.require_nothing_shown(errors, *digests_of(store))


async def test_a_failing_event_handler_shows_nothing(open_store: Open, watch: Watch) -> None:
    """The application's exception quotes the event, and is logged by its class."""

    def quote(event: AccountEvent) -> None:
        raise RuntimeError(f"cannot report {event.subject} {event.handles}")

    store = open_store(on_event=quote)
    session = await planted(store, watch)
    await store.sign_out(LIVE, session)
    watch.handles.append(await store.sign_in(None, NEW, RECORD, subject=SUBJECT))
    await store.revoke(SUBJECT)

    assert watch.log.text.count("on_event raised RuntimeError") == 4
    watch.require_nothing_shown([], *digests_of(store))
