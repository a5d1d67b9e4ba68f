"""The statements: what each database is sent."""

from __future__ import annotations

import re
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Table, create_engine, event, make_url
from sqlalchemy.dialects.mysql.base import MySQLDialect

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.dialects.compiled import CompiledStatement
from sessionstore_sql.dialects.purging import oldest_expired, purge_parameters
from sessionstore_sql.schema import session_table
from sessionstore_sql.statements import Statements, build_statements
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record

DRIVERS = {
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
    "sqlite": "aiosqlite",
}
CLOCKS = {
    "postgresql": "(CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT))",
    "mysql": "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)))",
    "sqlite": "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)",
}
CLOCKS["mariadb"] = CLOCKS["mysql"]

LIVE = "deadline > now"
EXPIRED = "deadline <= now"

GUARDS = {
    "load": LIVE,
    "lock_live": LIVE,
    "update": LIVE,
    "update_ttl": LIVE,
    "delete": LIVE,
    "change_id": LIVE,
    "replace_expired": EXPIRED,
    "delete_if_expired": EXPIRED,
}

FAMILY = ("mysql", "mariadb")
ONE_STATEMENT = ("postgresql", "sqlite")

every_database = pytest.mark.parametrize("name", ["postgresql", "mysql", "mariadb", "sqlite"])
mysql_family = pytest.mark.parametrize("name", FAMILY)


def not_cached(name: str) -> set[str]:
    """Return the statements that SQLAlchemy compiles for every call.

    ``INSERT .. ON CONFLICT`` before SQLAlchemy 2.1.
    """
    is_older = sqlalchemy.__version__.startswith("2.0.")
    return {"create"} if name in ONE_STATEMENT and is_older else set()


def statements(name: str) -> Statements:
    """Return the statements for a table named `t`."""
    return build_statements(session_table("t"), dialect_named(name))


def sqlalchemy_dialect(name: str) -> Any:
    """Return the dialect as an engine has it."""
    make: Any = make_url(f"{name}+{DRIVERS[name]}://").get_dialect()
    return make(paramstyle="named")


def sql(name: str, statement: Any) -> str:
    """Return the text of a statement on one line, with the clock read as ``now``."""
    core: Any = statement.statement if isinstance(statement, CompiledStatement) else statement
    text = str(core.compile(dialect=sqlalchemy_dialect(name)))
    text = " ".join(text.replace("%%", "%").split())
    return text.replace(CLOCKS[name], "now").replace("t.", "")


def present(name: str) -> dict[str, Any]:
    """Return the statements on the table that this database has, by name."""
    made = statements(name)
    named = {field: getattr(made, field) for field in Statements.__slots__}
    return {
        field: compiled.statement
        for field, compiled in named.items()
        if isinstance(compiled, CompiledStatement)
    }


class Recorder:
    """A connection to MySQL or MariaDB, in a transaction, that notes what it is to execute."""

    def __init__(self, name: str) -> None:
        self.dialect: Any = make_url(f"{name}+{DRIVERS[name]}://").get_dialect()()
        self.connection = SimpleNamespace(
            dbapi_connection=SimpleNamespace(get_autocommit=lambda: False)
        )
        self.executed: list[tuple[str, Any]] = []
        self.rowcount = 1

    def schema_for_object(self, table: Table) -> str | None:
        """Return the one it is in; no other stands for it."""
        return table.schema

    def exec_driver_sql(self, text: str, parameters: Any) -> Recorder:
        """Note it."""
        self.executed.append((text, parameters))
        return self

    def all(self) -> list[tuple[bytes]]:
        """Two keys, and a third that was cut off."""
        return [(b"a" * 32 + b"b" * 32 + b"c",)]


def purge_by_key(name: str) -> Any:
    """Return the two steps of a purge."""
    return statements(name).purge_by_key


@every_database
def test_every_statement_compares_with_the_databases_own_clock(name: str) -> None:
    """Each has ``now`` in it, and no other clock."""
    for field, statement in present(name).items():
        text = sql(name, statement)
        assert "now" in text or "clock" in field
        assert not re.search(r"NOW\(\)|CURRENT_TIMESTAMP|unixepoch|clock_timestamp", text)


@every_database
@pytest.mark.parametrize(("field", "guard"), GUARDS.items())
def test_every_change_is_guarded(name: str, field: str, guard: str) -> None:
    """By one key, and by whether its session is live or expired."""
    text = sql(name, getattr(statements(name), field))

    key = "unhex(:key)" if name in FAMILY else ":key"
    condition = text.partition(" WHERE ")[2]
    assert re.sub(r"::\w+", "", condition).startswith(f"id = {key} AND {guard}")


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_create_is_an_upsert_that_spares_the_live(name: str) -> None:
    """One statement, of which the conflict's condition is the guard."""
    text = sql(name, statements(name).create)

    assert text.startswith("INSERT INTO t (id, deadline, state) VALUES (")
    assert text.endswith(
        "ON CONFLICT (id) DO UPDATE SET deadline = excluded.deadline, state = excluded.state "
        f"WHERE {EXPIRED}"
    )


@mysql_family
def test_create_is_a_plain_insert(name: str) -> None:
    """The count of an upsert could not tell a new session from a live one (hazard M3)."""
    text = sql(name, statements(name).create)

    assert text == (
        "INSERT INTO t (id, deadline, state) VALUES (unhex(:key), (now + :ttl), unhex(:state))"
    )


@every_database
def test_create_and_update_store_a_deadline_of_the_databases_making(name: str) -> None:
    """``now`` plus what is bound: no clock of the application's enters."""
    made = statements(name)

    for statement in (made.create, made.update, made.update_ttl, made.replace_expired):
        assert re.search(r"now \+ :ttl", re.sub(r"::\w+", "", sql(name, statement)))


@every_database
def test_update_ttl_and_change_id_leave_the_rest_alone(name: str) -> None:
    """Only the deadline, and only the key, is assigned."""
    made = statements(name)

    for statement, column in ((made.update_ttl, "deadline"), (made.change_id, "id")):
        assigned = sql(name, statement).partition(" SET ")[2].partition(" WHERE ")[0]
        assert assigned.count("=") == 1
        assert assigned.startswith(f"{column}=")


@every_database
def test_the_purge_looks_at_whole_buckets_first(name: str) -> None:
    """The index is used, the exact deadline decides, and the oldest go first."""
    text = sql(name, oldest_expired(session_table("t")))

    assert f"expiry_bucket <= now >> 28 AND {EXPIRED} ORDER BY expiry_bucket" in text.replace(
        "(now >> 28)", "now >> 28"
    )
    assert "ORDER BY expired.deadline" in text


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_the_purge_repeats_its_condition_outside(name: str) -> None:
    """It is evaluated again after a lock wait, the sub-select is not (hazard P1)."""
    text = sql(name, statements(name).purge)

    assert text.startswith("DELETE FROM t WHERE id ")
    assert text.endswith(f") AND {EXPIRED}")


def test_the_purge_of_postgresql_chooses_once_and_skips_locked_rows() -> None:
    """An array is an InitPlan; a plain IN may be run again and delete too much (hazard P2)."""
    text = sql("postgresql", statements("postgresql").purge)

    assert "id = ANY (array((SELECT locked.id" in text
    assert "FOR UPDATE OF locked SKIP LOCKED" in text
    assert " IN " not in text


@mysql_family
def test_the_purge_by_key_reads_its_keys_first(name: str) -> None:
    """A derived table and a fixed order: nothing that is passed is locked (hazards M7, M8)."""
    connection = Recorder(name)

    purge_by_key(name).remove(connection, [b"\x00\xff", b"'\\"])

    ((text, bound),) = connection.executed
    text = text.replace(CLOCKS[name], "now")
    assert text.startswith("DELETE t FROM (SELECT id FROM t FORCE INDEX (PRIMARY) WHERE ")
    assert "id IN (x%s, x%s) AND deadline <= now LIMIT " in text.partition(" AS chosen ")[0]
    assert " FOR UPDATE SKIP LOCKED) AS chosen STRAIGHT_JOIN t FORCE INDEX (PRIMARY) ON " in text
    assert text.endswith("ON t.id = chosen.id WHERE t.deadline <= now")
    assert bound == ("00ff", "275c")


@mysql_family
def test_choosing_what_to_purge_locks_nothing(name: str) -> None:
    """A consistent read: only the rows that go are locked, and by the next statement."""
    connection = Recorder(name)

    chosen = purge_by_key(name).choose(connection, 10)

    ((text, bound),) = connection.executed
    assert "FOR UPDATE" not in text
    assert "ORDER BY expired.deadline" in text
    assert bound == (2_000, 10)
    assert chosen == [b"a" * 32, b"b" * 32]


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_where_one_statement_purges_there_is_no_second(name: str) -> None:
    """The two ways exclude each other."""
    assert statements(name).purge_by_key is None


@every_database
def test_a_duplicate_is_looked_for_at_its_latest(name: str) -> None:
    """A locking read sees what was committed meanwhile; SQLite has no such clause."""
    text = sql(name, statements(name).lock_live)

    locks = {"postgresql": "FOR SHARE", "sqlite": "now", "mysql": "LOCK IN SHARE MODE"}
    assert text.endswith(locks["mysql" if name in FAMILY else name])


@mysql_family
def test_bytes_travel_as_hexadecimal_digits(name: str) -> None:
    """Each parameter of bytes stands in UNHEX, and what is bound is text (hazard M2)."""
    raw = bytes(range(256))
    for field, statement in present(name).items():
        compiled = statement.compile(dialect=sqlalchemy_dialect(name))
        text = str(compiled)
        for parameter in {"key", "new_key", "state"} & set(compiled.binds):
            assert f"unhex(:{parameter})" in text, field
            assert text.count(f":{parameter})") == text.count(f"unhex(:{parameter})")
            assert compiled._bind_processors[parameter](raw) == raw.hex()


@mysql_family
def test_nothing_is_no_digits(name: str) -> None:
    """``None`` stays NULL."""
    binary: Any = dialect_named(name).binary

    assert binary.process_bind_param(None, MySQLDialect()) is None


@pytest.mark.parametrize(
    ("batch_size", "lookahead"), [(1, 2_000), (500, 2_000), (501, 2_004), (100_000, 400_000)]
)
def test_a_purge_looks_at_ten_batches(batch_size: int, lookahead: int) -> None:
    """And at a thousand rows at least."""
    assert purge_parameters(batch_size) == {"batch_size": batch_size, "lookahead": lookahead}


@every_database
def test_statements_are_cacheable(name: str) -> None:
    """SQLAlchemy compiles each once and finds it again."""
    dialect = sqlalchemy_dialect(name)
    for field, statement in present(name).items():
        if field not in not_cached(name):
            assert statement._generate_cache_key() is not None, field
        assert str(statement.compile(dialect=dialect)) == str(statement.compile(dialect=dialect))


@every_database
def test_the_clock_is_cacheable_and_known_everywhere(name: str) -> None:
    """It compiles for each database, with the value in the text and nothing bound."""
    lock_live: Any = statements(name).lock_live.statement
    compiled = lock_live.compile(dialect=sqlalchemy_dialect(name))

    assert CLOCKS[name] in str(compiled).replace("%%", "%")
    assert set(compiled.params) == {"key"}


def test_the_clock_of_another_database_is_unknown() -> None:
    """A store there would compare with nothing; so it does not compile."""
    from sqlalchemy.dialects.oracle import dialect
    from sqlalchemy.exc import UnsupportedCompilationError

    lock_live: Any = statements("sqlite").lock_live.statement
    with pytest.raises(UnsupportedCompilationError):
        lock_live.compile(dialect=dialect())


@pytest.mark.anyio
async def test_from_the_second_call_on_nothing_is_compiled(tmp_path: Any) -> None:
    """Where SQLAlchemy executes, each later call hits its cache: statements are built once."""
    async with SQLSessionStore(f"sqlite:///{tmp_path / 'sessions.db'}") as store:
        async with store.engine.begin() as connection:
            await connection.run_sync(session_table().create)
        states: list[str] = []

        @event.listens_for(store.engine.sync_engine, "after_cursor_execute")
        def note(*arguments: Any) -> None:
            states.append(arguments[4].cache_hit.name)

        await use_every_operation(store)
        states.clear()
        await use_every_operation(store)

    creates = 2 if "create" in not_cached("sqlite") else 0
    assert len(states) == 8
    assert Counter(states) == Counter(CACHE_HIT=8 - creates, NO_CACHE_KEY=creates)


async def use_every_operation(store: SQLSessionStore) -> None:
    """Call the seven operations, one after another."""
    session_id, other_id = SessionId.generate(), SessionId.generate()
    await store.create(session_id, record(user=1))
    await store.update(session_id, record(user=2))
    await store.update_ttl(session_id, HOUR)
    await store.load(session_id)
    await store.change_id(session_id, other_id)
    await store.delete(other_id)
    await store.create(session_id, SessionRecord({}, AT_ONCE))
    await store.delete_expired(batch_size=10)


def test_the_clock_of_sqlite_is_microseconds_since_1970() -> None:
    """The one database whose clock needs no server to be read."""
    engine = create_engine("sqlite://")
    before = time.time()
    with engine.connect() as connection:
        value = connection.exec_driver_sql(f"SELECT {CLOCKS['sqlite']}").scalar_one()
    engine.dispose()

    assert before - 0.002 <= value / 1e6 <= time.time() + 0.002
