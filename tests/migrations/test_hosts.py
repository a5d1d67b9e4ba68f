"""A host that has an Alembic of its own: beside it, and inside of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.runtime.environment import IncludeNameFn
from sqlalchemy import URL, Column, Integer, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import migrate
from tests.migrations.databases import ROOT, execute
from tests.migrations.projects import Project

pytestmark = pytest.mark.anyio

HOST_ENV = """
from alembic import context
from sqlalchemy import MetaData, create_engine
from sessionstore_sql.schema import session_table

metadata = MetaData()
session_table(metadata=metadata)
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""

HOST_REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "host_1"
down_revision = None


def upgrade():
    op.create_table("hosts_own", sa.Column("id", sa.Integer))
    op.drop_table("hosts_own")


def downgrade():
    pass
"""

HOST_INI = """
[alembic]
script_location = %(here)s/host
path_separator = newline
version_locations =
    %(here)s/host/versions
    {ours}
sqlalchemy.url = sqlite:///host.db
"""


async def differences(url: URL, metadata: MetaData, **options: Any) -> list[Any]:
    """Return what a host's ``--autogenerate`` would write."""
    engine: AsyncEngine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), metadata)
        )
    await engine.dispose()
    return list(found)


@pytest.mark.parametrize("include_schemas", [False, True])
async def test_autogenerate_leaves_our_tables_out(empty_url: URL, include_schemas: bool) -> None:
    """With the helper, autogenerate ignores the session tables and sees all others."""
    await migrate.upgrade(empty_url)
    await execute(empty_url, "CREATE TABLE forgotten (id INTEGER)")
    host = MetaData()
    Table("planned", host, Column("id", Integer))

    exclude = migrate.exclude_session_tables()

    def include_name(name: str | None, type_: str, parents: Any) -> bool:
        # As MySQL and PostgreSQL show a user with many rights more than this test's database.
        return exclude(name, type_, parents) and (type_ != "schema" or name is None)

    found = await differences(
        empty_url, host, include_name=include_name, include_schemas=include_schemas
    )

    assert sorted((what, table.name) for what, table in found) == [
        ("add_table", "planned"),
        ("remove_table", "forgotten"),
    ]


OURS = ["sessionstore_sessions", "sessionstore_sessions_version"]


async def test_autogenerate_would_drop_our_tables_without_the_helper(empty_url: URL) -> None:
    """What the helper is for."""
    await migrate.upgrade(empty_url)

    found = await differences(empty_url, MetaData())

    assert {difference[1].name for difference in found if difference[0] == "remove_table"} == {
        *OURS
    }


async def test_the_helper_knows_the_name_and_the_schema() -> None:
    """It leaves out a table of that name where ours is, and nothing else."""
    include_name: IncludeNameFn = migrate.exclude_session_tables("logins", schema="web")

    assert not include_name("logins", "table", {"schema_name": "web"})
    assert not include_name("logins_version", "table", {"schema_name": "web"})
    assert include_name("logins", "table", {"schema_name": "other"})
    assert include_name("users", "table", {"schema_name": "web"})
    assert include_name("logins", "column", {"schema_name": "web", "table_name": "users"})


@pytest.mark.parametrize("ours", [None, "default", "other"])
async def test_the_helper_hides_a_table_in_one_schema_only(
    empty_url: URL, tmp_path: Path, ours: str | None
) -> None:
    """The host has tables of the same names in the default schema, or in another one."""
    if empty_url.get_backend_name() != "postgresql":
        pytest.skip("only PostgreSQL has several schemas in a database of this test's own")
    await execute(empty_url, "CREATE SCHEMA auth")
    schema = {"default": "public", "other": "auth"}.get(ours or "")
    hosts = "public" if ours == "other" else "auth"
    await migrate.upgrade(empty_url, table="logins", schema=schema)
    await execute(empty_url, f"CREATE TABLE {hosts}.logins (id INTEGER)")
    hidden = f"migrate.exclude_session_tables('logins', schema={schema!r})"
    host = Project(
        tmp_path / "host", empty_url, options=f"include_schemas=True, include_name={hidden}"
    )

    generated = await host.generate("first")
    found = await differences(
        empty_url,
        MetaData(),
        include_schemas=True,
        include_name=migrate.exclude_session_tables("logins", schema=schema),
    )

    upgrade = generated[generated.index("def upgrade") : generated.index("def downgrade")]
    assert upgrade.count("op.drop_table") == 1
    assert ("op.drop_table('logins', schema='auth')" in upgrade) is (hosts == "auth")
    assert "logins_version" not in upgrade
    assert [(what, table.name, table.schema) for what, table in found] == [
        ("remove_table", "logins", None if hosts == "public" else hosts)
    ]


async def test_the_hosts_own_version_table_is_left_alone(empty_url: URL) -> None:
    """``alembic_version`` is the host's: what is in it stays through up and down."""
    await execute(
        empty_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('hosts')",
    )

    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "base")

    engine = create_async_engine(empty_url, poolclass=NullPool)
    async with engine.connect() as connection:
        heads = await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_heads()
        )
    await engine.dispose()
    assert heads == ("hosts",)


def test_our_revisions_are_a_branch_of_the_hosts_history(tmp_path: Path) -> None:
    """Inside the host's history, its own Alembic goes up and down, and finds no drift."""
    versions = tmp_path / "host" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "host" / "env.py").write_text(HOST_ENV)
    (versions / "host_1.py").write_text(HOST_REVISION)
    ours = f"{migrate.script_location()}/versions".replace("%", "%%")
    (tmp_path / "alembic.ini").write_text(HOST_INI.format(ours=ours))

    def alembic(*command: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "alembic", *command],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    alembic("upgrade", "host_1")
    alembic("upgrade", "sessionstore@head")
    assert "No new upgrade operations" in alembic("check")
    assert {line.split()[0] for line in alembic("current").splitlines()} == {
        "host_1",
        "sessionstore_0002",
    }
    alembic("downgrade", "sessionstore@base")
    assert alembic("current").split() == ["host_1", "(head)"]
    alembic("upgrade", "heads")
