"""The session table, with the same columns and meaning on every database."""

from __future__ import annotations

import unicodedata
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    text,
)
from sqlalchemy.dialects.mysql import BINARY, LONGBLOB
from sqlalchemy.dialects.postgresql.base import PGDialect

from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.records import KEY_BYTES

DEFAULT_TABLE = "sessionstore_sessions"

BUCKET_SHIFT = 28
"""``expiry_bucket`` is ``deadline >> 28``: one value covers about 4.5 minutes."""

_HAS_SUBJECT = text("subject IS NOT NULL")

SUBJECT_BYTES = 32
"""Length of the digest of a subject."""

MAX_NAME_BYTES = 48
"""Maximum length of a table name: index names then fit into PostgreSQL's 63 bytes."""


_HAS_STORAGE_PARAMETERS = any(
    kind is Table and "with" in options for kind, options in PGDialect.construct_arguments or ()
)
"""Whether SQLAlchemy has ``postgresql_with``: from 2.1 on."""

_FILLFACTOR: dict[str, Any] = (
    {"postgresql_with": {"fillfactor": 80}}
    if _HAS_STORAGE_PARAMETERS
    # What follows USING is written as it is. PostgreSQL's own access method is named heap.
    else {"postgresql_using": "heap WITH (fillfactor = 80)"}
)
"""The option of the table that leaves room on each page for new versions of its rows.

An update then stays on its page and changes no index (hazard P4). As an option, Alembic's
autogenerate writes it into the application's revision.
"""


def split_keys(joined: bytes) -> list[bytes]:
    """Return the keys that were joined, without an incomplete key at the end."""
    ends = range(KEY_BYTES, len(joined) + 1, KEY_BYTES)
    return [joined[end - KEY_BYTES : end] for end in ends]


def version_table_name(table: str) -> str:
    """Return the name of the table in which Alembic records the revision of ``table``."""
    return f"{table}_version"


def require_name(value: object, what: str) -> str:
    """Return ``value`` as plain text if it can name a table or a schema.

    Names are always quoted, so nearly any text is valid. The rules are the same for every database,
    so that a name remains valid if the database is replaced.

    Raises:
        TypeError: It is not a ``str``.
        ValueError: It is empty, longer than 48 bytes, ends with a space, or contains a control
            character, a line break, a lone surrogate, a character beyond U+FFFF, ``%(`` or
            ``__[``; or it is ``excluded``.
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
    """Check the names of a table and its schema, if there is one; see ``require_name``."""
    return require_name(table, "table"), None if schema is None else require_name(schema, "schema")


def _fault_of(name: str) -> str | None:
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "contain a lone surrogate, which UTF-8 cannot encode"
    # MySQL 9.7 and MariaDB 11.8 replace each of them by a question mark.
    if any(character > "\uffff" for character in name):
        return "contain a character beyond U+FFFF, such as an emoji"
    # SQLAlchemy parses the output of SHOW CREATE TABLE line by line.
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        return "contain a control character or a line break"
    if name.endswith(" "):
        return "end with a space, which MySQL rejects"
    # SQLAlchemy searches the compiled statement for these marks of parameters.
    if mark := next((each for each in ("%(", "__[") if each in name), None):
        return f"contain {mark}, which SQLAlchemy treats as a parameter"
    if name.lower() == "excluded":
        return "be excluded, the name that ON CONFLICT has for the row to be inserted"
    return None


def session_table(
    table: str = DEFAULT_TABLE, *, schema: str | None = None, metadata: MetaData | None = None
) -> Table:
    """Return the session table.

    Args:
        table: The name of the table.
        schema: The schema of the table. ``None``: the default schema of the connection.
        metadata: The metadata to which it is added, if the application's own Alembic migrates it.
            ``None``: a new one.
    """
    table, schema = require_names(table, schema)
    return Table(
        table,
        MetaData() if metadata is None else metadata,
        # A variant for "mysql" does not apply to mariadb:// URLs, and vice versa, so both are
        # given. LargeBinary alone would be a BLOB of 64 KiB (hazards A13, M5).
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
        # An index on the deadline itself would change with every update_ttl. This one changes once
        # in 4.5 minutes (hazard P4). The column is nullable, because MariaDB 10.11 rejects NOT NULL
        # on a stored generated column (error 1064).
        Column(
            "expiry_bucket",
            BigInteger().with_variant(Integer, "sqlite"),
            Computed(f"deadline >> {BUCKET_SHIFT}", persisted=True),
            nullable=True,
        ),
        *_account_columns(),
        Index(f"{table}_expiry_bucket", "expiry_bucket"),
        # Partial, so that anonymous sessions have no entry in it. Nothing else is indexed: an index
        # on a column that requests write would be written by every request.
        Index(
            f"{table}_subject",
            "subject",
            postgresql_where=_HAS_SUBJECT,
            sqlite_where=_HAS_SUBJECT,
        ),
        schema=schema,
        implicit_returning=False,
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
        **_FILLFACTOR,
    )


def _account_columns() -> list[Column[Any]]:
    """Return the columns of account sessions. All are NULL in a row of revision 0001.

    Times are microseconds, as ``deadline``. Every statement that inserts or replaces a row names
    all of them: an expired row must leave nothing to its successor.
    """
    integer = BigInteger().with_variant(Integer, "sqlite")
    binary = LargeBinary()
    return [
        Column("subject", binary.with_variant(BINARY(SUBJECT_BYTES), "mysql", "mariadb")),
        Column("handle", binary.with_variant(BINARY(HANDLE_BYTES), "mysql", "mariadb")),
        *(
            Column(name, integer)
            for name in (
                "created",
                "authenticated",
                "seen",
                "final_deadline",
                "idle_ttl",
                "version",
            )
        ),
        Column("about", binary.with_variant(LONGBLOB, "mysql", "mariadb")),
    ]
