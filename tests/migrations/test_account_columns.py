"""Revision 0002: up and down with rows in the table, while the table is in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest
from sqlalchemy import URL, Connection, bindparam, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import migrate
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named
from tests.migrations.databases import alembic, columns_of, description, execute, shown

pytestmark = pytest.mark.anyio

BEFORE, AFTER = "sessionstore_0001", "sessionstore_0002"
COLUMNS = {
    *("subject", "handle", "created", "authenticated", "seen"),
    *("final_deadline", "idle_ttl", "version", "about"),
}
ROWS = 1_000
LOCKED = "the table is locked by a transaction"
LARGE = 5_000
"""Rows of 1,900 bytes: more than the 8 MiB up to which PostgreSQL builds the index at once."""


def executed_on(engine: AsyncEngine) -> list[str]:
    """Return a list to which every statement is added that is executed from here on."""
    executed: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        executed.append(statement)

    return executed


async def insert(engine: AsyncEngine, table: str, rows: int, size: int = 20) -> None:
    """Insert rows of revision 0001: every second one has expired."""
    statement = text(f"INSERT INTO {table} (id, deadline, state) VALUES (:id, :deadline, :state)")
    binary = dialect_named(engine.dialect.name).binary
    statement = statement.bindparams(
        bindparam("id", type_=binary), bindparam("state", type_=binary)
    )
    values = [
        {
            "id": number.to_bytes(32),
            "deadline": (4_000_000_000 if number % 2 else 1_000_000_000) * 1_000_000 + number,
            "state": str(number).encode().ljust(size),
        }
        for number in range(rows)
    ]
    async with engine.begin() as connection:
        await connection.execute(statement, values)


async def rows_of(engine: AsyncEngine, table: str) -> list[tuple[Any, ...]]:
    """Return the columns of revision 0001, by id."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text(f"SELECT id, deadline, state, expiry_bucket FROM {table} ORDER BY id")
        )
        return [
            (bytes(key), deadline, bytes(state), bucket) for key, deadline, state, bucket in found
        ]


@pytest.fixture
async def filled(url: URL, table: str, engine: AsyncEngine) -> str:
    """A table at revision 0001 with rows in it."""
    await migrate.upgrade(url, BEFORE, table=table)
    await insert(engine, table, ROWS)
    return table


@pytest.mark.every_driver
async def test_forward_and_back_keeps_every_row(url: URL, filled: str, engine: AsyncEngine) -> None:
    """All columns of 0001 are as they were after the upgrade, and after the downgrade."""
    before = await rows_of(engine, filled)
    assert len(before) == ROWS

    await migrate.upgrade(url, table=filled)

    await migrate.check(url, table=filled)
    assert await rows_of(engine, filled) == before
    assert await columns_of(engine, filled) > COLUMNS

    await migrate.downgrade(url, BEFORE, table=filled)

    assert await migrate.current(url, table=filled) == BEFORE
    assert await rows_of(engine, filled) == before
    assert await columns_of(engine, filled) & COLUMNS == set()

    await migrate.upgrade(url, table=filled)
    await migrate.check(url, table=filled)


async def test_the_new_columns_of_old_rows_are_empty(
    url: URL, filled: str, engine: AsyncEngine
) -> None:
    """They are nullable, and have no default."""
    await migrate.upgrade(url, table=filled)

    conditions = " OR ".join(f"{column} IS NOT NULL" for column in sorted(COLUMNS))
    async with engine.connect() as connection:
        count = await connection.scalar(text(f"SELECT count(*) FROM {filled} WHERE {conditions}"))
    assert count == 0


async def test_the_columns_are_added_without_a_copy_of_the_table(
    url: URL, filled: str, engine: AsyncEngine
) -> None:
    """PostgreSQL keeps the file, and the MySQL family is told to change nothing else."""
    executed = executed_on(engine)
    file = await file_of(engine, filled)

    await migrate.upgrade(engine, table=filled)

    assert await file_of(engine, filled) == file
    if url.get_backend_name() in {"mysql", "mariadb"}:
        (added,) = [each for each in executed if "ADD COLUMN" in each]
        (indexed,) = [each for each in executed if "ADD INDEX" in each]
        assert added.endswith(", ALGORITHM=INSTANT")
        assert indexed.endswith(", ALGORITHM=INPLACE, LOCK=NONE")


async def file_of(engine: AsyncEngine, table: str) -> object:
    """Return the number of the file that a table of PostgreSQL's is in."""
    if engine.dialect.name != "postgresql":
        return None
    async with engine.connect() as connection:
        return await connection.scalar(text(f"SELECT pg_relation_filenode('{table}')"))


async def test_a_table_that_cannot_be_changed_instantly_is_changed_in_place(
    url: URL, filled: str, engine: AsyncEngine
) -> None:
    """A compressed table of InnoDB's is rebuilt, and can be written to meanwhile."""
    if url.get_backend_name() not in {"mysql", "mariadb"}:
        pytest.skip("InnoDB's own")
    await execute(url, f"ALTER TABLE {filled} ROW_FORMAT=COMPRESSED")
    before = await rows_of(engine, filled)
    executed = executed_on(engine)

    await migrate.upgrade(engine, table=filled)
    await migrate.check(url, table=filled)

    assert executed_with(executed, "ADD COLUMN") == [
        ", ALGORITHM=INSTANT",
        ", ALGORITHM=INPLACE, LOCK=NONE",
    ]
    assert await rows_of(engine, filled) == before
    await migrate.downgrade(url, BEFORE, table=filled)
    assert await rows_of(engine, filled) == before


def executed_with(executed: list[str], part: str) -> list[str]:
    """Return how the statements with ``part`` are to be executed."""
    return [each[each.index(", ALGORITHM") :] for each in executed if part in each]


@asynccontextmanager
async def reading_transaction(engine: AsyncEngine, table: str) -> AsyncIterator[AsyncConnection]:
    """Hold what a long report holds: a transaction that has read the table."""
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT count(*) FROM {table}"))
        yield connection
        await connection.rollback()


class Waiting(logging.Handler):
    """Notes when an upgrade has waited for the table."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.loop = asyncio.get_running_loop()
        self.happened = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        if LOCKED in record.getMessage():
            self.loop.call_soon_threadsafe(self.happened.set)


@contextmanager
def noted() -> Iterator[Waiting]:
    """Yield what notes that an upgrade waits."""
    logger, waiting = logging.getLogger("alembic.runtime.migration"), Waiting()
    before = logger.level
    logger.addHandler(waiting)
    logger.setLevel(logging.INFO)
    try:
        yield waiting
    finally:
        logger.removeHandler(waiting)
        logger.setLevel(before)


async def test_a_locked_table_is_waited_for_without_blocking_the_others(
    url: URL, filled: str, engine: AsyncEngine
) -> None:
    """A long transaction delays the upgrade; sessions are read and written meanwhile."""
    if url.get_backend_name() == "sqlite":
        pytest.skip("SQLite has one lock, which the queue waits for")
    with noted() as waiting, anyio.fail_after(60):
        async with reading_transaction(engine, filled):
            upgrade = asyncio.create_task(migrate.upgrade(url, table=filled))
            await waiting.happened.wait()
            waiting.happened.clear()
            async with engine.begin() as connection:
                await connection.execute(text(f"UPDATE {filled} SET deadline = deadline + 1"))
                await connection.execute(text(f"SELECT count(*) FROM {filled}"))
            assert not upgrade.done()
        await upgrade

    await migrate.check(url, table=filled)


@pytest.mark.every_driver
@pytest.mark.parametrize("step", ["columns", "index"])
async def test_a_cancelled_upgrade_is_cancelled(
    url: URL, table: str, engine: AsyncEngine, step: str
) -> None:
    """Not an error of the settings that it would restore on a connection that is closed."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        pytest.skip("SQLite has one lock, which the queue waits for")
    await migrate.upgrade(url, BEFORE, table=table)
    await insert(engine, table, LARGE, size=1_900)
    if step == "index":
        await migrate.upgrade(url, table=table)
        index = f"DROP INDEX {table}_subject"
        await execute(
            url,
            index if backend == "postgresql" else f"{index} ON {table}",
            f"UPDATE {table}_version SET version_num = '{BEFORE}'",
        )

    with noted() as waiting, anyio.fail_after(60):
        async with reading_transaction(engine, table) as connection:
            # A write is what keeps PostgreSQL from building an index concurrently.
            await connection.execute(text(f"UPDATE {table} SET deadline = deadline + 1"))
            upgrade = asyncio.create_task(migrate.upgrade(url, table=table))
            await waiting.happened.wait()
            upgrade.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upgrade

    await migrate.upgrade(url, table=table)
    await migrate.check(url, table=table)


@pytest.mark.parametrize(
    "done", [{"subject"}, {"subject", "handle", "version"}, COLUMNS], ids=["one", "some", "all"]
)
async def test_an_upgrade_that_stopped_half_way_is_resumed(
    url: URL, filled: str, engine: AsyncEngine, done: set[str]
) -> None:
    """With some columns made, and neither the index nor the revision."""
    types = session_table().c
    for name in sorted(done):
        column = f"{name} {types[name].type.compile(engine.dialect)}"
        await execute(url, f"ALTER TABLE {filled} ADD COLUMN {column}")

    await migrate.upgrade(url, table=filled)

    await migrate.check(url, table=filled)
    assert len(await rows_of(engine, filled)) == ROWS


async def test_an_upgrade_that_stopped_before_the_revision_is_resumed(
    url: URL, filled: str, engine: AsyncEngine
) -> None:
    """With columns and index made, only the revision is noted."""
    await migrate.upgrade(url, table=filled)
    await execute(url, f"UPDATE {filled}_version SET version_num = '{BEFORE}'")

    await migrate.upgrade(url, table=filled)

    await migrate.check(url, table=filled)


async def test_a_downgrade_that_stopped_half_way_is_resumed(url: URL, filled: str) -> None:
    """With the index and some columns dropped."""
    await migrate.upgrade(url, table=filled)
    on = f" ON {filled}" if url.get_backend_name() in {"mysql", "mariadb"} else ""
    await execute(
        url, f"DROP INDEX {filled}_subject{on}", f"ALTER TABLE {filled} DROP COLUMN handle"
    )

    await migrate.downgrade(url, BEFORE, table=filled)

    assert await migrate.current(url, table=filled) == BEFORE
    await migrate.upgrade(url, table=filled)
    await migrate.check(url, table=filled)


async def test_a_table_made_by_create_all_is_taken_over(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """Both revisions find that there is nothing to do."""
    async with engine.begin() as connection:
        await connection.run_sync(session_table(table).metadata.create_all)
    made = await description(engine, table)

    await migrate.upgrade(url, table=table)

    assert await description(engine, table) == made
    await migrate.check(url, table=table)


class TestIndexOnPostgreSQL:
    """CONCURRENTLY, where it helps and where it can be."""

    @pytest.fixture
    async def large(self, url: URL, table: str, engine: AsyncEngine) -> str:
        """A table whose index is not built at once."""
        if url.get_backend_name() != "postgresql":
            pytest.skip("PostgreSQL's own")
        await migrate.upgrade(url, BEFORE, table=table)
        await insert(engine, table, LARGE, size=1_900)
        return table

    async def index_statements(self, engine: AsyncEngine, run: Any) -> list[str]:
        """Return what is executed about the index."""
        executed = executed_on(engine)
        await run()
        words = (each.split() for each in executed if "_subject" in each)
        return [" ".join(each[:3]) for each in words if each[1:2] == ["INDEX"]]

    async def test_a_small_table_is_indexed_at_once(
        self, url: URL, table: str, engine: AsyncEngine
    ) -> None:
        """It need not wait for the other transactions of the database."""
        if url.get_backend_name() != "postgresql":
            pytest.skip("PostgreSQL's own")
        async with reading_transaction(engine, "pg_class"):
            statements = await self.index_statements(
                engine, lambda: migrate.upgrade(engine, table=table)
            )

        assert [each.split()[:2] for each in statements] == [["CREATE", "INDEX"]]
        assert "CONCURRENTLY" not in statements[0]

    async def test_a_large_table_is_indexed_concurrently(
        self, url: URL, large: str, engine: AsyncEngine
    ) -> None:
        """Writes go on while the table is read."""
        statements = await self.index_statements(
            engine, lambda: migrate.upgrade(engine, table=large)
        )

        assert statements == ["CREATE INDEX CONCURRENTLY"]
        await migrate.check(url, table=large)

    async def test_what_was_interrupted_is_dropped_first(
        self, url: URL, large: str, engine: AsyncEngine
    ) -> None:
        """An invalid index is written by every change and used by no query."""
        await migrate.upgrade(url, table=large)
        its_row = f"pg_index WHERE indexrelid = '{large}_subject'::regclass"
        await execute(
            url,
            f"UPDATE {its_row.replace('WHERE', 'SET indisvalid = false WHERE')}",
            f"UPDATE {large}_version SET version_num = '{BEFORE}'",
        )

        statements = await self.index_statements(
            engine, lambda: migrate.upgrade(engine, table=large)
        )

        assert statements == ["DROP INDEX CONCURRENTLY", "CREATE INDEX CONCURRENTLY"]
        async with engine.connect() as connection:
            valid = await connection.scalar(text(f"SELECT indisvalid FROM {its_row}"))
        assert valid is True

    async def test_a_transaction_of_the_callers_is_not_committed(
        self, url: URL, large: str, engine: AsyncEngine
    ) -> None:
        """There the index is built without CONCURRENTLY, and rolled back with the rest."""
        async with engine.connect() as connection:
            transaction = await connection.begin()
            statements = await self.index_statements(
                engine, lambda: migrate.upgrade(connection, table=large)
            )
            await migrate.check(connection, table=large)
            await transaction.rollback()

        assert statements != []
        assert not any("CONCURRENTLY" in each for each in statements)
        assert await migrate.current(url, table=large) == BEFORE

    async def test_a_connection_in_autocommit_can_do_it_too(self, url: URL, large: str) -> None:
        """As those of a store's own engine are."""
        autocommit = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

        async def run() -> None:
            async with autocommit.begin() as connection:
                await migrate.upgrade(connection, table=large)

        statements = await self.index_statements(autocommit, run)

        assert statements == ["CREATE INDEX CONCURRENTLY"]
        await migrate.check(url, table=large)
        await autocommit.dispose()

    async def test_settings_are_put_back(self, large: str, engine: AsyncEngine) -> None:
        """The connection that the upgrade used has its own lock_timeout again."""
        async with engine.connect() as connection:
            await connection.execute(text("SET lock_timeout = '1234ms'"))
            await connection.commit()
            await migrate.upgrade(connection, table=large)

            assert await connection.scalar(text("SHOW lock_timeout")) == "1234ms"


async def test_a_script_from_0001_makes_the_same_table(
    url: URL, filled: str, table: str, engine: AsyncEngine
) -> None:
    """What an administrator is given to run."""
    options = ("-x", f"url={shown(url)}", "-x", f"table={filled}")
    made = await anyio.to_thread.run_sync(
        lambda: alembic(*options, "upgrade", f"{BEFORE}:{AFTER}", "--sql")
    )
    assert made.returncode == 0, made.stderr
    back = await anyio.to_thread.run_sync(
        lambda: alembic(*options, "downgrade", f"{AFTER}:{BEFORE}", "--sql")
    )
    assert back.returncode == 0, back.stderr
    before = await description(engine, filled)

    await run_statements(url, made.stdout)

    await migrate.check(url, table=filled)
    assert ("CONCURRENTLY" in made.stdout) == (url.get_backend_name() == "postgresql")

    await run_statements(url, back.stdout)

    assert await migrate.current(url, table=filled) == BEFORE
    assert await description(engine, filled) == before


async def run_statements(url: URL, script: str) -> None:
    """Run a script one statement at a time, as a shell of the database does."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in script.split(";\n"):
            lines = [line for line in statement.splitlines() if not line.startswith("--")]
            if any(line.strip() for line in lines):
                await connection.exec_driver_sql("\n".join(lines))
    await engine.dispose()


async def test_a_host_that_owns_the_table_finds_no_drift(
    url: URL, table: str, engine: AsyncEngine
) -> None:
    """``session_table(metadata=..)`` and the revisions agree, by Alembic's own comparison."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import MetaData

    metadata = MetaData()
    session_table(table, metadata=metadata)
    await migrate.upgrade(url, table=table)

    def differences(connection: Connection) -> list[Any]:
        options = {"include_name": lambda name, type_, _: type_ != "table" or name == table}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
