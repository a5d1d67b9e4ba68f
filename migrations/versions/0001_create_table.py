"""Create the table of sessions.

Runs before the new code: there is nothing to read or write without the table.

Every step looks first, as MySQL and MariaDB commit after each: an upgrade that stopped half-way
is resumed by the next one, and a table that ``create_all`` made is taken over.

Revision: sessionstore_0001
Revises: nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import DDLCompiler

# Not 0001: inside a host's history, revisions of both stand side by side.
revision = "sessionstore_0001"
down_revision = None
branch_labels = ("sessionstore",)
depends_on = None

COLUMNS = {"id", "deadline", "state", "expiry_bucket"}


def upgrade() -> None:
    """Create the table and its index."""
    table, schema = _place()
    columns, indexes = _found(table, schema)
    if not columns:
        _create_table(table, schema)
    elif columns != COLUMNS:
        raise CommandError(
            f"the table {table!r} exists and holds something else than sessions: rename it, or "
            "choose another name for the sessions' table"
        )
    if _is_postgresql():
        op.execute(_SetFillfactor(sa.table(table, schema=schema)))
    if f"{table}_expiry_bucket" not in indexes:
        op.create_index(f"{table}_expiry_bucket", table, ["expiry_bucket"], schema=schema)


def downgrade() -> None:
    """Drop the table: every session is lost, and everybody has to log in again."""
    table, schema = _place()
    op.drop_table(table, schema=schema, if_exists=True)


def _create_table(table: str, schema: str | None) -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        table,
        sa.Column(
            "id",
            sa.LargeBinary().with_variant(mysql.BINARY(32), "mysql", "mariadb"),
            primary_key=True,
            nullable=False,
        ),
        sa.Column("deadline", big_integer, nullable=False),
        sa.Column(
            "state",
            sa.LargeBinary().with_variant(mysql.LONGBLOB, "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column("expiry_bucket", big_integer, sa.Computed("deadline >> 28", persisted=True)),
        schema=schema,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


def _place() -> tuple[str, str | None]:
    """Return the names of the table and its schema, which env.py puts among the attributes."""
    config = op.get_context().config
    attributes = {} if config is None else config.attributes
    return attributes.get("table", "sessionstore_sessions"), attributes.get("schema")


def _found(table: str, schema: str | None) -> tuple[set[str], set[str]]:
    """Return the columns and indexes that exist; a script (``--sql``) starts from nothing."""
    if op.get_context().as_sql:
        return set(), set()
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(table, schema=schema):
        return set(), set()
    columns = {column["name"] for column in inspector.get_columns(table, schema=schema)}
    indexes = {str(index["name"]) for index in inspector.get_indexes(table, schema=schema)}
    # SQLAlchemy 2.1.9 leaves a backtick doubled that is part of an index's name on MySQL.
    return columns, indexes | {name.replace("``", "`") for name in indexes}


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


class _SetFillfactor(ExecutableDDLElement):
    """Leaves room on each page for the next version of a row, so that an update stays there."""

    def __init__(self, table: sa.TableClause) -> None:
        self.table = table


@compiles(_SetFillfactor)
def _set_fillfactor(element: _SetFillfactor, compiler: DDLCompiler, **_: Any) -> str:
    # A construct and not text: the name is quoted as every other one is, % included.
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} SET (fillfactor = 80)"
