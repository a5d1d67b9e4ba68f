"""Small applications with an Alembic of their own, in a folder, as ``alembic init`` makes them."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from alembic.config import CommandLine, Config
from sqlalchemy import URL

from tests.migrations.databases import shown

MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table
from sessionstore_sql.schema import session_table

metadata = MetaData()
Table("users", metadata, Column("id", Integer, primary_key=True))
{sessions}
"""

ENV = """
import asyncio
from alembic import context
from models import metadata
from sessionstore_sql import migrate
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine


def run_migrations(connection):
    context.configure(connection=connection, target_metadata=metadata, {options})
    with context.begin_transaction():
        context.run_migrations()


async def main():
    url = context.config.get_main_option("sqlalchemy.url")
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run_migrations)
    await engine.dispose()


asyncio.run(main())
"""

INI = """
[alembic]
script_location = %(here)s/migrations
prepend_sys_path = %(here)s
path_separator = newline
version_locations =
    %(here)s/migrations/versions
    {others}
sqlalchemy.url = {url}
"""

TEMPLATE = '''
"""${message}"""
import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

IN_METADATA = "session_table(metadata=metadata)"


class Project:
    """An application, and its folder."""

    def __init__(
        self,
        folder: Path,
        url: URL,
        *,
        sessions: str = "",
        options: str = "",
        others: str = "",
    ) -> None:
        """Write the files.

        Args:
            folder: An empty folder.
            url: The application's database.
            sessions: What its models say of the session table.
            options: Further options of ``context.configure``.
            others: Further folders of revisions.
        """
        self.folder = folder
        versions = folder / "migrations" / "versions"
        versions.mkdir(parents=True)
        self.versions = versions
        self.models(sessions)
        (folder / "migrations" / "env.py").write_text(ENV.format(options=options))
        (folder / "migrations" / "script.py.mako").write_text(TEMPLATE)
        text = shown(url).replace("%", "%%")
        others = others.replace("%", "%%")
        (folder / "alembic.ini").write_text(INI.format(url=text, others=others))

    def models(self, sessions: str) -> None:
        """Change what the models say of the session table."""
        (self.folder / "models.py").write_text(MODELS.format(sessions=sessions))

    async def alembic(self, *arguments: str) -> str:
        """Return what Alembic's command prints to its standard output.

        It runs in a thread, as a process takes a second to start.
        """
        return await asyncio.to_thread(self._run, arguments)

    async def generate(self, name: str, *options: str) -> str:
        """Return the revision that autogenerate writes."""
        before = set(self.versions.glob("*.py"))
        await self.alembic("revision", "--autogenerate", "-m", name, "--rev-id", name, *options)
        (made,) = set(self.versions.glob("*.py")) - before
        return made.read_text()

    async def require_no_drift(self) -> None:
        """Fail if autogenerate would change anything."""
        assert "No new upgrade operations detected" in await self.alembic("check")

    def _run(self, arguments: tuple[str, ...]) -> str:
        options = CommandLine().parser.parse_args(arguments)
        output = io.StringIO()
        config = Config(self.folder / "alembic.ini", cmd_opts=options, stdout=output)
        function, positional, named = options.cmd
        path = list(sys.path)
        try:
            function(
                config,
                *(getattr(options, name, None) for name in positional),
                **{name: getattr(options, name, None) for name in named},
            )
        finally:
            sys.path[:] = path
            sys.modules.pop("models", None)
        return output.getvalue()
