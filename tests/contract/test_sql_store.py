"""What ``SQLSessionStore`` promises beyond the contract of every backend."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from sessionstore_sql import (
    JSON,
    ChangeIdError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    SerializationError,
    SessionId,
    SessionStorageBackend,
    SQLSessionStore,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
    migrate,
)
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.engines import dialect_of
from sessionstore_sql.testing.support import AT_ONCE, HOUR, fails, record
from tests.stores import executed_on

pytestmark = pytest.mark.anyio

Call = Callable[[SessionStorageBackend], Awaitable[Any]]

SESSIONS = session_table()
ODD_TABLES = [
    "a b",
    'quo"te',
    "back`tick",
    "per%cent",
    "%s",
    "Upper",
    "a:b",
    "ключ",
    "a'b",
    # Names that the statements use internally.
    *("given", "held", "chosen", "oldest", "expired", "locked", "row", "found", "layout"),
    *("turn", "removed", "changed", "anon_1"),
]

OPERATION_NAMES = [
    "create",
    "update",
    "update_ttl",
    "load",
    "delete",
    "change_id",
    "delete_expired",
]


def call_named(name: str, session_id: SessionId) -> Call:
    """Return a call of the operation ``name`` for ``session_id``."""
    calls: dict[str, Call] = {
        "create": lambda backend: backend.create(session_id, record(user=1)),
        "update": lambda backend: backend.update(session_id, record(user=2)),
        "update_ttl": lambda backend: backend.update_ttl(session_id, HOUR),
        "load": lambda backend: backend.load(session_id),
        "delete": lambda backend: backend.delete(session_id),
        "change_id": lambda backend: backend.change_id(session_id, SessionId.generate()),
        "delete_expired": lambda backend: backend.delete_expired(batch_size=10),
    }
    return calls[name]


async def write_raw(engine: AsyncEngine, session_id: SessionId, **columns: Any) -> None:
    """Change the columns of a row behind the store's back."""
    binary = dialect_of(engine).binary
    values = {
        name: bindparam(f"new_{name}", value, type_=binary) if isinstance(value, bytes) else value
        for name, value in columns.items()
    }
    key = bindparam("wanted", key_of(session_id), type_=binary)
    async with engine.begin() as connection:
        result = await connection.execute(
            update(SESSIONS).where(SESSIONS.c.id == key).values(values)
        )
        assert result.rowcount == 1


async def count_rows(engine: AsyncEngine) -> int:
    """Return how many rows there are, expired ones too."""
    async with engine.connect() as connection:
        counted = await connection.execute(text("SELECT count(*) FROM sessionstore_sessions"))
        return int(counted.scalar_one())


async def add_expired(engine: AsyncEngine, count: int) -> None:
    """Add rows that expired long ago, a microsecond after each other."""
    in_hex = BYTES[engine.dialect.name].format
    keys = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(count)]
    state = in_hex("7b7d")
    rows = ", ".join(f"({in_hex(key)}, {at}, {state})" for at, key in enumerate(keys))
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            f"INSERT INTO sessionstore_sessions (id, deadline, state) VALUES {rows}"
        )


BYTES = {
    "postgresql": "decode('{}', 'hex')",
    "mysql": "x'{}'",
    "mariadb": "x'{}'",
    "sqlite": "x'{}'",
}
"""How bytes are written by hand."""


# How many statements


async def sent_through(engine: AsyncEngine, call: Callable[[], Awaitable[Any]]) -> list[str]:
    """Return everything that the one connection of ``engine`` sends during ``call``.

    It is asked of the driver, or of the server, below SQLAlchemy: what begins or ends a
    transaction shows there however it came about.
    """
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
    # The store's own engine may use a subclass of the driver's connection.
    packages = [each.__module__.partition(".")[0] for each in type(driver).__mro__]
    (name,) = {package for package in packages if package in _OBSERVERS}
    return await _OBSERVERS[name](engine, driver, call)


class _Protocol:
    """asyncpg's protocol, noting each message to the server."""

    def __init__(self, protocol: Any, sent: list[str]) -> None:
        self._protocol = protocol
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        if name in ("query", "prepare", "execute", "bind", "bind_execute", "bind_execute_many"):
            self._sent.append(name)
        return getattr(self._protocol, name)


async def _of_asyncpg(
    _engine: AsyncEngine, driver: Any, call: Callable[[], Awaitable[Any]]
) -> list[str]:
    """Each round trip is a call of the protocol, preparing included."""
    sent: list[str] = []
    protocol = driver._protocol
    driver._protocol = _Protocol(protocol, sent)
    await call()
    driver._protocol = protocol
    return sent


async def _of_psycopg(
    _engine: AsyncEngine, driver: Any, call: Callable[[], Awaitable[Any]]
) -> list[str]:
    """Libpq writes down each message of the protocol: a statement is Query or Execute."""
    with tempfile.TemporaryFile() as trace:
        driver.pgconn.trace(trace.fileno())
        await call()
        driver.pgconn.untrace()
        trace.seek(0)
        messages = [line.split("\t") for line in trace.read().decode(errors="replace").splitlines()]
    from_client = [message[3] for message in messages if len(message) > 3 and message[1] == "F"]
    return [kind for kind in from_client if kind in ("Query", "Execute")]


async def _of_mysql(
    engine: AsyncEngine, _driver: Any, call: Callable[[], Awaitable[Any]]
) -> list[str]:
    """The server counts what a connection asks, COMMIT and ROLLBACK too."""

    async def questions() -> int:
        async with engine.connect() as connection:
            answer = await connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Questions'")
            rows: Any = answer.all()
            return int(rows[0][1])

    before = await questions()
    await call()
    return ["?"] * (await questions() - before - 1)


async def _of_aiosqlite(
    _engine: AsyncEngine, driver: Any, call: Callable[[], Awaitable[Any]]
) -> list[str]:
    """SQLite tells of each statement that it runs, an implicit BEGIN too."""
    sent: list[str] = []
    await driver.set_trace_callback(sent.append)
    await call()
    await driver.set_trace_callback(None)
    return sent


_OBSERVERS = {
    "asyncpg": _of_asyncpg,
    "psycopg": _of_psycopg,
    "aiomysql": _of_mysql,
    "asyncmy": _of_mysql,
    "aiosqlite": _of_aiosqlite,
}


@pytest.mark.parametrize("name", OPERATION_NAMES)
async def test_an_operation_is_one_statement_and_nothing_else(
    store: SQLSessionStore, url: URL, name: str
) -> None:
    """On its usual path and an engine of the store's: no BEGIN, COMMIT or ROLLBACK."""
    session_id = SessionId.generate()
    if name != "create":
        await store.create(session_id, record(user=1))
    async with SQLSessionStore(url, engine_options={"pool_size": 1}) as one:
        executed = executed_on(one.engine)
        # The drivers ask for types and prepare the statement when they first meet it.
        another_id = SessionId.generate()
        if name != "create":
            await store.create(another_id, record())
        await call_named(name, another_id)(one)

        async def operate() -> None:
            executed.clear()
            await call_named(name, session_id)(one)
            assert len(executed) == 1

        sent = await sent_through(one.engine, operate)

    assert len(sent) == 1, sent


async def test_the_observation_sees_transactions(host_engine: AsyncEngine) -> None:
    """With SQLAlchemy's defaults there are more: what the test above counts can be counted."""

    async def write() -> None:
        async with host_engine.begin() as connection:
            await connection.execute(text("DELETE FROM sessionstore_sessions WHERE deadline < 0"))

    sent = await sent_through(host_engine, write)

    assert len(sent) >= 2, sent


# Construction and closing


async def test_a_constructor_does_no_io(url: URL) -> None:
    """Not even to a host that does not exist; the first operation does."""
    host = url.host and "host.invalid"
    nowhere = url.set(host=host, database="no/such/folder/or/database")

    threads = set(threading.enumerate())

    store = SQLSessionStore(nowhere)

    with fails(LoadError, DatabaseError):
        await store.load(SessionId.generate())
    await store.aclose()
    for thread in set(threading.enumerate()) - threads:
        if "_connection_worker_thread" in thread.name:  # aiosqlite's end a moment later
            await asyncio.to_thread(thread.join, 5)


async def test_a_given_engine_is_shared_and_left_alone(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Neither disposed nor listened to: its pool is the same, with the same connection in it."""
    before = listeners(host_engine)
    pool = host_engine.pool
    async with host_engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection

    async with SQLSessionStore(host_engine) as shared:
        assert shared.engine is host_engine
        await shared.create(SessionId.generate(), record())
        await shared.delete_expired()
    await shared.aclose()

    assert listeners(host_engine) == before
    assert host_engine.pool is pool
    async with host_engine.connect() as connection:
        assert (await connection.get_raw_connection()).driver_connection is driver
    assert await count_rows(store.engine) == 1


def listeners(engine: AsyncEngine) -> dict[str, int]:
    """Return how many listen to each event of an engine, its pool and its dialect."""
    sync_engine = engine.sync_engine
    counts = {}
    for target in (sync_engine, sync_engine.pool, sync_engine.dialect):
        dispatch: Any = target.dispatch
        for name in dispatch._event_names:
            counts[f"{type(target).__name__}.{name}"] = len(list(getattr(dispatch, name)))
    return counts


async def test_closing_can_be_repeated(url: URL) -> None:
    """Once by ``async with`` and as often as anyone likes, with nothing checked out or in."""
    async with SQLSessionStore(url) as store:
        await store.load(SessionId.generate())

    await store.aclose()
    await store.aclose()

    assert store.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


async def test_a_failing_block_closes_the_store(url: URL) -> None:
    """And the failure passes."""
    store = SQLSessionStore(url)

    async def fail() -> None:
        async with store:
            await store.load(SessionId.generate())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert store.engine.pool.checkedin() == 0  # type: ignore[attr-defined]


def test_a_store_without_a_pool_works_in_several_event_loops(url: URL) -> None:
    """One after another, as test clients need it."""
    store = SQLSessionStore(url, engine_options={"poolclass": NullPool})
    session_id = SessionId.generate()

    asyncio.run(store.create(session_id, record(user=1)))
    for number in range(3):
        asyncio.run(store.update(session_id, record(user=number)))
        loaded = asyncio.run(store.load(session_id))
        assert loaded is not None
        assert loaded.state == {"user": number}
    asyncio.run(store.delete(session_id))


async def test_stores_are_backends(store: SQLSessionStore, host_engine: AsyncEngine) -> None:
    """At run time too, and bound ones as well."""
    assert isinstance(store, SessionStorageBackend)
    async with host_engine.connect() as connection:
        assert isinstance(store.bind(connection), SessionStorageBackend)
    assert not isinstance(host_engine, SessionStorageBackend)


# Names


@pytest.mark.parametrize("table", ODD_TABLES)
async def test_any_name_of_a_table_works(url: URL, table: str) -> None:
    """A name is data, in every operation."""
    async with SQLSessionStore(url, table=table) as store:
        sessions = session_table(table)
        async with store.engine.begin() as connection:
            await connection.run_sync(sessions.create)
        try:
            await use_everything(store)
        finally:
            async with store.engine.begin() as connection:
                await connection.run_sync(sessions.drop)


@pytest.fixture
async def schema(url: URL) -> AsyncIterator[str]:
    """A schema with an odd name: a database on MySQL, a file on SQLite."""
    if url.get_backend_name() == "sqlite":
        yield "main"
        return
    name = 'My "odd" %s `schema`'
    engine = create_async_engine(url)
    quoted = engine.dialect.identifier_preparer.quote_identifier(name)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"CREATE SCHEMA {quoted}")
    yield name
    cascade = " CASCADE" if url.get_backend_name() == "postgresql" else ""
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP SCHEMA {quoted}{cascade}")
    await engine.dispose()


async def test_a_schema_of_any_name_works(url: URL, schema: str) -> None:
    """The table is found in it, and not in the connection's own."""
    async with SQLSessionStore(url, table="in a schema", schema=schema) as store:
        sessions = session_table("in a schema", schema=schema)
        async with store.engine.begin() as connection:
            await connection.run_sync(sessions.create)
        try:
            await use_everything(store)
        finally:
            async with store.engine.begin() as connection:
                await connection.run_sync(sessions.drop)


async def use_everything(store: SQLSessionStore) -> None:
    """Use every statement of a store on an empty table."""
    first, second, third = (SessionId.generate() for _ in range(3))
    await store.create(first, record(AT_ONCE))
    await store.create(first, record(user=1))
    with fails(CreateError, DuplicateIdError):
        await store.create(first, record())
    await store.update(first, record(user=2))
    await store.update_ttl(first, HOUR)
    await store.create(second, record(AT_ONCE))
    await store.change_id(first, second)
    await store.create(third, record())
    with fails(ChangeIdError, DuplicateIdError):
        await store.change_id(second, third)
    loaded = await store.load(second)
    assert loaded is not None
    assert loaded.state == {"user": 2}
    await store.delete(second)
    await store.update_ttl(third, AT_ONCE)
    assert await store.delete_expired() == 1
    await store.create(third, record(AT_ONCE))
    assert await store.count_expired() == 1
    assert await store.delete_expired_exclusively(1) == 1
    await use_batches(store)


async def use_batches(store: SQLSessionStore) -> None:
    """Use every statement for many sessions: one that failed would be made again call by call."""
    executed = executed_on(store.engine)
    ids = [SessionId.generate() for _ in range(20)]
    for call in (
        lambda each: store.create(each, record(id=each.value)),
        lambda each: store.update(each, record(again=each.value)),
        lambda each: store.update_ttl(each, HOUR),
    ):
        await asyncio.gather(*map(call, ids))
    loaded = await asyncio.gather(*map(store.load, ids))
    assert [each and each.state for each in loaded] == [{"again": each.value} for each in ids]
    await asyncio.gather(*map(store.delete, ids))
    assert len(executed) <= 5 * 3


# Transactions of the caller's


@pytest.fixture
async def logins(host_engine: AsyncEngine) -> AsyncIterator[str]:
    """A table of the host's."""
    async with host_engine.begin() as connection:
        await connection.execute(text("CREATE TABLE logins (name VARCHAR(20))"))
    yield "logins"
    async with host_engine.begin() as connection:
        await connection.execute(text("DROP TABLE logins"))


async def count_logins(engine: AsyncEngine) -> int:
    """Return how many rows the host's table has."""
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM logins"))).scalar_one())


@pytest.mark.usefixtures("logins")
async def test_a_login_and_a_rotation_commit_together(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Both changes become visible at the same time."""
    old_id, new_id = SessionId.generate(), SessionId.generate()
    await store.create(old_id, record(user=None))

    async with host_engine.begin() as connection:
        bound = store.bind(connection)
        await connection.execute(text("INSERT INTO logins VALUES ('ada')"))
        await bound.change_id(old_id, new_id)
        await bound.update(new_id, record(user="ada"))

    assert await count_logins(host_engine) == 1
    assert await store.load(old_id) is None
    loaded = await store.load(new_id)
    assert loaded is not None
    assert loaded.state == {"user": "ada"}


@pytest.mark.usefixtures("logins")
async def test_a_login_and_a_rotation_roll_back_together(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """The session is as it was, and so is the host's table."""
    old_id, new_id, other_id = (SessionId.generate() for _ in range(3))
    await store.create(old_id, record(user=None))

    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        await connection.execute(text("INSERT INTO logins VALUES ('ada')"))
        await bound.change_id(old_id, new_id)
        await bound.create(other_id, record())
        await connection.rollback()

    assert await count_logins(host_engine) == 0
    loaded = await store.load(old_id)
    assert loaded is not None
    assert loaded.state == {"user": None}
    assert await store.load(new_id) is None
    assert await store.load(other_id) is None


@pytest.mark.usefixtures("logins")
async def test_a_refusal_leaves_the_transaction_usable(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """What came before it and what comes after it commit."""
    first, second, gone = (SessionId.generate() for _ in range(3))
    await store.create(first, record(which="first"))
    await store.create(second, record(which="second"))

    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        await connection.execute(text("INSERT INTO logins VALUES ('before')"))
        with fails(CreateError, DuplicateIdError):
            await bound.create(first, record())
        with fails(ChangeIdError, DuplicateIdError):
            await bound.change_id(first, second)
        with fails(ChangeIdError, DuplicateIdError):
            await bound.change_id(first, first)
        with fails(UpdateError, UnknownIdError):
            await bound.update(gone, record())
        await connection.execute(text("INSERT INTO logins VALUES ('after')"))
        await bound.delete(second)
        await connection.commit()

    assert await count_logins(host_engine) == 2
    loaded = await store.load(first)
    assert loaded is not None
    assert loaded.state == {"which": "first"}
    assert await store.load(second) is None


async def test_a_connection_in_autocommit_has_no_transaction_to_be_part_of(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """The connection is rejected before anything is done."""
    session_id = SessionId.generate()
    await store.create(session_id, record())

    engines = (store.engine, host_engine.execution_options(isolation_level="AUTOCOMMIT"))
    for engine in engines:
        async with engine.begin() as connection:
            with pytest.raises(ValueError, match="AUTOCOMMIT"):
                await store.bind(connection).delete(session_id)

    assert await store.load(session_id) is not None


async def test_bind_takes_an_async_connection(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Neither an engine, nor the synchronous connection inside."""
    wrong: Any
    for wrong in (None, host_engine, host_engine.sync_engine, "connection"):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            store.bind(wrong)
    async with host_engine.connect() as connection:
        wrong = connection.sync_connection
        with pytest.raises(TypeError, match="Connection"):
            store.bind(wrong)


async def test_bind_takes_a_connection_to_the_same_kind_of_database(store: SQLSessionStore) -> None:
    """Another kind would be sent statements that it does not understand."""
    own = store.engine.dialect.name
    other = "postgresql+asyncpg://" if own == "sqlite" else "sqlite+aiosqlite://"
    connection = AsyncConnection(create_async_engine(other))

    with pytest.raises(ValueError, match="another kind"):
        store.bind(connection)


# Failures


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("create", CreateError),
        ("update", UpdateError),
        ("update_ttl", UpdateTtlError),
        ("load", LoadError),
        ("delete", DeleteError),
        ("change_id", ChangeIdError),
        ("delete_expired", DeleteExpiredError),
    ],
)
@pytest.mark.parametrize("bound", [False, True])
async def test_a_missing_table_says_which_command_to_run(
    url: URL, host_engine: AsyncEngine, name: str, operation: type[Any], bound: bool
) -> None:
    """Trying again does not help, and nothing was changed."""
    session_id = SessionId.generate()
    async with (
        SQLSessionStore(url, table="no such table") as store,
        host_engine.connect() as connection,
    ):
        backend = store.bind(connection) if bound else store
        with fails(operation, DatabaseError) as caught:
            await call_named(name, session_id)(backend)

    error: Any = caught.value
    assert "alembic upgrade head" in str(error)
    assert "no such table" in str(error)
    assert (error.transient, error.outcome_unknown) == (False, False)
    assert error.__cause__ is not None
    assert key_of(session_id).hex() not in repr(error) + repr(error.__cause__)


@pytest.mark.parametrize("data", [b"", b"not JSON", b"[]", b"null", b"\xff\x00", b'{"a": NaN}'])
async def test_bytes_that_cannot_be_decoded_are_told_and_kept(
    store: SQLSessionStore, data: bytes
) -> None:
    """Never ``None``; the row is left for someone to look at, or to update."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    await write_raw(store.engine, session_id, state=data)

    for _ in range(2):
        with fails(LoadError, DeserializationError):
            await store.load(session_id)

    assert await count_rows(store.engine) == 1
    await store.update(session_id, record(mended=True))
    assert await store.load(session_id) is not None


class Reversed:
    """A codec of a host's: JSON, backwards."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Reject a state that asks for it."""
        self.calls.append("encode")
        if "rejected" in state:
            raise SerializationError("rejected")
        return json.dumps(state).encode()[::-1]

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Reject bytes that are not reversed."""
        self.calls.append("decode")
        if not data.startswith(b"}"):
            raise DeserializationError("not backwards")
        return dict(json.loads(data[::-1]))


async def test_a_codec_of_the_hosts_is_used(store: SQLSessionStore, url: URL) -> None:
    """For every state that goes in or comes out, and its refusals are attributed."""
    codec, session_id = Reversed(), SessionId.generate()
    async with SQLSessionStore(url, codec=codec) as coded:
        await coded.create(session_id, record(user=1))
        await coded.update(session_id, record(user=2))
        loaded = await coded.load(session_id)
        assert loaded is not None
        assert loaded.state == {"user": 2}
        assert codec.calls == ["encode", "encode", "decode"]
        with fails(CreateError, SerializationError):
            await coded.create(SessionId.generate(), record(rejected=True))
        with fails(UpdateError, SerializationError):
            await coded.update(session_id, record(rejected=True))
        with fails(LoadError, DeserializationError):
            await store.load(session_id)  # whose own codec reads forwards
        await write_raw(store.engine, session_id, state=b"{}")
        with fails(LoadError, DeserializationError):
            await coded.load(session_id)


@pytest.mark.parametrize("deadline", [2**62, 2**63 - 1])
async def test_a_deadline_written_by_hand_may_be_far_off(
    store: SQLSessionStore, deadline: int
) -> None:
    """The session loads, with the longest life that a record can have."""
    session_id = SessionId.generate()
    await store.create(session_id, record(user=1))
    await write_raw(store.engine, session_id, deadline=deadline)

    loaded = await store.load(session_id)

    assert loaded is not None
    assert loaded.ttl == timedelta(days=36_525)


# What is in the table

BY_HAND = {
    "postgresql": "SELECT to_timestamp(deadline / 1e6) BETWEEN now() AND now() + interval '1 hour',"
    " convert_from(state, 'UTF8')::jsonb ->> 'name' FROM sessionstore_sessions",
    "mysql": "SELECT FROM_UNIXTIME(deadline / 1000000) BETWEEN NOW() AND NOW() + INTERVAL 1 HOUR,"
    " JSON_UNQUOTE(JSON_EXTRACT(CONVERT(state USING utf8mb4), '$.name'))"
    " FROM sessionstore_sessions",
    "sqlite": "SELECT datetime(deadline / 1000000, 'unixepoch')"
    " BETWEEN datetime('now') AND datetime('now', '+1 hour'),"
    " json_extract(CAST(state AS TEXT), '$.name') FROM sessionstore_sessions",
}
BY_HAND["mariadb"] = BY_HAND["mysql"]


async def test_a_row_can_be_read_by_hand(store: SQLSessionStore) -> None:
    """With the functions that the documentation names."""
    await store.create(SessionId.generate(), record(timedelta(minutes=30), name="Ада 😀"))

    async with store.engine.connect() as connection:
        rows = await connection.exec_driver_sql(BY_HAND[store.engine.dialect.name])
        row: Any = rows.one()
        in_range, name = row

    assert in_range
    assert name == "Ада 😀"


async def test_no_row_holds_an_id(store: SQLSessionStore) -> None:
    """The key is the 32 bytes of SHA-256, and the text is in no column."""
    first, second = SessionId("visible-first-id"), SessionId("visible-second-id")
    await store.create(first, record(user=1))
    await store.change_id(first, second)
    await store.update(second, record(user=2))

    async with store.engine.connect() as connection:
        (row,) = (await connection.execute(select(SESSIONS))).all()

    assert bytes(row.id) == hashlib.sha256(b"visible-second-id").digest()
    assert not [value for value in row if b"visible" in bytes(str(value), "utf-8")]
    assert bytes(row.state) == b'{"user":2}'


# Purges


async def test_a_large_batch_is_kept_to(store: SQLSessionStore) -> None:
    """In several statements where one would be too large: 2,500 are 2,500, the oldest."""
    await add_expired(store.engine, 2_600)
    live = SessionId.generate()
    await store.create(live, record())

    assert await store.delete_expired(batch_size=2_500) == 2_500

    async with store.engine.connect() as connection:
        left = await connection.scalars(select(SESSIONS.c.deadline).order_by(SESSIONS.c.deadline))
        deadlines = list(left)
    assert deadlines[:100] == list(range(2_500, 2_600))
    assert len(deadlines) == 101
    assert await store.load(live) is not None


async def test_a_purge_without_a_bound_removes_everything(store: SQLSessionStore) -> None:
    """Batch after batch, to the last expired row and no further."""
    await add_expired(store.engine, 2_600)
    live = SessionId.generate()
    await store.create(live, record())

    assert await store.delete_expired() == 2_600

    assert await count_rows(store.engine) == 1
    assert await store.load(live) is not None


async def test_calls_on_one_shared_connection_take_turns() -> None:
    """On an engine with one shared connection, the end of a call undoes no other write."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    await migrate.upgrade(engine)
    store = SQLSessionStore(engine)
    ids = [SessionId.generate() for _ in range(100)]

    async def write(session_id: SessionId) -> None:
        await store.create(session_id, record())
        with pytest.raises(UnknownIdError):
            await store.update_ttl(SessionId.generate(), HOUR)

    await asyncio.gather(*(write(session_id) for session_id in ids))

    assert None not in await asyncio.gather(*(store.load(session_id) for session_id in ids))
    await engine.dispose()


async def test_a_purge_that_is_tried_again_keeps_the_count(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection lost in the third of several purges forgets neither of the first two."""
    purger: Any = store._purger._purger
    monkeypatch.setattr(type(purger), "largest_step", 4)
    for _ in range(20):
        await store.create(SessionId.generate(), record(AT_ONCE))
    purge = type(purger.begin())
    step = purge.step
    calls = 0

    def lost_once(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        done = step(*arguments, **options)
        if calls == 3:
            raise ConnectionResetError  # and its count is lost
        return done

    monkeypatch.setattr(purge, "step", lost_once)
    removed = await store.delete_expired(batch_size=12)
    monkeypatch.undo()

    assert removed == 12
    assert await store.delete_expired() == 20 - 12 - 4
