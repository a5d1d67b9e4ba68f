"""Statements go past SQLAlchemy's execution where nobody can tell, and only there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from sessionstore_sql import (
    DatabaseError,
    DuplicateIdError,
    SessionId,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.dialects.sending import CursorSender
from sessionstore_sql.dialects.sqlite_sending import OneTurnSender
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

STATE = "the state of a session"
SECRET = "the-id-of-a-session"


async def use_all(store: SQLSessionStore) -> None:
    """Call the seven operations: alone, many at once, and in vain."""
    ids = [SessionId.generate() for _ in range(20)]
    new_id, expired = SessionId.generate(), SessionId.generate()
    await asyncio.gather(*(store.create(each, record(text=STATE)) for each in ids))
    with pytest.raises(DuplicateIdError):
        await store.create(ids[0], record())
    await asyncio.gather(*(store.update(each, record(text=STATE, more=1)) for each in ids))
    await asyncio.gather(*(store.update_ttl(each, HOUR) for each in ids))
    loaded = await asyncio.gather(*map(store.load, ids))
    assert [each and each.state for each in loaded] == [{"text": STATE, "more": 1}] * len(ids)
    await store.change_id(ids[0], new_id)
    for vain in (store.load(ids[0]), store.load(SessionId.generate())):
        assert await vain is None
    with pytest.raises(UnknownIdError):
        await store.update_ttl(ids[0], HOUR)
    await asyncio.gather(*map(store.delete, [new_id, *ids[1:]]))
    await store.create(expired, record(ttl=AT_ONCE))
    assert await store.count_expired() == 1
    assert await store.delete_expired(batch_size=10) == 1


@pytest.fixture
def _nothing_executes(store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy's own execution fails."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("SQLAlchemy was to execute something")

    monkeypatch.setattr(Connection, "execute", fail)
    monkeypatch.setattr(Connection, "exec_driver_sql", fail)


@pytest.mark.usefixtures("_nothing_executes")
async def test_where_nobody_listens_nothing_is_executed_by_sqlalchemy(
    store: SQLSessionStore,
) -> None:
    """That would cost several times what the database's own work does."""
    await use_all(store)

    assert connections_in_use(store) == 0


async def test_a_schema_that_stands_for_another_is_followed(store: SQLSessionStore) -> None:
    """A text names one schema, and each connection may name another one."""
    tenants = store.engine.execution_options(schema_translate_map={"tenant": None})

    await use_all(SQLSessionStore(tenants, schema="tenant"))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that go past SQLAlchemy's execution."""
    texts: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: object, connection: Any, text: str, bound: Any) -> Any:
            texts.append(text)
            return real(self, connection, text, bound)

        return note

    for sender in (CursorSender, OneTurnSender):
        for name in ("fetch", "change"):
            monkeypatch.setattr(sender, name, noting(getattr(sender, name)))
    return texts


def listen_on_engine(name: str) -> Callable[[AsyncEngine, Callable[..., None]], None]:
    """Return what listens to ``name`` on an engine."""
    return lambda engine, heard: event.listen(engine.sync_engine, name, heard)


def listen_on_connections(engine: AsyncEngine, heard: Callable[..., None]) -> None:
    """Listen on each connection as it is checked out."""
    event.listen(
        engine.sync_engine,
        "engine_connect",
        lambda connection: event.listen(connection, "before_cursor_execute", heard),
    )


def listen_everywhere(made: type) -> Callable[[AsyncEngine, Callable[..., None]], None]:
    """Return what listens to whatever of this class there is or will be."""
    return lambda _engine, heard: event.listen(made, "before_cursor_execute", heard)


LISTENERS = {
    name: listen_on_engine(name)
    for name in (
        "before_execute",
        "after_execute",
        "before_cursor_execute",
        "after_cursor_execute",
        "do_execute",
        "begin",
        "rollback",
    )
} | {
    "a connection's own": listen_on_connections,
    "all connections": listen_everywhere(Connection),
    "all engines": listen_everywhere(Engine),
}


@pytest.mark.parametrize("name", LISTENERS)
async def test_who_listens_hears_of_every_statement(
    store: SQLSessionStore, sent: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the event, and wherever it is listened to: SQLAlchemy executes then."""
    for made in (Connection, Engine):  # which remember for ever that somebody listened
        monkeypatch.setattr(made, "_has_events", made._has_events)
    heard: list[str] = []

    def hear(*_: Any) -> None:
        heard.append(name)

    await use_all(store)
    assert sent
    sent.clear()
    LISTENERS[name](store.engine, hear)
    await use_all(store)
    for made in (Connection, Engine):
        if event.contains(made, "before_cursor_execute", hear):
            event.remove(made, "before_cursor_execute", hear)

    assert sent == []
    assert heard


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What SQLAlchemy's engines log."""
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        yield caplog


async def test_who_logs_statements_sees_all_of_them(
    store: SQLSessionStore, sent: list[str], log: pytest.LogCaptureFixture
) -> None:
    """As SQLAlchemy logs them, and without what they bind."""
    await use_all(store)

    logged = [each.getMessage() for each in log.records if "SELECT" in each.getMessage()]
    assert logged
    assert sent == []
    assert STATE not in log.text


async def error_of(call: Awaitable[Any]) -> DatabaseError:
    """Return the error that ``call`` raises."""
    with pytest.raises(DatabaseError) as caught:
        await call
    return caught.value


CALLS: dict[str, Callable[[SQLSessionStore], Awaitable[Any]]] = {
    "load": lambda store: store.load(SessionId(SECRET)),
    "create": lambda store: store.create(SessionId(SECRET), record(text=STATE)),
    "delete_expired": lambda store: store.delete_expired(batch_size=3),
}


@pytest.mark.parametrize("name", CALLS)
async def test_an_error_is_what_sqlalchemy_makes_of_it(
    store: SQLSessionStore, sent: list[str], name: str
) -> None:
    """The same class, text and driver's error as where it executes, and no parameter in it."""
    absent = SQLSessionStore(store.engine, table="absent")
    mine = await error_of(CALLS[name](absent))
    assert sent
    event.listen(store.engine.sync_engine, "before_cursor_execute", lambda *_: None)
    its = await error_of(CALLS[name](absent))

    assert str(mine) == str(its)
    causes = [mine.__cause__, its.__cause__]
    assert isinstance(causes[0], DBAPIError)
    assert isinstance(causes[1], DBAPIError)
    assert type(causes[0]) is type(causes[1])
    assert type(causes[0].orig) is type(causes[1].orig)
    assert causes[0].statement == causes[1].statement
    assert SECRET not in repr(causes[0])
    assert causes[0].params is None


async def test_what_is_no_drivers_error_stays_as_it_is(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLAlchemy leaves it: a mistake is not to be taken for the database's failure."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    await store.load(SessionId(SECRET))
    monkeypatch.setattr(CursorSender, "fetch", fail)
    monkeypatch.setattr(OneTurnSender, "fetch", fail)
    with pytest.raises(ZeroDivisionError):
        await store.load(SessionId(SECRET))


async def test_who_listens_to_errors_hears_of_them(store: SQLSessionStore, sent: list[str]) -> None:
    """That alone changes nothing of how statements are sent."""
    heard: list[tuple[Any, Any]] = []

    @event.listens_for(store.engine.sync_engine, "handle_error")
    def hear(context: ExceptionContext) -> None:
        heard.append((context.statement, context.parameters))

    absent = SQLSessionStore(store.engine, table="absent")
    await error_of(absent.load(SessionId(SECRET)))

    assert heard == [(sent[-1], None)]


async def test_a_cancelled_call_takes_its_connection_out_of_the_pool(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it may still be doing there would be in the way of the next call."""
    await store.load(SessionId(SECRET))
    invalidated: list[object] = []
    event.listen(store.engine.sync_engine, "invalidate", lambda *_: invalidated.append(1))
    under_way = asyncio.Event()

    def wait(*_: Any) -> Any:
        under_way.set()
        await_only(asyncio.sleep(60))

    with monkeypatch.context() as patched:
        patched.setattr(CursorSender, "fetch", wait)
        patched.setattr(OneTurnSender, "fetch", wait)
        call = asyncio.create_task(store.load(SessionId(SECRET)))
        await under_way.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert len(invalidated) == 1
    assert await store.load(SessionId(SECRET)) is None
