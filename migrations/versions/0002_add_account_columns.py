"""Add the columns of account sessions: whose a session is, since when, and for how long.

Runs before the new code, which needs the columns. The code of revision 0001 works on the table
too: every column is nullable and has no default.

It runs while the table is in use. The columns are added without touching a row, and the index,
which has no entries yet, is built without locking out writes. A table that is locked by a long
transaction is waited for in short attempts: a single long one would block every session that
comes after it.

Every step looks first: an upgrade that stopped half-way is resumed by the next one, and a table
that ``create_all`` made is taken over.

Revision: sessionstore_0002
Revises: sessionstore_0001
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, DropIndex, ExecutableDDLElement

from sessionstore_sql.migrate.places import require_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.sql.compiler import DDLCompiler

revision = "sessionstore_0002"
down_revision = "sessionstore_0001"
branch_labels = None
depends_on = None

COLUMNS = (
    *("subject", "handle", "created", "authenticated", "seen"),
    *("final_deadline", "idle_ttl", "version", "about"),
)

ATTEMPTS = 300
"""How often the table is tried to be locked: about ten minutes."""
ATTEMPT_S = 1
"""How long one attempt waits, and blocks those that come after it."""
PAUSE_S = 1
"""How long the table is left to the others in between."""

REPORTED_ATTEMPTS = 10
"""Of so many attempts, one is logged as a warning."""

SMALL_TABLE_BYTES = 8 * 1024 * 1024
"""On PostgreSQL, an index of a table up to this size is built at once. CONCURRENTLY locks out no
writes, but waits until every transaction of the database has ended."""

_POSTGRESQL_LOCKED = "55P03"
_MYSQL_LOCKED = 1205
_MYSQL_NOT_INSTANT = {1845, 1846, 4092}
"""ALGORITHM=INSTANT is not supported, not for this table, or was used too often on it."""

_log = logging.getLogger("alembic.runtime.migration")


def upgrade() -> None:
    """Add the columns, then the index."""
    table = _whole_table()
    present = _columns_of(table)
    missing = [column for column in table.columns if column.name not in present]
    _alter(table, [_AddColumn(column) for column in missing])
    _create_index(table)


def downgrade() -> None:
    """Drop the index and the columns: sessions stay valid, and belong to no user any more."""
    table = _whole_table()
    if _is("sqlite", "mysql", "mariadb") and (context.is_offline_mode() or _has_index(table)):
        _change(_index(table, "DROP"))  # PostgreSQL drops it with the column
    present = set(COLUMNS) if context.is_offline_mode() else _columns_of(table)
    _alter(table, [_DropColumn(column) for column in table.columns if column.name in present])


def _whole_table() -> sa.Table:
    """Return the table, unless it is a partition, which has the columns of its parent."""
    table = _table()
    if not context.is_offline_mode():
        require_whole(op.get_bind(), table.name, table.schema)
    return table


def _table() -> sa.Table:
    """Return the table with the columns of this revision only."""
    config = op.get_context().config
    attributes = {} if config is None else config.attributes
    integer = sa.BigInteger().with_variant(sa.Integer, "sqlite")

    def binary(variant: sa.types.TypeEngine[bytes]) -> sa.types.TypeEngine[bytes]:
        return sa.LargeBinary().with_variant(variant, "mysql", "mariadb")

    types: dict[str, sa.types.TypeEngine[Any]] = {
        "subject": binary(mysql.BINARY(32)),
        "handle": binary(mysql.BINARY(16)),
        "about": binary(mysql.LONGBLOB()),
    }
    return sa.Table(
        attributes.get("table", "sessionstore_sessions"),
        sa.MetaData(),
        *(sa.Column(name, types.get(name, integer), nullable=True) for name in COLUMNS),
        schema=attributes.get("schema"),
    )


def _index_name(table: sa.Table) -> str:
    return f"{table.name}_subject"


def _columns_of(table: sa.Table) -> set[str]:
    """Return the columns that exist; a script (``--sql``) starts from none."""
    if context.is_offline_mode():
        return set()
    inspector = sa.inspect(op.get_bind())
    return {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}


def _has_index(table: sa.Table) -> bool:
    inspector = sa.inspect(op.get_bind())
    names = {str(each["name"]) for each in inspector.get_indexes(table.name, schema=table.schema)}
    # SQLAlchemy 2.1.9 leaves a backtick doubled that is part of an index's name on MySQL.
    return _index_name(table) in names | {name.replace("``", "`") for name in names}


def _index(table: sa.Table, verb: str, *, concurrently: bool = False) -> ExecutableDDLElement:
    """Return a CREATE or a DROP of the index, which is partial where the database has that."""
    if _is("mysql", "mariadb"):
        return _IndexOnMySQL(table, verb)
    has_subject = sa.text("subject IS NOT NULL")
    index = sa.Index(
        _index_name(table),
        table.c.subject,
        postgresql_where=has_subject,
        sqlite_where=has_subject,
        postgresql_concurrently=concurrently,
    )
    return CreateIndex(index) if verb == "CREATE" else DropIndex(index)


def _alter(table: sa.Table, actions: Sequence[_Action]) -> None:
    if not actions:
        return
    if _is("sqlite"):  # one action a statement
        for action in actions:
            op.execute(_Alter(table, [action]))
        return
    instantly = _Alter(table, actions, ", ALGORITHM=INSTANT" if _is("mysql", "mariadb") else "")
    try:
        _change(instantly)
    except DBAPIError as error:
        if _code(error) not in _MYSQL_NOT_INSTANT:
            raise
        _change(_Alter(table, actions, ", ALGORITHM=INPLACE, LOCK=NONE"))


def _create_index(table: sa.Table) -> None:
    if context.is_offline_mode():
        # From base on, the script has made the table, and it is empty.
        concurrently = _is("postgresql") and context.get_starting_revision_argument() is not None
        with op.get_context().autocommit_block() if concurrently else nullcontext():
            op.execute(_index(table, "CREATE", concurrently=concurrently))
        return
    if not _is("postgresql"):
        if not _has_index(table):
            _change(_index(table, "CREATE"))
        return
    is_valid, size = _index_on_postgresql(table)
    if is_valid:
        return
    with ExitStack() as stack:
        concurrently = size > SMALL_TABLE_BYTES and _left_transaction(stack)
        if size > SMALL_TABLE_BYTES and not concurrently:
            _log.warning(
                "the index is built in a transaction, behind a pooler or of the caller's: it locks "
                "out writes until the transaction ends"
            )
        if is_valid is False:  # what a CREATE INDEX CONCURRENTLY left that was interrupted
            _change(_index(table, "DROP", concurrently=concurrently))
        _change(_index(table, "CREATE", concurrently=concurrently))


def _index_on_postgresql(table: sa.Table) -> tuple[bool | None, int]:
    """Return whether the index is valid, ``None`` if there is none, and the size of the table."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT pg_relation_size(t.oid), (SELECT i.indisvalid FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = t.oid AND c.relname = :index)"
            " FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
            " WHERE t.relname = :table AND n.nspname = coalesce(:schema, current_schema())"
        ),
        {"index": _index_name(table), "table": table.name, "schema": table.schema},
    )
    size, is_valid = found.one()
    return is_valid, size


def _left_transaction(stack: ExitStack) -> bool:
    """Commit, and run without a transaction until ``stack`` ends.

    In a transaction of the caller's, which is not to be committed, it returns that it did not.
    """
    if _is_autocommit():
        return True
    try:
        stack.enter_context(op.get_context().autocommit_block())
    except (AssertionError, AttributeError):  # Alembic has no transaction of its own to commit
        return False
    return True


def _change(ddl: ExecutableDDLElement) -> None:
    """Execute DDL that needs the table for itself, in short attempts to lock it."""
    if context.is_offline_mode() or _is("sqlite"):
        op.execute(ddl)
        return
    lock_timeout = _postgresql_lock_timeout if _is("postgresql") else _mysql_lock_timeout
    with lock_timeout():
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _savepoint():
                    op.execute(ddl)
            except DBAPIError as error:
                if _code(error) not in {_POSTGRESQL_LOCKED, _MYSQL_LOCKED} or attempt == ATTEMPTS:
                    raise
            else:
                return
            _log.log(
                logging.WARNING if attempt % REPORTED_ATTEMPTS == 1 else logging.INFO,
                "the table is locked by a transaction; trying again, attempt %d of %d",
                attempt,
                ATTEMPTS,
            )
            sleep = "pg_sleep" if _is("postgresql") else "SLEEP"
            op.get_bind().execute(sa.text(f"SELECT {sleep}({PAUSE_S})"))


@contextmanager
def _postgresql_lock_timeout() -> Iterator[None]:
    bind, local = op.get_bind(), not _is_autocommit()
    setting = sa.text("SELECT set_config('lock_timeout', :value, :local)")
    before = bind.execute(sa.text("SELECT current_setting('lock_timeout')")).scalar_one()
    bind.execute(setting, {"value": f"{ATTEMPT_S}s", "local": local})
    yield
    # Not in a finally: an error has aborted the transaction, or the connection is of no use.
    bind.execute(setting, {"value": before, "local": local})


@contextmanager
def _mysql_lock_timeout() -> Iterator[None]:
    bind = op.get_bind()
    before = bind.execute(sa.text("SELECT @@SESSION.lock_wait_timeout")).scalar_one()
    bind.execute(sa.text(f"SET SESSION lock_wait_timeout = {ATTEMPT_S}"))
    try:
        yield
    finally:
        if not bind.invalidated:  # which took the setting along
            bind.execute(sa.text(f"SET SESSION lock_wait_timeout = {int(before)}"))


def _savepoint() -> AbstractContextManager[object]:
    """Return a context in which a failed statement leaves the transaction usable."""
    in_transaction = _is("postgresql") and not _is_autocommit()
    return op.get_bind().begin_nested() if in_transaction else nullcontext()


def _is_autocommit() -> bool:
    bind = op.get_bind()
    driver_connection = bind.connection.dbapi_connection
    assert driver_connection is not None
    return bind.dialect.detect_autocommit_setting(driver_connection)


def _is(*names: str) -> bool:
    return op.get_context().dialect.name in names


def _code(error: DBAPIError) -> object:
    """Return the SQLSTATE of PostgreSQL, or the number of MySQL's and MariaDB's errors."""
    if _is("postgresql"):
        return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments else None


class _Action:
    """One part of an ALTER TABLE."""

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column

    def text(self, compiler: DDLCompiler) -> str:
        """Return it as SQL."""
        raise NotImplementedError


class _AddColumn(_Action):
    def text(self, compiler: DDLCompiler) -> str:
        return f"ADD COLUMN {compiler.get_column_specification(self.column)}"


class _DropColumn(_Action):
    def text(self, compiler: DDLCompiler) -> str:
        return f"DROP COLUMN {compiler.preparer.format_column(self.column)}"


class _Alter(ExecutableDDLElement):
    """An ALTER TABLE of several actions."""

    def __init__(self, table: sa.Table, actions: Sequence[_Action], suffix: str = "") -> None:
        self.table = table
        self.actions = actions
        self.suffix = suffix


@compiles(_Alter)
def _alter_text(element: _Alter, compiler: DDLCompiler, **_: Any) -> str:
    actions = ", ".join(action.text(compiler) for action in element.actions)
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} {actions}{element.suffix}"


class _IndexOnMySQL(ExecutableDDLElement):
    """CREATE or DROP of the index that fails rather than lock writes out."""

    def __init__(self, table: sa.Table, verb: str) -> None:
        self.table = table
        self.verb = verb


@compiles(_IndexOnMySQL)
def _index_text(element: _IndexOnMySQL, compiler: DDLCompiler, **_: Any) -> str:
    preparer = compiler.preparer
    index = preparer.quote(_index_name(element.table))
    action = f"ADD INDEX {index} (subject)" if element.verb == "CREATE" else f"DROP INDEX {index}"
    table = preparer.format_table(element.table)
    return f"ALTER TABLE {table} {action}, ALGORITHM=INPLACE, LOCK=NONE"
