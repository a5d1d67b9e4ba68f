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
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.engines import create_engine, dialect_of, normalise_url
from sessionstore_sql.schema import session_table

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


@pytest.mark.parametrize(
    ("given", "drivername"),
    [
        ("postgres://host/db", "postgresql+asyncpg"),
        ("postgresql://host/db", "postgresql+asyncpg"),
        ("mysql://host/db", "mysql+aiomysql"),
        ("mariadb://host/db", "mariadb+aiomysql"),
        ("sqlite:///file.db", "sqlite+aiosqlite"),
        ("postgres+psycopg://host/db", "postgresql+psycopg"),
        ("sqlite+aiosqlite:///file.db", "sqlite+aiosqlite"),
        *((f"{drivername}://host/db", drivername) for drivername in SERVERS),
    ],
)
def test_a_url_gets_an_async_driver(given: str, drivername: str) -> None:
    """The one it names, else ours; as text and as a URL, and nothing else is changed."""
    for url in (given, make_url(given)):
        normalised = normalise_url(url)

        assert normalised.drivername == drivername
        assert normalised == make_url(given).set(drivername=drivername)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql+psycopg2://host/db", "psycopg2"),
        ("postgresql+pg8000://host/db", "postgresql\\+asyncpg, postgresql\\+psycopg"),
        ("mysql+pymysql://host/db", "mysql\\+aiomysql, mysql\\+asyncmy"),
        ("mariadb+mysqldb://host/db", "mariadb\\+aiomysql"),
        ("sqlite+pysqlite:///file.db", "sqlite\\+aiosqlite"),
        ("postgresql+nonsense://host/db", "nonsense"),
        ("oracle://host/db", "'oracle' is not supported"),
        ("mssql+aioodbc://host/db", "postgresql, mysql, mariadb, sqlite"),
    ],
)
def test_other_drivers_and_databases_are_refused(given: str, message: str) -> None:
    """Synchronous or unknown: a value error that names what there is."""
    with pytest.raises(ValueError, match=message):
        normalise_url(given.replace("://host", "://user:secret@host"))
    with pytest.raises(ValueError, match=message) as caught:
        SQLSessionStore(given.replace("://host", "://user:secret@host"))

    assert "secret" not in str(caught.value)


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


def test_several_hosts_of_a_url_object_share_its_port() -> None:
    """It has one port, and the hosts as text."""
    url = URL.create("postgresql", "u", "p", host="one,two", port=7, database="db")

    assert normalise_url(url).query["host"] == ("one:7", "two:7")


@pytest.mark.parametrize("given", ["u:p,q@host/db", "u:p,q/r@host:1/db", "u,v:p@host/db"])
def test_a_comma_before_the_host_is_no_second_host(given: str) -> None:
    """Names and passwords have them too."""
    assert normalise_url(f"postgresql+asyncpg://{given}") == make_url(
        f"postgresql+asyncpg://{given}"
    )


@pytest.mark.parametrize("name", ["mysql", "mariadb", "mysql+asyncmy"])
def test_several_hosts_are_refused_where_drivers_take_one(name: str) -> None:
    """With what to do about it, rather than as a host that nobody knows."""
    for hosts in ("one,two", "one:1,two:2"):
        with pytest.raises(ValueError, match="HAProxy") as caught:
            SQLSessionStore(f"{name}://u:secret@{hosts}/db")

        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "host/db",
        "postgresql://u:secret@one:1,two:port/db",
        "postgresql:/secret",
        "postgresql://u:secret@host:port/db",
        "u:secret@host",
    ],
)
def test_what_cannot_be_parsed_is_not_shown(given: str) -> None:
    """SQLAlchemy's message has the password in it, so it is neither repeated nor chained."""
    with pytest.raises(ValueError, match="cannot be parsed") as caught:
        SQLSessionStore(given)

    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "given",
    [
        "sqlite://secret/x.db",
        "sqlite://localhost/x.db?key=secret",
        "sqlite:///x.db?timeout=secret",
        "mysql://u:secret@host/db?connect_timeout=secret",
        "mysql+asyncmy://host/db?connect_timeout=secret",
        "postgresql://host/db?prepared_statement_cache_size=secret",
        "postgresql://u:secret@host/db?host=a:1&host=b,secret",
        "postgresql+psycopg://u:secret@host/db?host=a&host=b&port=1,secret",
        "postgresql://u:secret@host:65536/db",
        "postgresql://u:secret@host:99999999999999999999/db",
    ],
)
@pytest.mark.parametrize("make", [normalise_url, SQLSessionStore])
def test_what_the_driver_cannot_take_is_not_shown(given: str, make: Callable[..., Any]) -> None:
    """It is a value error at once, and the driver's own, which shows it, is not chained."""
    with pytest.raises(ValueError, match="the database URL") as caught:
        make(given)

    assert type(caught.value) is ValueError
    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


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


@pytest.mark.parametrize("given", [None, 1, b"sqlite://", Path("file.db")])
def test_anything_else_is_no_database(given: Any) -> None:
    """A type error naming the type."""
    with pytest.raises(TypeError, match=type(given).__name__):
        SQLSessionStore(given)


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
    assert arguments["server_settings"] == {"lock_timeout": "3000", "statement_timeout": "10000"}
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
        ("postgresql://host/db?timeout=3", "timeout", "3"),
        ("postgresql://host/db?command_timeout=4", "command_timeout", "4"),
        ("postgresql+psycopg://host/db?connect_timeout=3", "connect_timeout", "3"),
        ("mysql://host/db?connect_timeout=3", "connect_timeout", 3),
        ("mysql+asyncmy://host/db?connect_timeout=3", "connect_timeout", 3),
        ("sqlite:///file.db?timeout=3", "timeout", 3.0),
    ],
)
def test_the_urls_query_goes_before_our_options(url: str, name: str, value: Any) -> None:
    """What the operator wrote into the URL is what the driver gets, as the driver likes it."""
    assert connect_args(create_engine(url))[name] == value


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
    """``NullPool`` has neither size nor timeout, and would refuse them."""
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
    """Whoever made it; another database's is refused."""
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
    """It keeps its name, one connection of ours goes there, and it outlives that connection."""
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


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("host=a,b&port=1,2", ("a:1", "b:2")),
        ("host=a,b&port=1", ("a:1", "b:1")),
        ("host=a,b", ("a:5432", "b:5432")),
    ],
)
def test_several_hosts_in_one_part_of_a_query(driver: str, query: str, hosts: object) -> None:
    """SQLAlchemy's other spelling asks for a server that writes, too."""
    url = normalise_url(f"postgresql+{driver}://u@/db?{query}")

    assert dict(url.query) == {"host": hosts, "target_session_attrs": "read-write"}
