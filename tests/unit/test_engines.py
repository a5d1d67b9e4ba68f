"""From a URL to an engine: which driver, and how it is tuned."""

from __future__ import annotations

import gc
import sqlite3
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.engines import create_engine, dialect_of, extra_connect_s
from sessionstore_sql.sql.urls import normalise_url

SERVERS = [
    "postgresql+asyncpg",
    "postgresql+psycopg",
    "mysql+aiomysql",
    "mysql+asyncmy",
    "mariadb+aiomysql",
    "mariadb+asyncmy",
]


def connect_args(engine: AsyncEngine) -> dict[str, Any]:
    """Return what a new connection of ``engine`` is made with, without connecting."""
    received: dict[str, Any] = {}

    def connect(*_: Any, **arguments: Any) -> Any:
        received.update(arguments)
        raise InterruptedError

    engine.dialect.connect = connect  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        engine.sync_engine.raw_connection()
    return received


@pytest.mark.parametrize("drivername", ["postgresql+asyncpg", "postgresql+psycopg"])
@pytest.mark.parametrize(
    ("given", "hosts", "ports", "wanted"),
    [
        ("u:p@one:1,two:2/db", ["one", "two"], [1, 2], "read-write"),
        ("u:p@one,two:2,three/db", ["one", "two", "three"], [5432, 2, 5432], "read-write"),
        ("u:p@one:1,two:2/db?target_session_attrs=any", ["one", "two"], [1, 2], "any"),
        ("u:p@/db?host=one:1&host=two:2", ["one", "two"], [1, 2], "read-write"),
    ],
)
def test_several_hosts_are_tried_for_one_that_writes(
    drivername: str, given: str, hosts: list[str], ports: list[int], wanted: str
) -> None:
    """As libpq's URLs name them and as SQLAlchemy's do; what is asked of them can be changed."""
    received = connect_args(create_engine(f"{drivername}://{given}"))

    found = [received[name] for name in ("host", "port")]
    if drivername.endswith("psycopg"):
        found = [value.split(",") for value in found]
    assert found == [hosts, [type(found[1][0])(port) for port in ports]]
    assert received["target_session_attrs"] == wanted
    assert received["user"] == "u"
    assert received["password"] == "p"
    assert "db" in received.values()


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("postgresql://host/db?plugin=secret", {}, "plugin"),
        ("sqlite://", {"plugins": ["secret"]}, "plugin"),
        ("sqlite://", {"poolclass": QueuePool}, "QueuePool"),
        ("sqlite://", {"poolclass": "QueuePool"}, "cannot use the engine_options: AttributeError"),
        ("sqlite://", {"nonsense": "secret"}, "nonsense"),
        ("sqlite://", {"url": "sqlite+aiosqlite:///secret"}, "the URL is not one"),
    ],
)
def test_options_that_cannot_be_are_value_errors(
    url: str, options: dict[str, Any], message: str
) -> None:
    """Not SQLAlchemy's, which few callers would think of."""
    with pytest.raises(ValueError, match=message) as caught:
        SQLSessionStore(url, engine_options=options)

    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("options", [1, "pool_size", [("pool_size", 1)], set()])
def test_engine_options_are_a_mapping(options: Any) -> None:
    """Anything else is a type error naming the type."""
    with pytest.raises(TypeError, match=f"a mapping, not {type(options).__name__}"):
        SQLSessionStore("sqlite://", engine_options=options)


def test_a_url_can_be_read_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script for another machine needs none, and what is missing is told by what needs it."""
    monkeypatch.setitem(sys.modules, "pymysql.constants", None)

    assert normalise_url("mysql://host/db").drivername == "mysql+aiomysql"


@pytest.mark.parametrize("drivername", [*SERVERS, "sqlite+aiosqlite"])
def test_every_engine_is_tuned(drivername: str, tmp_path: Path) -> None:
    """Autocommit without round trips, no parameters in errors, and a pool that is bounded."""
    url = URL.create(drivername, database=str(tmp_path / "file.db"))

    engine = create_engine(url)

    pool = engine.sync_engine.pool
    assert engine.dialect._on_connect_isolation_level == "AUTOCOMMIT"
    assert engine.dialect.skip_autocommit_rollback
    assert engine.sync_engine.hide_parameters
    assert isinstance(pool, AsyncAdaptedQueuePool)
    assert pool._pool.use_lifo
    assert (pool.size(), pool._max_overflow, pool._timeout) == (5, 0, 10)
    assert pool._recycle == 1_800
    assert pool._pre_ping is False
    assert engine.url.drivername == drivername


def test_asyncpg_has_timeouts_on_every_wait() -> None:
    """The server's, and the client's longer one for a server that does not answer."""
    arguments = connect_args(create_engine("postgresql://host/db"))

    assert arguments["timeout"] == 10
    assert arguments["server_settings"] == {
        "application_name": "sessionstore_sql",
        "lock_timeout": "3000",
        "statement_timeout": "10000",
    }
    assert arguments["command_timeout"] == 12


def test_psycopg_has_timeouts_on_every_wait() -> None:
    """In the options of the connection."""
    arguments = connect_args(create_engine("postgresql+psycopg://host/db"))

    assert arguments["connect_timeout"] == 10
    assert arguments["options"] == "-c lock_timeout=3000 -c statement_timeout=10000"


@pytest.mark.parametrize("between", ["%20", "&options="])
def test_psycopgs_options_of_the_url_are_kept(between: str) -> None:
    """They come after ours, so the server takes theirs where both set the same."""
    url = (
        f"postgresql+psycopg://host/db?options=-c%20lock_timeout%3D7{between}-c%20search_path%3Down"
    )

    arguments = connect_args(create_engine(url))

    assert arguments["options"] == (
        "-c lock_timeout=3000 -c statement_timeout=10000 -c lock_timeout=7 -c search_path=own"
    )


@pytest.mark.parametrize("drivername", SERVERS[2:])
def test_mysql_drivers_have_a_connect_timeout(drivername: str) -> None:
    """The other timeouts are set in the session of each new connection."""
    arguments = connect_args(create_engine(f"{drivername}://host/db"))

    assert arguments["connect_timeout"] == 10


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("postgresql://host/db?timeout=3", "timeout", 3),
        ("postgresql://host/db?connect_timeout=0.5", "timeout", 0.5),
        ("postgresql://host/db?command_timeout=4", "command_timeout", 4),
        ("postgresql+psycopg://host/db?connect_timeout=3", "connect_timeout", 3),
        ("mysql://host/db?connect_timeout=3", "connect_timeout", 3),
        ("mysql+asyncmy://host/db?connect_timeout=3", "connect_timeout", 3),
        ("sqlite:///file.db?timeout=3", "timeout", 3.0),
    ],
)
def test_the_urls_query_goes_before_our_options(url: str, name: str, value: Any) -> None:
    """What the operator wrote into the URL is what the driver gets, as the driver likes it."""
    assert connect_args(create_engine(url))[name] == value


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({"server_settings": {"application_name": "shop"}}, {"application_name": "shop"}),
        ({"server_settings": {"lock_timeout": "7"}}, {"lock_timeout": "7"}),
        ({"server_settings": {}}, {}),
        ({"ssl": False}, {}),
    ],
)
def test_settings_of_asyncpg_are_merged_one_by_one(
    given: dict[str, Any], settings: dict[str, str]
) -> None:
    """Setting one of them keeps the others; setting ours changes it."""
    ours = {
        "application_name": "sessionstore_sql",
        "lock_timeout": "3000",
        "statement_timeout": "10000",
    }

    arguments = connect_args(create_engine("postgresql://host/db", {"connect_args": given}))

    assert arguments["server_settings"] == {**ours, **settings}


@pytest.mark.parametrize("option", ["-c lock_timeout=7", "-clock_timeout=7", "--lock-timeout=7"])
@pytest.mark.parametrize("in_url", [True, False])
def test_options_of_asyncpg_replace_our_settings(option: str, in_url: bool) -> None:
    """The server takes settings over options, so the store must not send a setting beside one."""
    query = f"?options={option.replace('=', '%3D').replace(' ', '%20')}" if in_url else ""
    given = {} if in_url else {"connect_args": {"server_settings": {"options": option}}}

    arguments = connect_args(create_engine(f"postgresql://host/db{query}", given))

    assert arguments["server_settings"] == {
        "application_name": "sessionstore_sql",
        "statement_timeout": "10000",
        "options": option,
    }


def test_options_of_psycopg_are_merged() -> None:
    """Those of the URL come after ours, and those of the code last: the server takes the last."""
    url = "postgresql+psycopg://host/db?options=-c%20search_path%3Durl"
    options = {"connect_args": {"options": "-c search_path=code", "application_name": "shop"}}

    arguments = connect_args(create_engine(url, options))

    assert arguments["options"] == (
        "-c lock_timeout=3000 -c statement_timeout=10000 -c search_path=url -c search_path=code"
    )
    assert arguments["application_name"] == "shop"


@pytest.mark.parametrize(
    ("drivername", "name"),
    [
        ("postgresql+psycopg", "fallback_application_name"),
        *((each, "program_name") for each in SERVERS[2:]),
    ],
)
def test_a_connection_has_a_name(drivername: str, name: str) -> None:
    """The database shows it for each connection; a URL can give another one."""
    named = connect_args(create_engine(f"{drivername}://host/db?application_name=shop"))

    assert connect_args(create_engine(f"{drivername}://host/db"))[name] == "sessionstore_sql"
    assert "shop" in {named.get("application_name"), named.get("program_name")}


@pytest.mark.parametrize("drivername", ["postgresql+asyncpg", "postgresql+psycopg"])
@pytest.mark.parametrize(
    ("query", "hosts", "timeout"),
    [("", 1, 10), ("", 2, 5), ("", 5, 2), ("", 20, 2), ("?connect_timeout=7", 3, 7)],
)
def test_hosts_share_the_time_to_connect(
    drivername: str, query: str, hosts: int, timeout: float
) -> None:
    """A silent host leaves time for the next; a timeout in the URL is for each of them."""
    names = ",".join(f"host{number}" for number in range(hosts))

    engine = create_engine(f"{drivername}://{names}/db{query}")

    arguments = connect_args(engine)
    assert arguments.get("timeout", arguments.get("connect_timeout")) == timeout
    assert extra_connect_s(engine) == max(0, hosts * timeout - 10)


@pytest.mark.parametrize("drivername", ["postgresql+asyncpg", "postgresql+psycopg"])
@pytest.mark.parametrize("mode", ["off", "set"])
def test_timeouts_of_the_server_can_be_left_out_of_the_startup(drivername: str, mode: str) -> None:
    """By an option of the URL or of the engine: poolers reject them."""
    url = f"{drivername}://host/db"
    for engine in (
        create_engine(f"{url}?server_timeouts={mode}"),
        create_engine(url, {"server_timeouts": mode}),
        create_engine(f"{url}?server_timeouts=startup", {"server_timeouts": mode}),
    ):
        arguments = connect_args(engine)

        assert "timeout" not in str(arguments.get("server_settings", {}))
        assert "options" not in arguments


@pytest.mark.parametrize(
    ("url", "mode", "error"),
    [
        ("postgresql://host/db", "sometimes", ValueError),
        ("postgresql://host/db", 1, TypeError),
        ("mysql://host/db", "off", ValueError),
        ("sqlite:///file.db", "off", ValueError),
    ],
)
def test_server_timeouts_are_an_option_of_postgresql(
    url: str, mode: Any, error: type[Exception]
) -> None:
    """The other databases get theirs in another way."""
    with pytest.raises(error, match="server_timeouts"):
        SQLSessionStore(url, engine_options={"server_timeouts": mode})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("prepare_threshold=7", {"prepare_threshold": 7}),
        ("prepare_threshold=off", {"prepare_threshold": None}),
        ("pgbouncer=true", {"prepare_threshold": None}),
        ("pgbouncer=true&prepare_threshold=0", {"prepare_threshold": 0}),
        ("pgbouncer=false", {}),
    ],
)
def test_psycopg_can_be_kept_from_preparing_statements(
    query: str, expected: dict[str, Any]
) -> None:
    """Poolers may send the preparation and the execution to different connections."""
    arguments = connect_args(create_engine(f"postgresql+psycopg://host/db?{query}"))

    names = ("prepare_threshold", "pgbouncer")
    assert {name: arguments[name] for name in names if name in arguments} == expected


@pytest.mark.parametrize("options", [1, "ssl", [("ssl", 1)], set()])
def test_connect_args_are_a_mapping(options: Any) -> None:
    """Anything else is a type error naming the type."""
    with pytest.raises(
        TypeError, match=f"connect_args are a mapping, not {type(options).__name__}"
    ):
        SQLSessionStore("sqlite://", engine_options={"connect_args": options})


def test_a_listener_for_connecting_does_not_slow_statements_down() -> None:
    """SQLAlchemy's event for passwords that expire is none of those that see statements."""
    engine = create_engine("postgresql://host/db")

    @event.listens_for(engine.sync_engine, "do_connect")
    def ignore(*_: Any) -> None:
        """Change nothing."""

    dispatch = engine.sync_engine.dispatch
    assert not dispatch.before_cursor_execute  # type: ignore[attr-defined]
    assert not engine.dialect.dispatch.do_execute  # type: ignore[attr-defined]


def test_engine_options_go_before_ours() -> None:
    """Ours that are not named stay; the arguments of the driver are merged."""
    options = {"pool_size": 2, "pool_timeout": 1, "connect_args": {"timeout": 3, "ssl": False}}

    engine = create_engine("postgresql://host/db", options)

    pool: Any = engine.sync_engine.pool
    assert (pool.size(), pool._timeout, pool._max_overflow, pool._recycle) == (2, 1, 0, 1_800)
    arguments = connect_args(engine)
    assert (arguments["timeout"], arguments["ssl"], arguments["command_timeout"]) == (3, False, 12)
    assert options["connect_args"] == {"timeout": 3, "ssl": False}


def test_engine_options_go_before_the_query() -> None:
    """Code is nearer than configuration."""
    engine = create_engine("postgresql://host/db?timeout=3", {"connect_args": {"timeout": 4}})

    assert connect_args(engine)["timeout"] == 4


def test_engine_options_can_undo_autocommit() -> None:
    """A host may want transactions; the store then commits by itself."""
    engine = create_engine("postgresql://host/db", {"isolation_level": "SERIALIZABLE"})

    assert engine.dialect._on_connect_isolation_level == "SERIALIZABLE"


@pytest.mark.parametrize("url", ["postgresql://host/db", "mysql://host/db", "sqlite:///file.db"])
def test_another_pool_class_takes_none_of_our_pools_options(url: str) -> None:
    """``NullPool`` has neither size nor timeout, and would reject them."""
    store = SQLSessionStore(url, engine_options={"poolclass": NullPool})

    assert isinstance(store.engine.sync_engine.pool, NullPool)
    assert store.engine.dialect._on_connect_isolation_level == "AUTOCOMMIT"


def test_engine_options_go_with_a_url() -> None:
    """An engine is made already; options for it are a mistake."""
    engine = create_async_engine("postgresql+asyncpg://host/db")

    with pytest.raises(ValueError, match="engine_options"):
        SQLSessionStore(engine, engine_options={})


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql://host/db", "asyncpg", "asyncpg"),
        ("postgresql+psycopg://host/db", "psycopg", "psycopg"),
        ("mysql://host/db", "aiomysql", "mysql"),
        ("mariadb://host/db", "aiomysql", "mysql"),
        ("mysql+asyncmy://host/db", "asyncmy", "asyncmy"),
        ("sqlite:///file.db", "aiosqlite", "sqlite"),
    ],
)
def test_a_missing_driver_is_told_with_its_extra(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the command that installs it."""
    missing = without(module)
    monkeypatch.setattr("builtins.__import__", missing)

    with pytest.raises(ModuleNotFoundError) as caught:
        SQLSessionStore(url)

    assert str(caught.value) == (
        f"{module} is not installed: pip install 'sessionstore-sql[{extra}]'"
    )
    assert caught.value.name == module


def without(module: str) -> Callable[..., Any]:
    """Return an ``__import__`` that does not find ``module``."""
    builtin = __import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return builtin(name, *arguments, **options)

    return missing


def test_the_dialect_of_a_given_engine_is_found() -> None:
    """It does not matter how the engine was made. Other databases are rejected."""
    engine = create_async_engine("postgresql+psycopg://host/db")

    assert set(dialect_of(engine).drivers) == {"asyncpg", "psycopg"}
    engine.dialect.name = "oracle"
    with pytest.raises(ValueError, match="'oracle' is not supported"):
        SQLSessionStore(engine)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite://",
    ],
)
def test_a_database_in_memory_is_one_that_survives(url: str) -> None:
    """It is rewritten to the memdb VFS, under a name of its own each time (hazard S2)."""
    first, second = create_engine(url), create_engine(url)

    for engine in (first, second):
        assert engine.url.query == {"vfs": "memdb", "uri": "true"}
        assert isinstance(engine.sync_engine.pool, AsyncAdaptedQueuePool)
    assert first.url.database != second.url.database


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:name?mode=memory&cache=shared&uri=true",
        "sqlite:///file:/name?vfs=memdb&uri=true",
    ],
)
async def test_a_shared_database_in_memory_is_the_one_that_others_see(url: str) -> None:
    """It keeps its name, and outlives the store's connection."""
    engine = create_engine(url)
    others = create_async_engine(normalise_url(url), poolclass=NullPool)

    async with engine.connect() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
    async with engine.connect() as connection:
        await connection.invalidate()
    async with others.connect() as connection:
        await connection.execute(text("SELECT * FROM t"))

    assert engine.sync_engine.pool.size() == 1  # type: ignore[attr-defined]
    await others.dispose()
    await engine.dispose()


@pytest.mark.parametrize("url", ["sqlite:///file.db", "sqlite:///memory", "sqlite:////tmp/a.db"])
def test_a_file_is_left_where_it_is(url: str) -> None:
    """Only what says that it is in memory is rewritten."""
    assert create_engine(url).url.database == make_url(url).database


@pytest.mark.anyio
async def test_stores_in_memory_are_separate() -> None:
    """What one holds the other has not, and each survives the loss of its connections."""
    async with SQLSessionStore("sqlite://") as first, SQLSessionStore("sqlite://") as second:
        async with first.engine.begin() as connection:
            await connection.run_sync(session_table().create)
        async with first.engine.connect() as connection:
            await connection.invalidate()

        assert await tables(first.engine) == ["sessionstore_sessions"]
        assert await tables(second.engine) == []


@pytest.mark.anyio
async def test_closing_lets_go_of_a_database_in_memory() -> None:
    """The connection that keeps it is closed: nothing warns, and nothing is left."""
    store = SQLSessionStore("sqlite://")
    async with store.engine.begin() as connection:
        await connection.run_sync(session_table().create)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await store.aclose()
        await store.aclose()
        uri = f"{store.engine.url.database}?vfs=memdb"
        del store
        gc.collect()

    again = sqlite3.connect(uri, uri=True)
    try:
        assert again.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    finally:
        again.close()


@pytest.mark.anyio
async def test_a_file_is_in_wal_mode(tmp_path: Path) -> None:
    """Readers do not wait for the writer, and a writer waits for the other one."""
    async with (
        SQLSessionStore(f"sqlite:///{tmp_path / 'sessions.db'}") as store,
        store.engine.connect() as connection,
    ):
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar_one() == 5_000


@pytest.mark.anyio
async def test_a_statement_on_sqlite_is_committed_at_once(tmp_path: Path) -> None:
    """With every Python: another connection sees it while ours is still checked out (A1)."""
    path = tmp_path / "sessions.db"
    async with (
        SQLSessionStore(f"sqlite:///{path}") as store,
        store.engine.connect() as connection,
    ):
        await connection.execute(text("CREATE TABLE t (a)"))
        await connection.execute(text("INSERT INTO t VALUES (1)"))
        other = sqlite3.connect(path)
        try:
            assert other.execute("SELECT a FROM t").fetchall() == [(1,)]
        finally:
            other.close()


async def tables(engine: AsyncEngine) -> list[str]:
    """Return the names of the tables there are."""
    async with engine.connect() as connection:
        names = await connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'table'")
        )
        return [name for (name,) in names]


@pytest.mark.parametrize(
    ("variables", "waits"),
    [
        ({"version": "10.11.19-MariaDB-log", "wsrep_on": "ON"}, True),
        ({"version": "8.0.36", "wsrep_on": "ON"}, True),
        ({"version": "10.11.19-MariaDB-log", "wsrep_on": "OFF"}, False),
        ({"version": "9.7.4"}, False),
    ],
)
def test_a_galera_node_answers_with_what_others_committed(
    variables: dict[str, str], waits: bool
) -> None:
    """Of MariaDB's and of Percona's clusters; other servers don't know the setting."""
    engine = create_engine("mariadb://host/db")
    connection = MagicMock()
    cursor = connection.cursor.return_value
    cursor.fetchall.return_value = list(variables.items())

    *_, prepare = engine.pool.dispatch.connect  # those before it are SQLAlchemy's
    prepare(connection, None)

    told = [call.args[0] for call in cursor.execute.call_args_list]
    assert ("SET SESSION wsrep_sync_wait = 7" in told) is waits
