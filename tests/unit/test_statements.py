"""The statements that each database is sent."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Table, create_engine, event, make_url
from sqlalchemy.dialects.mysql.base import MySQLDialect

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.dialects.clauses import oldest_expired, purge_parameters
from sessionstore_sql.sql.statements import Statements, build_statements
from sessionstore_sql.testing.support import AT_ONCE, HOUR, record

DRIVERS = {
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
    "sqlite": "aiosqlite",
}
SAFE_UPDATES_HINT = "/*+ SET_VAR(sql_safe_updates = OFF) */ "
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
    "load_session": LIVE,
    "update_if": LIVE,
    "replace": LIVE,
    "replace_expired": EXPIRED,
    "delete_if_expired": EXPIRED,
}

FAMILY = ("mysql", "mariadb")
ONE_STATEMENT = ("postgresql", "sqlite")

WITHOUT_CLOCK = {"discard", "discard_expired", "lock_version"}
"""They find rows that are live or expired."""

REPLACED = "state deadline created authenticated seen final_deadline idle_ttl version about"
REPLACED_COLUMNS = {*REPLACED.split(), "subject", "handle"}
"""What a row that replaces an expired one sets."""

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
    """A connection to MySQL or MariaDB, in a transaction, that records what it is to execute."""

    def __init__(self, name: str) -> None:
        self.dialect: Any = make_url(f"{name}+{DRIVERS[name]}://").get_dialect()()
        self.executed: list[tuple[str, Any]] = []
        self.rowcount = 1

    def schema_for_object(self, table: Table) -> str | None:
        """Return the schema of a table."""
        return table.schema

    def in_transaction(self) -> bool:
        """Return that a transaction has begun."""
        return True

    def exec_driver_sql(self, text: str, parameters: Any) -> Recorder:
        """Record a statement."""
        self.executed.append((text, parameters))
        return self

    def all(self) -> list[tuple[bytes]]:
        """Return two keys, and an incomplete third one."""
        return [(b"a" * 32 + b"b" * 32 + b"c",)]


def purger(name: str) -> Any:
    """Return what purges a table named `t`."""
    return dialect_named(name).purger(session_table("t"))


@every_database
def test_every_statement_uses_the_clock_of_the_database(name: str) -> None:
    """Each contains ``now``, and no other clock."""
    for field, statement in present(name).items():
        text = sql(name, statement)
        assert "now" in text or field in WITHOUT_CLOCK
        assert not re.search(r"NOW\(\)|CURRENT_TIMESTAMP|unixepoch|clock_timestamp", text)


@every_database
@pytest.mark.parametrize(("field", "guard"), GUARDS.items())
def test_every_change_is_guarded(name: str, field: str, guard: str) -> None:
    """By one key, and by the condition that the session is live or expired."""
    text = sql(name, getattr(statements(name), field))

    key = "unhex(:key)" if name in FAMILY else ":key"
    condition = text.partition(" WHERE ")[2]
    assert re.sub(r"::\w+", "", condition).startswith(f"id = {key} AND {guard}")


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_create_is_an_upsert_that_leaves_live_sessions_unchanged(name: str) -> None:
    """One statement. The condition of its conflict clause is the guard."""
    text = sql(name, statements(name).create)

    assert text.startswith("INSERT INTO t (id, deadline, state, created, seen, version) VALUES (")
    assert text.endswith(f" WHERE {EXPIRED}")
    changed = text.partition("ON CONFLICT (id) DO UPDATE SET ")[2].partition(" WHERE ")[0]
    assert set(changed.split(", ")) == {f"{each} = excluded.{each}" for each in REPLACED_COLUMNS}


@mysql_family
def test_an_expired_row_leaves_nothing_to_its_successor(name: str) -> None:
    """Every column is replaced, as by the upsert. Otherwise, its user would be the next one's."""
    text = sql(name, statements(name).replace_expired)

    changed = text.partition(" SET ")[2].partition(" WHERE ")[0]
    assert {each.partition("=")[0] for each in changed.split(", ")} == REPLACED_COLUMNS
    assert all(f"{each}=NULL" in changed for each in ("subject", "handle", "about"))


@every_database
def test_stores_share_statements_and_compile_their_own(name: str) -> None:
    """Each engine has its own text: drivers mark and take parameters differently."""
    for made, again in (
        (statements(name).load, statements(name).load),
        (statements(name).accounts.begin, statements(name).accounts.begin),
    ):
        made._compile(sqlalchemy_dialect(name))

        assert made.statement is again.statement
        assert (made._text == "", again._text) == (False, "")


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_stores_share_batches_and_compile_their_own(name: str) -> None:
    """Of one table: others have other names in their statements."""
    batches: Any = dialect_named(name).batches
    made, again, other = (batches(session_table(table)) for table in ("t", "t", "u"))
    made.select_load._compile(sqlalchemy_dialect(name))

    assert made.select_load.statement is again.select_load.statement
    assert (made.select_load._text == "", again.select_load._text) == (False, "")
    assert "FROM u " in sql(name, other.select_load)


@every_database
def test_a_lifetime_begins_at_create(name: str) -> None:
    """It is part of the statements of a store that has one, and of no other."""
    made = build_statements(session_table("t"), dialect_named(name), 5)

    for statement in (made.create, made.replace_expired):
        assert re.search(r"now \+ :lifetime", re.sub(r"::\w+", "", sql(name, statement)))
        assert "lifetime" not in sql(name, statements(name).create)


@every_database
def test_a_deadline_never_passes_the_end_of_the_lifetime(name: str) -> None:
    """Every statement that extends a session takes the earlier one."""
    made, least = statements(name), "min" if name == "sqlite" else "LEAST"

    for statement in (made.update, made.update_ttl, made.update_if, made.replace):
        text = re.sub(r"::\w+", "", sql(name, statement))
        assert f"deadline={least}(now + :ttl, coalesce(final_deadline, {2**63 - 1}))" in text


@mysql_family
def test_create_is_a_plain_insert(name: str) -> None:
    """The count of an upsert could not tell a new session from a live one (hazard M3)."""
    text = sql(name, statements(name).create)

    assert text == (
        "INSERT INTO t (id, deadline, state, created, seen, version) "
        "VALUES (unhex(:key), (now + :ttl), unhex(:state), now, now, :version)"
    )


@every_database
def test_deadlines_are_computed_by_the_database(name: str) -> None:
    """They are ``now`` plus the bound ttl. The application's clock is not used."""
    made = statements(name)

    for statement in (made.create, made.update, made.update_ttl, made.replace_expired):
        assert re.search(r"now \+ :ttl", re.sub(r"::\w+", "", sql(name, statement)))


@every_database
def test_update_ttl_and_change_id_assign_one_column(name: str) -> None:
    """Only the deadline, and only the key, beside the time at which the session was seen."""
    made = statements(name)

    for statement, column in ((made.update_ttl, "deadline"), (made.change_id, "id")):
        assigned = sql(name, statement).partition(" SET ")[2].partition(" WHERE ")[0]
        assert assigned.count("=") == 2
        assert assigned.startswith(f"{column}=")
        assert assigned.endswith(", seen=now")


@every_database
def test_the_purge_looks_at_whole_buckets_first(name: str) -> None:
    """The index is used, the exact deadline decides, and the oldest sessions are deleted first."""
    text = sql(name, oldest_expired(session_table("t")))

    assert f"expiry_bucket <= now >> 28 AND {EXPIRED} ORDER BY expiry_bucket" in text.replace(
        "(now >> 28)", "now >> 28"
    )
    assert "ORDER BY expired.deadline" in text


@pytest.mark.parametrize("name", ONE_STATEMENT)
def test_the_purge_repeats_its_condition_outside(name: str) -> None:
    """The condition is evaluated again after a lock wait. The sub-select is not (hazard P1)."""
    text = sql(name, purger(name).statement)

    assert text.startswith("DELETE FROM t WHERE id ")
    assert text.endswith(f") AND {EXPIRED}")


def test_the_purge_of_postgresql_chooses_once_and_skips_locked_rows() -> None:
    """An array is an InitPlan. A plain IN may be executed again, and delete more than the batch."""
    text = sql("postgresql", purger("postgresql").statement)

    assert "id = ANY (array((SELECT locked.id" in text
    assert "FOR UPDATE SKIP LOCKED) AS locked" in text
    assert " IN " not in text


@mysql_family
def test_the_purge_by_key_reads_its_keys_first(name: str) -> None:
    """A derived table and a fixed join order: no other row is locked (hazards M7, M8)."""
    connection = Recorder(name)

    purger(name).remove(connection, [b"\x00\xff", b"'\\"])

    ((text, bound),) = connection.executed
    text = text.replace(CLOCKS[name], "now")
    for setting in ("SET STATEMENT sql_safe_updates = OFF FOR ", SAFE_UPDATES_HINT):
        text = text.replace(setting, "")
    assert text.startswith("DELETE t FROM (SELECT id FROM t FORCE INDEX (PRIMARY) WHERE ")
    assert "id IN (x%s, x%s) AND deadline <= now LIMIT " in text.partition(" AS t_chosen ")[0]
    assert " FOR UPDATE SKIP LOCKED) AS t_chosen STRAIGHT_JOIN t FORCE INDEX (PRIMARY) ON " in text
    assert text.endswith("ON t.id = t_chosen.id WHERE t.deadline <= now")
    assert bound == ("00ff", "275c")


@mysql_family
def test_choosing_what_to_purge_locks_nothing(name: str) -> None:
    """It is a consistent read. The next statement locks the rows that it deletes, and no other."""
    connection = Recorder(name)

    chosen = purger(name).choose(connection, 10)

    ((text, bound),) = connection.executed
    assert "FOR UPDATE" not in text
    assert "ORDER BY expired.deadline" in text
    assert bound == (2_000, 10)
    assert chosen == [b"a" * 32, b"b" * 32]


@every_database
def test_a_duplicate_is_looked_for_in_the_latest_version(name: str) -> None:
    """A locking read sees what was committed meanwhile. SQLite has no such clause."""
    text = sql(name, statements(name).lock_live)

    locks = {"postgresql": "FOR SHARE", "sqlite": "now", "mysql": "LOCK IN SHARE MODE"}
    assert text.endswith(locks["mysql" if name in FAMILY else name])


@mysql_family
def test_bytes_are_bound_as_hexadecimal_digits(name: str) -> None:
    """Each parameter of bytes is inside of UNHEX, and is bound as text (hazard M2)."""
    raw = bytes(range(256))
    for field, statement in present(name).items():
        compiled = statement.compile(dialect=sqlalchemy_dialect(name))
        text = str(compiled)
        for parameter in {"key", "new_key", "state"} & set(compiled.binds):
            assert f"unhex(:{parameter})" in text, field
            assert text.count(f":{parameter})") == text.count(f"unhex(:{parameter})")
            assert compiled._bind_processors[parameter](raw) == raw.hex()


@mysql_family
def test_none_is_bound_as_null(name: str) -> None:
    """``None`` stays NULL."""
    binary: Any = dialect_named(name).binary

    assert binary.process_bind_param(None, MySQLDialect()) is None


@pytest.mark.parametrize(
    ("batch_size", "lookahead"), [(1, 2_000), (1_000, 2_000), (1_001, 2_002), (100_000, 200_000)]
)
def test_a_purge_looks_at_two_batches(batch_size: int, lookahead: int) -> None:
    """To find the oldest, it looks at two batches of rows, and at 2,000 rows at least."""
    assert purge_parameters(batch_size) == {"batch_size": batch_size, "lookahead": lookahead}


@every_database
def test_statements_are_cacheable(name: str) -> None:
    """SQLAlchemy compiles each of them once."""
    dialect = sqlalchemy_dialect(name)
    for field, statement in present(name).items():
        if field not in not_cached(name):
            assert statement._generate_cache_key() is not None, field
        assert str(statement.compile(dialect=dialect)) == str(statement.compile(dialect=dialect))


@every_database
def test_the_clock_compiles_on_every_database(name: str) -> None:
    """It is part of the text, and binds nothing."""
    lock_live: Any = statements(name).lock_live.statement
    compiled = lock_live.compile(dialect=sqlalchemy_dialect(name))

    assert CLOCKS[name] in str(compiled).replace("%%", "%")
    assert set(compiled.params) == {"key"}


def test_the_clock_does_not_compile_for_other_databases() -> None:
    """A store there would compare with nothing."""
    from sqlalchemy.dialects.oracle import dialect
    from sqlalchemy.exc import UnsupportedCompilationError

    lock_live: Any = statements("sqlite").lock_live.statement
    with pytest.raises(UnsupportedCompilationError):
        lock_live.compile(dialect=dialect())


@pytest.mark.anyio
async def test_later_calls_compile_nothing(tmp_path: Any) -> None:
    """If SQLAlchemy executes, each later call is a hit in its cache: statements are built once."""
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
    """SQLite is the only database whose clock can be read without a server."""
    engine = create_engine("sqlite://")
    before = time.time()
    with engine.connect() as connection:
        value = connection.exec_driver_sql(f"SELECT {CLOCKS['sqlite']}").scalar_one()
    engine.dispose()

    assert before - 0.002 <= value / 1e6 <= time.time() + 0.002
