"""The table: the same columns with the same meaning on every database."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    event,
)
from sqlalchemy.dialects.mysql import BINARY, LONGBLOB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import DDLCompiler

    from sessionstore_sql.records import SessionId

DEFAULT_TABLE = "sessionstore_sessions"

BUCKET_SHIFT = 28
"""``deadline >> 28``: about 4.5 minutes of microseconds to one value of ``expiry_bucket``."""

KEY_BYTES = 32
"""Of every key."""

MAX_NAME_BYTES = 48
"""Of a table: with the longest suffix, its index stays within PostgreSQL's 63 bytes."""


def key_of(session_id: SessionId) -> bytes:
    """Return the key of a session: SHA-256 of its id, so that a leaked table holds no credential.

    The ids carry 256 random bits, so neither a salt nor a slow hash would add anything.
    """
    return hashlib.sha256(session_id.value.encode()).digest()


def split_keys(joined: bytes) -> list[bytes]:
    """Return the keys that were joined; what is cut off at the end, and so no key, is left out."""
    ends = range(KEY_BYTES, len(joined) + 1, KEY_BYTES)
    return [joined[end - KEY_BYTES : end] for end in ends]


def version_table_name(table: str) -> str:
    """Return the name of the table in which Alembic notes the revision of ``table``."""
    return f"{table}_version"


def require_name(value: object, what: str) -> str:
    """Return ``value`` if it can name a table or a schema, as plain text, which is always quoted.

    Nearly any text can. The same names are refused whatever the database, so that none has to be
    changed for the next one.

    Raises:
        TypeError: It is not a ``str``.
        ValueError: It is empty, longer than 48 bytes, ends in a blank, or holds a control
            character, a line break, a lone surrogate, a character beyond U+FFFF, ``%(`` or
            ``__[``.
    """
    if not isinstance(value, str):
        raise TypeError(f"the {what} name is a str, not {type(value).__name__}")
    # Plain: SQLAlchemy's quoted_name is a str that can forbid the quotes.
    name = str.__str__(value)
    if not name or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise ValueError(f"the {what} name has 1 to {MAX_NAME_BYTES} bytes")
    if fault := _fault_of(name):
        raise ValueError(f"the {what} name cannot {fault}")
    return name


def require_names(table: object, schema: object) -> tuple[str, str | None]:
    """Return the names of a table and its schema, if it has one, as ``require_name`` does."""
    return require_name(table, "table"), None if schema is None else require_name(schema, "schema")


def _fault_of(name: str) -> str | None:
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "hold a lone surrogate, which UTF-8 cannot encode"
    # MySQL 9.7 and MariaDB 11.8 make one and the same ? of each in their catalogues.
    if any(character > "\uffff" for character in name):
        return "hold a character beyond U+FFFF, such as an emoji"
    # SQLAlchemy reads what MySQL tells of a table line by line.
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        return "hold a control character or a line break"
    if name.endswith(" "):
        return "end in a blank, which MySQL refuses"
    # SQLAlchemy's own marks for parameters, which it looks for in the finished statement.
    if mark := next((each for each in ("%(", "__[") if each in name), None):
        return f"hold {mark}, which SQLAlchemy takes for a parameter"
    return None


def session_table(
    table: str = DEFAULT_TABLE, *, schema: str | None = None, metadata: MetaData | None = None
) -> Table:
    """Return the table of sessions.

    Args:
        table: Its name.
        schema: The schema it is in; ``None`` for the connection's own.
        metadata: Where to add it, for a host whose own Alembic owns the table.
    """
    table, schema = require_names(table, schema)
    sessions = Table(
        table,
        MetaData() if metadata is None else metadata,
        # Both names of the MySQL family each time: a variant given for one is not applied for
        # a URL of the other, and LargeBinary alone would be a BLOB of 64 KiB (hazards A13, M5).
        Column(
            "id",
            LargeBinary().with_variant(BINARY(KEY_BYTES), "mysql", "mariadb"),
            primary_key=True,
            nullable=False,
        ),
        Column("deadline", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
        Column(
            "state",
            LargeBinary().with_variant(LONGBLOB, "mysql", "mariadb"),
            nullable=False,
        ),
        # An index on the deadline itself would move with every update_ttl; this one moves once
        # in 4.5 minutes (hazard P4). Nullable, as MariaDB 10.11 refuses NOT NULL on a stored
        # generated column (error 1064).
        Column(
            "expiry_bucket",
            BigInteger().with_variant(Integer, "sqlite"),
            Computed(f"deadline >> {BUCKET_SHIFT}", persisted=True),
            nullable=True,
        ),
        Index(f"{table}_expiry_bucket", "expiry_bucket"),
        schema=schema,
        implicit_returning=False,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    event.listen(
        sessions, "after_create", _SetFillfactor(sessions).execute_if(dialect="postgresql")
    )
    return sessions


class _SetFillfactor(ExecutableDDLElement):
    """Leaves room on each page for the next version of a row, on PostgreSQL.

    So an update stays on its page and leaves the indexes alone (hazard P4). SQLAlchemy 2.0 has no
    option of a table for it.
    """

    def __init__(self, table: Table) -> None:
        self.table = table


@compiles(_SetFillfactor)
def _set_fillfactor(element: _SetFillfactor, compiler: DDLCompiler, **_: Any) -> str:
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} SET (fillfactor = 80)"
