"""``sessionstore_sql.migrate``: up, down, current and check, from whatever leads to a database."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import URL, Index, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects.postgresql.creators import AsyncpgCreator
from tests.databases import Target
from tests.leaks import shows
from tests.migrations.databases import ODD_NAMES, description, execute, tables_at

pytestmark = [pytest.mark.anyio, pytest.mark.every_driver]

HEAD = "sessionstore_0002"
RECORD = SessionRecord({"user": 1}, timedelta(hours=1))


def index_of(table: str, column: str) -> Index:
    """Return the index of a column."""
    (index,) = (each for each in session_table(table).indexes if each.name == f"{table}_{column}")
    return index


async def test_upgrade_makes_the_table_and_notes_the_revision(empty_url: URL) -> None:
    """An empty database has the two tables after an upgrade, and is at head."""
    await migrate.upgrade(empty_url)

    assert await tables_at(empty_url) == {
        "sessionstore_sessions",
        "sessionstore_sessions_version",
    }
    assert await migrate.current(empty_url) == HEAD
    await migrate.check(empty_url)


async def test_current_is_none_before_any_migration(empty_url: URL) -> None:
    """A database without our tables is at no revision, and asking leaves no trace."""
    assert await migrate.current(empty_url) is None
    assert await tables_at(empty_url) == set()


async def test_upgrade_at_head_keeps_the_rows(url: URL, table: str) -> None:
    """An upgrade with nothing to do leaves live sessions as they are."""
    session_id = SessionId.generate()
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, table=table) as store:
        await store.create(session_id, RECORD)

        await migrate.upgrade(url, table=table)

        loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == RECORD.state


async def test_downgrade_drops_the_table_and_upgrade_makes_it_again(url: URL, table: str) -> None:
    """Down to base loses the sessions, and nothing but them: the way up is open."""
    session_id = SessionId.generate()
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, table=table) as store:
        await store.create(session_id, RECORD)

        await migrate.downgrade(store.engine, "base", table=table)
        assert await migrate.current(url, table=table) is None
        assert table not in await tables_at(url)

        await migrate.upgrade(store.engine, table=table)
        await migrate.check(store.engine, table=table)
        assert await store.load(session_id) is None
        await store.create(session_id, RECORD)


async def test_a_store_without_its_table_names_the_command(url: URL, table: str) -> None:
    """Without the table, the error of the first operation names the command to run."""
    async with SQLSessionStore(url, table=table) as store:
        with pytest.raises(
            DatabaseError, match=r"sessionstore-sql upgrade.*alembic upgrade head.*migrate\.upgrade"
        ):
            await store.load(SessionId.generate())


async def test_migrated_table_equals_the_declared_one(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """The revisions make what ``create_all`` makes from the package's own declaration."""
    declared = session_table(f"{table}_declared")
    async with engine.begin() as connection:
        await connection.run_sync(declared.metadata.create_all)

    await migrate.upgrade(url, table=table)

    assert await description(engine, table) == await description(engine, declared.name)


async def test_fillfactor_equals_the_declared_one(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """On PostgreSQL, pages keep room for updates whichever way the table was made."""
    if url.get_backend_name() != "postgresql":
        pytest.skip("PostgreSQL's own")
    declared = session_table(f"{table}_declared")
    async with engine.begin() as connection:
        await connection.run_sync(declared.metadata.create_all)
        await migrate.upgrade(connection, table=table)

        options = await connection.execute(
            text("SELECT reloptions FROM pg_class WHERE relname IN (:one, :other)"),
            {"one": table, "other": declared.name},
        )

    assert options.scalars().all() == [["fillfactor=80"]] * 2


async def test_a_table_made_by_create_all_is_taken_over(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """An upgrade notes the revision for a table that is what it would have made."""
    async with engine.begin() as connection:
        await connection.run_sync(session_table(table).metadata.create_all)

    await migrate.upgrade(url, table=table)

    await migrate.check(url, table=table)


async def test_another_table_of_the_same_name_is_left_alone(url: URL, table: str) -> None:
    """Another table of the name stops the upgrade, and a downgrade does not drop it."""
    await execute(url, f"CREATE TABLE {table} (id INTEGER)")

    with pytest.raises(CommandError, match="is not a session table"):
        await migrate.upgrade(url, table=table)
    await migrate.downgrade(url, "base", table=table)

    assert table in await tables_at(url)


async def test_an_upgrade_that_stopped_half_way_is_resumed(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """With the table made, but neither index nor revision, an upgrade does what is missing.

    As it is left on MySQL and MariaDB, which commit after each statement of DDL.
    """
    bare = session_table(table)
    bare.indexes.clear()
    async with engine.begin() as connection:
        await connection.run_sync(bare.metadata.create_all)

    await migrate.upgrade(url, table=table)

    await migrate.check(url, table=table)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_quoted(url: URL, name: str) -> None:
    """A table's name is any text, for the migrations and for the store alike."""
    table = f"{name} {secrets.token_hex(4)}"
    session_id = SessionId.generate()

    await migrate.upgrade(url, table=table)
    await migrate.check(url, table=table)
    async with SQLSessionStore(url, table=table) as store:
        await store.create(session_id, RECORD)
        assert await store.load(session_id) is not None
    await migrate.downgrade(url, "base", table=table)

    assert table not in await tables_at(url)


@pytest.mark.parametrize("name", ["plain", 'Odd "%s" `'])
async def test_a_schema_holds_both_tables(url: URL, table: str, name: str) -> None:
    """With a schema (on MySQL, another database), nothing is made outside of it."""
    if url.get_backend_name() == "sqlite":
        pytest.skip("a schema of SQLite's is an attached file")
    schema = f"{name} {secrets.token_hex(4)}"
    quote = '"' if url.get_backend_name() == "postgresql" else "`"
    quoted = quote + schema.replace(quote, quote * 2) + quote
    await execute(url, f"CREATE SCHEMA {quoted}")
    try:
        await migrate.upgrade(url, table=table, schema=schema)
        await migrate.check(url, table=table, schema=schema)
        assert await tables_at(url, schema) == {table, f"{table}_version"}
        assert await migrate.current(url, table=table) is None
        async with SQLSessionStore(url, table=table, schema=schema) as store:
            await store.create(SessionId.generate(), RECORD)
        await migrate.downgrade(url, "base", table=table, schema=schema)
        assert await migrate.current(url, table=table, schema=schema) is None
    finally:
        cascade = " CASCADE" if quote == '"' else ""
        await execute(url, f"DROP SCHEMA {quoted}{cascade}")


async def test_the_connections_own_schema_may_be_named(url: URL, table: str) -> None:
    """``schema="public"`` and the like is no other place than no schema."""
    own = {"postgresql": "public", "sqlite": "main"}.get(url.get_backend_name(), url.database)

    await migrate.upgrade(url, table=table, schema=own)

    await migrate.check(url, table=table, schema=own)
    await migrate.check(url, table=table)


async def test_several_stores_live_in_one_database(url: URL, table: str) -> None:
    """Each table has its own history: one can go without the other."""
    other = f"{table}_other"
    await migrate.upgrade(url, table=table)
    await migrate.upgrade(url, table=other)

    await migrate.downgrade(url, "base", table=other)

    await migrate.check(url, table=table)
    assert await migrate.current(url, table=other) is None


async def test_check_names_a_table_that_was_never_made(url: URL, table: str) -> None:
    """The error says which table, where it is, where it should be, and how to get there."""
    with pytest.raises(
        migrate.MigrationError,
        match=f"{table}.* at revision base.*{HEAD}.*sessionstore-sql upgrade.*alembic upgrade head",
    ):
        await migrate.check(url, table=table)


async def test_check_sees_an_unknown_revision(url: URL, table: str) -> None:
    """A database that newer code has migrated is not the one that this version knows."""
    await migrate.upgrade(url, table=table)
    await execute(url, f"UPDATE {table}_version SET version_num = 'sessionstore_9999'")

    with pytest.raises(migrate.MigrationError, match="sessionstore_9999"):
        await migrate.check(url, table=table)


async def test_check_passes_after_a_later_addition(url: URL, table: str) -> None:
    """A process of this version can start while the next version is being deployed."""
    await migrate.upgrade(url, table=table)
    await execute(
        url,
        f"ALTER TABLE {table} ADD COLUMN later INTEGER",
        f"CREATE INDEX {table}_later ON {table} (later)",
        f"UPDATE {table}_version SET version_num = 'sessionstore_0003'",
    )

    await migrate.check(url, table=table)
    await migrate.upgrade(url, table=table)

    assert await migrate.current(url, table=table) == "sessionstore_0003"
    async with SQLSessionStore(url, table=table) as store:
        await store.create(SessionId.generate(), RECORD)


@pytest.mark.parametrize("what", ["column", "index"])
async def test_a_later_addition_has_what_this_version_needs(
    url: URL, table: str, engine: AsyncEngine, what: str
) -> None:
    """Otherwise the check says what is missing."""
    await migrate.upgrade(url, table=table)
    async with engine.begin() as connection:
        await connection.run_sync(index_of(table, "subject").drop)
        if what == "column":
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN subject"))
    await execute(url, f"UPDATE {table}_version SET version_num = 'sessionstore_0003'")

    with pytest.raises(migrate.MigrationError, match=f"add_{what}.*subject"):
        await migrate.check(url, table=table)


@pytest.mark.parametrize("column", ["expiry_bucket", "subject"])
async def test_check_sees_a_missing_index(
    url: URL, table: str, engine: AsyncEngine, column: str
) -> None:
    """At head, and changed by hand: the difference is named."""
    await migrate.upgrade(url, table=table)
    async with engine.begin() as connection:
        await connection.run_sync(index_of(table, column).drop)

    with pytest.raises(migrate.MigrationError, match=f"{table}_{column}"):
        await migrate.check(url, table=table)


PLAIN_BUCKETS = {
    "postgresql": [  # version 12 has no DROP EXPRESSION
        "ALTER TABLE {0} DROP COLUMN expiry_bucket, ADD COLUMN expiry_bucket BIGINT",
        "CREATE INDEX {0}_expiry_bucket ON {0} (expiry_bucket)",
    ],
    "mysql": ["ALTER TABLE {0} MODIFY expiry_bucket BIGINT"],
    "mariadb": ["ALTER TABLE {0} MODIFY expiry_bucket BIGINT"],
    "sqlite": [
        "DROP INDEX {0}_expiry_bucket",
        "ALTER TABLE {0} RENAME TO {0}_old",
        "DROP INDEX {0}_subject",
        (
            "CREATE TABLE {0} (id BLOB NOT NULL PRIMARY KEY, deadline INTEGER NOT NULL, "
            "state BLOB NOT NULL, expiry_bucket INTEGER, subject BLOB, handle BLOB, "
            "created INTEGER, authenticated INTEGER, seen INTEGER, final_deadline INTEGER, "
            "idle_ttl INTEGER, version INTEGER, about BLOB)"
        ),
        "CREATE INDEX {0}_expiry_bucket ON {0} (expiry_bucket)",
        "CREATE INDEX {0}_subject ON {0} (subject) WHERE subject IS NOT NULL",
    ],
}
OTHER_BUCKET = "expiry_bucket BIGINT GENERATED ALWAYS AS (deadline >> 20) STORED"


@pytest.mark.filterwarnings("ignore:Computed default")  # Alembic's
async def test_check_sees_a_bucket_that_is_a_plain_column(
    url: URL, table: str, target: Target
) -> None:
    """As a restored dump, or a copy by hand, can leave it. No purge would find new sessions."""
    await migrate.upgrade(url, table=table)
    await execute(url, *(each.format(table) for each in PLAIN_BUCKETS[target.database]))

    with pytest.raises(migrate.MigrationError, match=r"modify_generated .*expiry_bucket"):
        await migrate.check(url, table=table)


@pytest.mark.filterwarnings("ignore:Computed default")
async def test_check_sees_a_bucket_that_is_generated_otherwise(
    url: URL, table: str, target: Target
) -> None:
    """The expired sessions would be looked for in other buckets than they are in."""
    if target.database == "sqlite":
        pytest.skip("it adds no stored column")
    await migrate.upgrade(url, table=table)
    await execute(
        url,
        f"ALTER TABLE {table} DROP COLUMN expiry_bucket",
        f"ALTER TABLE {table} ADD COLUMN {OTHER_BUCKET}",
    )

    with pytest.raises(migrate.MigrationError, match=r"modify_generated .*expiry_bucket"):
        await migrate.check(url, table=table)


async def test_check_sees_a_surplus_column(url: URL, table: str) -> None:
    """At head, and a column more: the difference is named."""
    await migrate.upgrade(url, table=table)
    await execute(url, f"ALTER TABLE {table} ADD COLUMN surplus INTEGER")

    with pytest.raises(migrate.MigrationError, match="surplus"):
        await migrate.check(url, table=table)


async def test_an_unknown_revision_is_rejected(url: URL, table: str) -> None:
    """Alembic's own error says that there is no such revision."""
    with pytest.raises(CommandError, match="nonsense"):
        await migrate.upgrade(url, "nonsense", table=table)


@pytest.mark.parametrize(
    ("revision", "error"),
    [("", CommandError), ("@", CommandError), (None, TypeError)],
)
async def test_a_revision_has_a_name(url: URL, revision: Any, error: type[Exception]) -> None:
    """Alembic would fail on an assertion of its own."""
    for attempt in (migrate.upgrade, migrate.downgrade):
        with pytest.raises(error, match=r"a revision|no revision"):
            await attempt(url, revision)


async def test_an_error_of_python_in_a_driver_is_one_of_sqlalchemy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It shows neither the password nor the value of an option."""

    async def connect(*_: Any, **connect_args: Any) -> None:
        raise TypeError(f"cannot use {connect_args['password']} and {connect_args['passfile']}")

    monkeypatch.setattr(AsyncpgCreator, "connect", connect)
    url = "postgresql://u:hunter2@127.0.0.1:1/db?passfile=swordfish"

    with pytest.raises(ArgumentError, match=r"TypeError: cannot use \*\*\* and") as caught:
        await migrate.check(url)

    assert not shows(caught.value, "hunter2", "swordfish")


@pytest.mark.parametrize(
    ("table", "schema", "error"),
    [
        ("", None, ValueError),
        ("x" * 49, None, ValueError),
        (1, None, TypeError),
        ("t", "", ValueError),
        ("%(key)s", None, ValueError),
        ("t", "a\nb", ValueError),
    ],
)
async def test_impossible_names_are_rejected(
    url: URL, table: str, schema: str | None, error: type[Exception]
) -> None:
    """What can't be a name is an error before any I/O."""
    for attempt in (migrate.upgrade, migrate.current, migrate.check):
        with pytest.raises(error):
            await attempt(url, table=table, schema=schema)


async def test_an_open_transaction_takes_the_migration_in(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """Where DDL can be rolled back, it is the caller who decides; elsewhere it is committed."""
    transactional = url.get_backend_name() in {"postgresql", "sqlite"}
    async with engine.connect() as connection:
        transaction = await connection.begin()
        await migrate.upgrade(connection, table=table)
        await migrate.check(connection, table=table)
        await transaction.rollback()

    assert (await migrate.current(url, table=table) is None) == transactional
    assert (table not in await tables_at(url)) == transactional


async def test_an_open_transaction_commits_the_migration_with_the_callers_work(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """The migration and a row of the host's are there together in the end."""
    await execute(url, f"CREATE TABLE {table}_host (id INTEGER)")

    async with engine.begin() as connection:
        await connection.execute(text(f"INSERT INTO {table}_host VALUES (1)"))
        await migrate.upgrade(connection, table=table)

    await migrate.check(url, table=table)
    async with engine.connect() as connection:
        assert await connection.scalar(text(f"SELECT count(*) FROM {table}_host")) == 1


async def test_a_connection_without_a_transaction_is_given_back_without_one(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """The migration commits what is its own, and the caller can begin."""
    async with engine.connect() as connection:
        await migrate.upgrade(connection, table=table)
        await migrate.check(connection, table=table)
        assert not connection.in_transaction()

        assert await migrate.current(url, table=table) == HEAD
        async with connection.begin():
            await migrate.downgrade(connection, "base", table=table)

    assert await migrate.current(url, table=table) is None


async def test_a_connection_keeps_its_autocommit(url: URL, table: str) -> None:
    """A connection of a store's engine commits every statement before and after."""
    async with SQLSessionStore(url) as store:
        async with store.engine.connect() as connection:
            await migrate.upgrade(connection, table=table)
            await connection.execute(text(f"CREATE TABLE {table}_kept (id INTEGER)"))
            await connection.rollback()
        async with store.engine.begin() as connection:
            await migrate.downgrade(connection, "base", table=table)
            await migrate.upgrade(connection, table=table)

    await migrate.check(url, table=table)
    assert f"{table}_kept" in await tables_at(url)


async def test_an_in_memory_url_is_rejected_and_its_engine_is_not(table: str) -> None:
    """A schema that would vanish at once is an error; with the engine that keeps it, it lasts."""
    for in_memory in ("sqlite://", "sqlite+aiosqlite:///:memory:"):
        with pytest.raises(ValueError, match=r"store\.engine"):
            await migrate.upgrade(in_memory, table=table)

    async with SQLSessionStore("sqlite://", table=table) as store:
        await migrate.upgrade(store.engine, table=table)
        await migrate.check(store.engine, table=table)
        await store.create(SessionId.generate(), RECORD)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought the mode")
async def test_a_driver_that_is_always_in_a_transaction_is_migrated(
    table: str, tmp_path: Path
) -> None:
    """The mode of Python's sqlite3 that SQLAlchemy's documentation recommends works, too."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path / 'pep249.db'}", connect_args={"autocommit": False}
    )
    await migrate.upgrade(engine, table=table)
    await migrate.check(engine, table=table)
    async with engine.begin() as connection:
        await migrate.downgrade(connection, "base", table=table)

    assert await migrate.current(engine, table=table) is None
    await engine.dispose()


@pytest.mark.parametrize(
    "target", [None, 1, "", "no url", "oracle://h/d", "postgresql+pg8000://h/d"]
)
async def test_other_targets_are_rejected(target: str) -> None:
    """Neither an engine, nor a connection, nor a URL of a database that is supported."""
    with pytest.raises((TypeError, ValueError)):
        await migrate.upgrade(target)


async def test_script_location_is_an_alembic_environment() -> None:
    """The directory has what Alembic looks for."""
    location = Path(migrate.script_location())

    assert (location / "env.py").is_file()
    assert (location / "versions").is_dir()


@pytest.mark.parametrize("attempt", [migrate.upgrade, migrate.current, migrate.check])
async def test_an_error_of_the_database_keeps_no_password(url: URL, attempt: Any) -> None:
    """Neither in what is said nor in what hangs on it, such as psycopg's connection."""
    if url.get_backend_name() == "sqlite":
        pytest.skip("a file has no password")
    refused = url.set(username="unknown", password="hunter2", database="nowhere")

    with pytest.raises((SQLAlchemyError, OSError)) as caught:
        await attempt(refused)

    assert not shows(caught.value, "hunter2")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("attempt", [migrate.upgrade, migrate.current, migrate.check])
async def test_a_silent_server_is_given_up(
    url: URL, attempt: Any, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting times out, as it does in a store."""
    if url.get_backend_name() == "sqlite":
        pytest.skip("a file answers")
    monkeypatch.setattr(migrate.connecting, "CONNECT_TIMEOUT_S", 0.2)

    with pytest.raises(TimeoutError):
        await attempt(url.set(host="127.0.0.1", port=silent_port))
