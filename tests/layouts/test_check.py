"""``migrate.check`` tells which layouts and settings the store cannot work with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.sql.dialects.mysql import problems as mysql_problems
from tests.databases import TARGETS, Target
from tests.docs.pages import blocks_of, sql_for
from tests.layouts.conftest import execute
from tests.layouts.layouts import COLUMNS, LAYOUTS, Layout
from tests.migrations.databases import ROOT

pytestmark = pytest.mark.anyio

FIRST_TARGETS = {target.database: target for target in reversed(TARGETS)}


def on(*databases: str) -> pytest.MarkDecorator:
    """Run a test on these databases."""
    targets = [FIRST_TARGETS[database] for database in databases]
    return pytest.mark.parametrize("target", targets, indirect=True, ids=str)


@contextmanager
def problem(*words: str) -> Iterator[None]:
    """Expect an error of ``check`` that says all of this."""
    with pytest.raises(migrate.MigrationError, match="cannot work with it") as caught:
        yield
    message = str(caught.value)
    assert [word for word in words if word not in message] == []


async def check_on_connections_with(url: URL, statement: str) -> None:
    """Check table ``t`` on a connection that executed ``statement`` first."""
    engine = create_async_engine(url, poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
        connection.commit()

    await migrate.check(engine, table="t")
    await engine.dispose()


@pytest.mark.parametrize(
    ("target", "layout"),
    [(FIRST_TARGETS[layout.database], layout) for layout in LAYOUTS if layout.is_supported],
    indirect=["target"],
    ids=str,
)
async def test_a_supported_layout_passes(empty_url: URL, target: Target, layout: Layout) -> None:
    """A table that is partitioned by its keys has unique ids, and passes."""
    await execute(empty_url, *layout.statements)

    await migrate.upgrade(empty_url, table="t")

    await migrate.check(empty_url, table="t")


@pytest.mark.parametrize(
    ("target", "layout"),
    [(FIRST_TARGETS[layout.database], layout) for layout in LAYOUTS if not layout.is_supported],
    indirect=["target"],
    ids=str,
)
async def test_another_layout_is_reported(empty_url: URL, target: Target, layout: Layout) -> None:
    """Where two sessions could have one id, it says why, and what to do."""
    await execute(empty_url, *layout.statements)
    await migrate.upgrade(empty_url, table="t")
    expected = ["inherit from it (t_0, t_1)"]
    if "PARTITION BY" in layout.statements[0]:
        family = "HASH (id)" if layout.database == "postgresql" else "KEY (id)"
        expected = ["primary key is (id, deadline)", f"partition by {family}"]

    with problem("ids would not be unique", *expected):
        await migrate.check(empty_url, table="t")


@on("postgresql", "mysql", "mariadb")
async def test_the_documented_partitioning_passes(empty_url: URL, target: Target) -> None:
    """The statements in the guide turn a migrated table with a session into one that passes."""
    await migrate.upgrade(empty_url)
    session_id = SessionId.generate()
    async with SQLSessionStore(empty_url) as store:
        await store.create(session_id, SessionRecord({"user": 1}, timedelta(hours=1)))
        guide = ROOT / "docs" / "guides" / "partitioning.md"
        statements = [
            statement
            for block in blocks_of(guide)
            for statement in sql_for(target.database, block.code)
            if block.language == "sql"
        ]
        assert any("PARTITION BY" in statement for statement in statements)

        await execute(empty_url, *statements)

        await migrate.check(empty_url)
        loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"user": 1}


@on("postgresql", "mysql", "mariadb")
async def test_a_missing_primary_key_is_reported(empty_url: URL, target: Target) -> None:
    """As after a restore of data without its constraints."""
    await execute(
        empty_url,
        f"CREATE TABLE t ({COLUMNS[target.database]})",
        "CREATE INDEX t_expiry_bucket ON t (expiry_bucket)",
    )
    await migrate.upgrade(empty_url, table="t")

    with problem("primary key is ()"):
        await migrate.check(empty_url, table="t")


@on("sqlite")
async def test_a_missing_primary_key_is_reported_on_sqlite(
    url: URL, tmp_path: object, target: Target
) -> None:
    """Likewise, with the types of SQLite."""
    url = url.set(database=f"{tmp_path}/t.db")
    await execute(
        url,
        "CREATE TABLE t (id BLOB NOT NULL, deadline INTEGER NOT NULL, state BLOB NOT NULL, "
        "expiry_bucket INTEGER GENERATED ALWAYS AS (deadline >> 28) STORED)",
        "CREATE INDEX t_expiry_bucket ON t (expiry_bucket)",
    )
    await migrate.upgrade(url, table="t")

    with problem("primary key is ()"):
        await migrate.check(url, table="t")


@on("mysql", "mariadb")
async def test_autocommit_of_which_the_server_does_not_tell_is_reported(
    empty_url: URL, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is told that it is on, as by a MySQL where it is off by default."""
    await migrate.upgrade(empty_url, table="t")
    await check_on_connections_with(empty_url, "SET autocommit = 0")

    monkeypatch.setattr(mysql_problems, "is_autocommit", lambda _connection: True)

    with problem("nothing would be committed", "init_command"):
        await check_on_connections_with(empty_url, "SET autocommit = 0")


@on("postgresql")
async def test_row_level_security_without_a_policy_is_reported(
    empty_url: URL, target: Target
) -> None:
    """Supabase advises to turn it on for every table. The owner is not affected."""
    role = f"sessionstore_test_{secrets.token_hex(4)}"
    await migrate.upgrade(empty_url, table="t")
    await execute(
        empty_url,
        f"CREATE ROLE {role}",
        f"GRANT SELECT ON t, t_version TO {role}",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    )
    try:
        with problem("row-level security"):
            await check_on_connections_with(empty_url, f"SET ROLE {role}")
        await migrate.check(empty_url, table="t")

        await execute(empty_url, f"CREATE POLICY everything ON t TO {role} USING (true)")

        await check_on_connections_with(empty_url, f"SET ROLE {role}")
    finally:
        await execute(empty_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@on("postgresql")
async def test_a_partition_alone_is_reported(empty_url: URL, target: Target) -> None:
    """It takes only some of the ids."""
    await migrate.upgrade(empty_url, table="t")
    await execute(
        empty_url,
        "CREATE TABLE whole (LIKE t INCLUDING ALL) PARTITION BY HASH (id)",
        "ALTER TABLE whole ATTACH PARTITION t FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    )

    with pytest.raises(migrate.MigrationError, match="'t' is a partition of whole"):
        await migrate.check(empty_url, table="t")


@on("postgresql", "mysql", "mariadb")
@pytest.mark.parametrize(
    ("actions", "is_problem"),
    [
        ("", True),
        ("ON DELETE CASCADE", True),
        ("ON UPDATE CASCADE", True),
        ("ON UPDATE CASCADE ON DELETE RESTRICT", True),
        ("ON UPDATE CASCADE ON DELETE CASCADE", False),
        ("ON UPDATE CASCADE ON DELETE SET NULL", False),
    ],
)
async def test_a_foreign_key_to_the_sessions_is_reported(
    empty_url: URL, target: Target, actions: str, is_problem: bool
) -> None:
    """Unless what refers to a session follows its rotation and its end."""
    await migrate.upgrade(empty_url, table="t")
    id_type = "BYTEA" if target.database == "postgresql" else "BINARY(32)"
    await execute(
        empty_url,
        f"CREATE TABLE cart (session {id_type}, FOREIGN KEY (session) REFERENCES t (id) {actions})",
    )

    if is_problem:
        with problem("cart has a foreign key", "CASCADE on updates"):
            await migrate.check(empty_url, table="t")
    else:
        await migrate.check(empty_url, table="t")


@on("mysql", "mariadb")
async def test_another_storage_engine_is_reported(empty_url: URL, target: Target) -> None:
    """One without transactions and row locks."""
    await migrate.upgrade(empty_url, table="t")
    await execute(empty_url, "ALTER TABLE t ENGINE = MyISAM")

    with problem("storage engine is MyISAM"):
        await migrate.check(empty_url, table="t")


@on("postgresql")
async def test_read_only_transactions_are_reported(empty_url: URL, target: Target) -> None:
    """As the role or the database may have them by default."""
    await migrate.upgrade(empty_url, table="t")

    with problem("read-only"):
        await check_on_connections_with(empty_url, "SET default_transaction_read_only = on")


@on("mysql", "mariadb")
async def test_read_only_transactions_are_reported_on_mysql(empty_url: URL, target: Target) -> None:
    """Likewise."""
    await migrate.upgrade(empty_url, table="t")

    with problem("read-only"):
        await check_on_connections_with(empty_url, "SET SESSION TRANSACTION READ ONLY")
