"""Create the session table.

Run it before deploying the new code, which needs the table.

Each step first checks whether it is done already, because MySQL and MariaDB commit after each
statement: the next upgrade continues one that stopped half-way, and accepts a table that
``create_all`` has created.

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

from sessionstore_sql.migrate.places import require_whole

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import DDLCompiler

# Not 0001, because an application's history can contain these revisions beside its own.
revision = "sessionstore_0001"
down_revision = None
branch_labels = ("sessionstore",)
depends_on = None

COLUMNS = {"id", "deadline", "state", "expiry_bucket"}


def upgrade() -> None:
    """Create the table and its index."""
    table, schema = _place()
    _require_whole(table, schema)
    columns, indexes = _found(table, schema)
    if not columns:
        _create_table(table, schema)
    elif not columns >= COLUMNS:  # `create_all` makes those of later revisions too
        raise CommandError(
            f"the table {table!r} exists and is not a session table: rename it, or choose another "
            "name for the session table"
        )
    if _is_postgresql() and not _is_partitioned(table, schema):
        op.execute(_SetFillfactor(sa.table(table, schema=schema)))
    if f"{table}_expiry_bucket" not in indexes:
        op.create_index(f"{table}_expiry_bucket", table, ["expiry_bucket"], schema=schema)


def downgrade() -> None:
    """Drop the table. All sessions are lost, and all users have to log in again."""
    table, schema = _place()
    _require_whole(table, schema)
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
    """Return the names of the table and its schema, which env.py stores in the attributes."""
    config = op.get_context().config
    attributes = {} if config is None else config.attributes
    return attributes.get("table", "sessionstore_sessions"), attributes.get("schema")


def _require_whole(table: str, schema: str | None) -> None:
    """Explain what a partition is, also in an application's own history."""
    if not op.get_context().as_sql:
        require_whole(op.get_bind(), table, schema)


def _found(table: str, schema: str | None) -> tuple[set[str], set[str]]:
    """Return the existing columns and indexes; with ``--sql``, none."""
    if op.get_context().as_sql:
        return set(), set()
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(table, schema=schema):
        return set(), set()
    columns = {column["name"] for column in inspector.get_columns(table, schema=schema)}
    indexes = {str(index["name"]) for index in inspector.get_indexes(table, schema=schema)}
    # On MySQL, SQLAlchemy 2.1.9 does not undo the doubling of a backtick in an index name.
    return columns, indexes | {name.replace("``", "`") for name in indexes}


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _is_partitioned(table: str, schema: str | None) -> bool:
    """Whether an operator has made a partitioned table, whose partitions have a fillfactor each."""
    if op.get_context().as_sql:
        return False
    # The server quotes the name: SQLAlchemy's quoting also doubles percent signs for psycopg.
    kind = sa.text("""
        SELECT relkind FROM pg_class WHERE oid =
            to_regclass(coalesce(quote_ident(:schema) || '.', '') || quote_ident(:table))
    """)
    names = {"schema": schema, "table": table}
    return bool(op.get_bind().execute(kind, names).scalar_one() in {"p", b"p"})


class _SetFillfactor(ExecutableDDLElement):
    """Sets the fillfactor, so that each page has room for new versions of its rows."""

    def __init__(self, table: sa.TableClause) -> None:
        self.table = table


@compiles(_SetFillfactor)
def _set_fillfactor(element: _SetFillfactor, compiler: DDLCompiler, **_: Any) -> str:
    # A construct instead of text, so that the name is quoted like all others.
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} SET (fillfactor = 80)"
