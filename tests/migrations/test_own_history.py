"""The application's own Alembic creates the session table: by autogenerate, or as a branch."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SQLSessionStore, migrate
from sessionstore_sql.schema import session_table
from sessionstore_sql.testing.support import record
from tests.migrations.databases import execute, tables_at
from tests.migrations.projects import IN_METADATA, Project

pytestmark = [pytest.mark.anyio, pytest.mark.default_drivers]

OUR_VERSION_TABLE = "sessionstore_sessions_version"
HEAD = migrate.newest_revision()


async def options_of(url: URL) -> list[str] | None:
    """Return the storage parameters of the table on PostgreSQL."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        statement = text("SELECT reloptions FROM pg_class WHERE relname = 'sessionstore_sessions'")
        found: list[str] | None = (await connection.execute(statement)).scalar_one()
    await engine.dispose()
    return found


async def require_working_store(url: URL) -> None:
    """Fail unless sessions can be stored and loaded."""
    async with SQLSessionStore(url) as store:
        session_id = SessionId.generate()
        await store.create(session_id, record())
        assert await store.load(session_id) is not None


@pytest.fixture
def project(tmp_path: Path, empty_url: URL) -> Project:
    """An application that has put the table into its metadata."""
    return Project(tmp_path / "host", empty_url, sessions=IN_METADATA)


async def test_autogenerate_writes_the_table_into_the_applications_history(
    project: Project, empty_url: URL
) -> None:
    """One history, one head, no drift, and the same table as our own revisions make."""
    generated = await project.generate("first")
    await project.alembic("upgrade", "head")

    await project.require_no_drift()
    assert (await project.alembic("heads")).split() == ["first", "(head)"]
    assert "'users'" in generated
    assert await tables_at(empty_url) == {"alembic_version", "users", "sessionstore_sessions"}
    if empty_url.get_backend_name() == "postgresql":
        assert await options_of(empty_url) == ["fillfactor=80"]
    await migrate.check(empty_url)
    await require_working_store(empty_url)
    await project.alembic("downgrade", "base")
    assert "sessionstore_sessions" not in await tables_at(empty_url)


async def test_a_table_of_the_application_is_left_to_its_alembic(
    project: Project, empty_url: URL
) -> None:
    """Our upgrade finds nothing to do, records nothing, and does not downgrade."""
    await project.generate("first")
    await project.alembic("upgrade", "head")

    await migrate.upgrade(empty_url)
    with pytest.raises(CommandError, match="your application's own Alembic history"):
        await migrate.downgrade(empty_url, "base")

    assert await migrate.current(empty_url) is None
    assert OUR_VERSION_TABLE not in await tables_at(empty_url)
    await project.require_no_drift()


async def test_an_outdated_table_of_the_application_names_its_alembic(
    project: Project, empty_url: URL
) -> None:
    """The next version of the package needs a column: autogenerate adds it, and we say so."""
    await project.generate("first")
    await project.alembic("upgrade", "head")
    await execute(empty_url, "ALTER TABLE sessionstore_sessions DROP COLUMN about")

    advice = r"application's own.*alembic revision --autogenerate.*upgrade head"
    with pytest.raises(migrate.MigrationError, match=rf"{advice}.*add_column .*about") as caught:
        await migrate.check(empty_url)
    with pytest.raises(CommandError, match=advice):
        await migrate.upgrade(empty_url)

    assert caught.value.is_outdated
    assert "about" in await project.generate("second")
    await project.alembic("upgrade", "head")
    await migrate.check(empty_url)
    await project.require_no_drift()


async def test_the_application_may_add_to_its_table(project: Project, empty_url: URL) -> None:
    """What no statement of the store meets: nullable columns, and indexes that are not unique."""
    await project.generate("first")
    await project.alembic("upgrade", "head")

    await execute(
        empty_url,
        "ALTER TABLE sessionstore_sessions ADD COLUMN tenant INTEGER",
        "CREATE INDEX by_tenant ON sessionstore_sessions (tenant)",
    )
    await migrate.check(empty_url)

    await execute(empty_url, "CREATE UNIQUE INDEX one_tenant ON sessionstore_sessions (tenant)")
    with pytest.raises(migrate.MigrationError, match="one_tenant"):
        await migrate.check(empty_url)


async def test_a_branch_of_the_applications_history(tmp_path: Path, empty_url: URL) -> None:
    """Its Alembic runs our revisions; the functions here only look."""
    revisions = f"{migrate.script_location()}/versions"
    project = Project(tmp_path / "host", empty_url, sessions=IN_METADATA, others=revisions)
    await project.alembic("upgrade", "sessionstore_0001")
    advice = "alembic upgrade sessionstore@head"
    with pytest.raises(migrate.MigrationError, match=rf"{advice}.*add_column .*subject"):
        await migrate.check(empty_url)
    with pytest.raises(CommandError, match=advice):
        await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == "sessionstore_0001"

    await project.alembic("upgrade", "sessionstore@head")
    versions = ("--head", "base", "--version-path", str(project.versions))
    await project.generate("first", *versions, "--branch-label", "shop")
    await project.alembic("upgrade", "heads")

    await project.require_no_drift()
    await migrate.check(empty_url)
    await migrate.upgrade(empty_url)
    assert await migrate.current(empty_url) == HEAD
    assert OUR_VERSION_TABLE not in await tables_at(empty_url)
    await require_working_store(empty_url)


async def test_a_separate_history_beside_the_applications(tmp_path: Path, empty_url: URL) -> None:
    """Each Alembic leaves the tables of the other alone."""
    project = Project(
        tmp_path / "host", empty_url, options="include_name=migrate.exclude_session_tables()"
    )
    await project.generate("first")
    await project.alembic("upgrade", "head")

    await migrate.upgrade(empty_url)

    await project.require_no_drift()
    await migrate.check(empty_url)
    assert await migrate.current(empty_url) == HEAD
    await project.alembic("downgrade", "base")
    await migrate.check(empty_url)


async def test_a_table_without_a_recorded_revision_is_compared(empty_url: URL) -> None:
    """``create_all`` has made what is needed; an upgrade takes the table over."""
    engine = create_async_engine(empty_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(session_table().metadata.create_all)
    await engine.dispose()

    await migrate.check(empty_url)
    await execute(empty_url, "ALTER TABLE sessionstore_sessions DROP COLUMN about")
    with pytest.raises(migrate.MigrationError, match=r"no migration is recorded.*about"):
        await migrate.check(empty_url)
    await migrate.upgrade(empty_url)

    await migrate.check(empty_url)
    assert await migrate.current(empty_url) == HEAD
