"""The store bypasses SQLAlchemy's execution layer only if no listener would notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, event
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
from sessionstore_sql.sql import direct
from sessionstore_sql.sql.dialects.mysql.channels import CursorChannel
from sessionstore_sql.sql.dialects.postgresql.channels import AsyncpgChannel, PsycopgChannel
from sessionstore_sql.sql.dialects.sqlite.driver import OneTurnChannel, OneTurnSender
from sessionstore_sql.sql.senders import CursorSender
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record
from tests.databases import TARGETS
from tests.hidden import hide
from tests.stores import connections_in_use

pytestmark = pytest.mark.anyio

SENDERS = (CursorSender, OneTurnSender)
CHANNELS = (AsyncpgChannel, PsycopgChannel, CursorChannel, OneTurnChannel)

STATE = "the state of a session"
SECRET = "the-id-of-a-session"


async def use_all(store: SQLSessionStore) -> None:
    """Call the seven operations: one at a time, many at once, and without success."""
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
async def test_without_listeners_sqlalchemy_executes_nothing(
    store: SQLSessionStore,
) -> None:
    """Its execution would cost several times what the database's own work does."""
    await use_all(store)

    assert connections_in_use(store) == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Connection, "_has_events"),
        (Connection, "_handle_dbapi_exception"),
        (Engine, "dispatch"),
        (Engine, "logger"),
    ],
)
async def test_sqlalchemy_executes_if_it_lacks_an_undocumented_name(
    store: SQLSessionStore,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
) -> None:
    """A release that renames one costs speed, and changes nothing else."""
    hide(monkeypatch, owner, name)

    await use_all(store)

    assert sent == []
    error = await error_of(SQLSessionStore(store.engine, table="absent").load(SessionId(SECRET)))
    assert isinstance(error.__cause__, DBAPIError)
    assert connections_in_use(store) == 0


async def test_work_runs_if_sqlalchemy_accepts_only_its_own_greenlets(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its public ``run_sync`` is used instead."""
    monkeypatch.setattr(direct, "_TAKES_OUR_WORKERS", False)

    await use_all(store)

    assert connections_in_use(store) == 0


async def test_a_schema_translate_map_is_followed(store: SQLSessionStore) -> None:
    """A text names one schema, and each connection may ask for another."""
    tenants = store.engine.execution_options(schema_translate_map={"tenant": None})

    await use_all(SQLSessionStore(tenants, schema="tenant"))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that bypass SQLAlchemy's execution."""
    texts: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: object, connection: Any, text: str, bound: Any) -> Any:
            texts.append(text)
            return real(self, connection, text, bound)

        return note

    def noting_on_line(real: Callable[..., Any]) -> Callable[..., Any]:
        async def note(self: object, text: str, bound: Any) -> Any:
            texts.append(text)
            return await real(self, text, bound)

        return note

    for name in ("fetch", "change"):
        for sender in SENDERS:
            monkeypatch.setattr(sender, name, noting(getattr(sender, name)))
        for channel in CHANNELS:
            monkeypatch.setattr(channel, name, noting_on_line(getattr(channel, name)))
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
    """Return what listens to every present and future object of this class."""
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
async def test_a_listener_sees_every_statement(
    store: SQLSessionStore, sent: list[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the event, and wherever the listener is registered. SQLAlchemy executes then."""
    for made in (Connection, Engine):  # which remember that there was a listener
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
    """The log of SQLAlchemy's engines."""
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        yield caplog


async def test_the_sql_log_contains_every_statement(
    store: SQLSessionStore, sent: list[str], log: pytest.LogCaptureFixture
) -> None:
    """As SQLAlchemy logs them, without bound values."""
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
async def test_an_error_is_the_one_that_sqlalchemy_raises(
    store: SQLSessionStore, sent: list[str], name: str
) -> None:
    """Class, text and driver error are those of its own execution, and there are no parameters."""
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


async def test_an_exception_of_other_code_is_passed_on(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A programming error must not look like a failure of the database."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    await store.load(SessionId(SECRET))
    for each in (*SENDERS, *CHANNELS):
        monkeypatch.setattr(each, "fetch", fail)
    for _ in range(2):  # on a lease, and on another connection
        with pytest.raises(ZeroDivisionError):
            await store.load(SessionId(SECRET))


async def test_a_listener_for_errors_sees_them(store: SQLSessionStore, sent: list[str]) -> None:
    """It alone does not change how statements are sent."""
    heard: list[tuple[Any, Any]] = []

    @event.listens_for(store.engine.sync_engine, "handle_error")
    def hear(context: ExceptionContext) -> None:
        heard.append((context.statement, context.parameters))

    absent = SQLSessionStore(store.engine, table="absent")
    await error_of(absent.load(SessionId(SECRET)))

    assert heard == [(sent[-1], None)]


@pytest.mark.parametrize("is_leased", [True, False], ids=["leased", "of the pool"])
async def test_a_cancelled_call_removes_its_connection_from_the_pool(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, is_leased: bool
) -> None:
    """The statement may still be running there when the next call comes."""
    await store.load(SessionId(SECRET))
    invalidated: list[object] = []
    event.listen(store.engine.sync_engine, "invalidate", lambda *_: invalidated.append(1))
    under_way = asyncio.Event()

    async def wait(*_: Any) -> Any:
        under_way.set()
        await asyncio.sleep(60)

    with monkeypatch.context() as patched:
        for sender in SENDERS:
            patched.setattr(sender, "fetch", lambda *_: await_only(wait()))
        for channel in CHANNELS:
            patched.setattr(channel, "fetch", wait)
        if not is_leased:
            await store._pool.loops.current().leases.release()
        call = asyncio.create_task(store.load(SessionId(SECRET)))
        await under_way.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert len(invalidated) == 1
    assert await store.load(SessionId(SECRET)) is None


@pytest.mark.parametrize(
    "target",
    [each for each in TARGETS if each.drivername.endswith("asyncpg")],
    indirect=True,
    ids=str,
)
@pytest.mark.parametrize("size", [0, 100])
async def test_prepared_statements_get_the_names_that_the_caller_gives(
    url: URL, sent: list[str], size: int
) -> None:
    """Some poolers need that: nothing is prepared by asyncpg itself, under names of its own."""
    given: list[str] = []

    def name() -> str:
        given.append(f"statement_{len(given)}")
        return given[-1]

    connect_args = {"prepared_statement_name_func": name, "prepared_statement_cache_size": size}
    async with SQLSessionStore(url, engine_options={"connect_args": connect_args}) as store:
        for _ in range(5):
            await store.load(SessionId(SECRET))

        assert store._pool.loops.current().leases.free == []
    assert len(given) >= (1 if size else 5)
    assert len(sent) == 5
