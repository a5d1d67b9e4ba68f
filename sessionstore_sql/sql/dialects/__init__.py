"""The differences between databases. Only this package tests a database's name."""

from __future__ import annotations

from sessionstore_sql.sql.dialects import mysql, postgresql, sqlite
from sessionstore_sql.sql.dialects.base import Dialect
from sessionstore_sql.sql.dialects.clauses import now
from sessionstore_sql.sql.dialects.failure import Failure

__all__ = ["DATABASES", "Dialect", "Failure", "dialect_named", "now"]

_DIALECTS: dict[str, Dialect] = {
    "postgresql": postgresql.DIALECT,
    "mysql": mysql.DIALECT,
    "mariadb": mysql.DIALECT,
    "sqlite": sqlite.DIALECT,
}

DATABASES = tuple(_DIALECTS)
"""The names of the supported databases, as they stand in a URL."""


def dialect_named(name: str) -> Dialect:
    """Return the dialect that SQLAlchemy calls ``name``.

    Raises:
        ValueError: The database is not supported.
    """
    try:
        return _DIALECTS[name]
    except KeyError:
        pass
    supported = ", ".join(_DIALECTS)
    raise ValueError(f"the database {name!r} is not supported; the supported ones are: {supported}")
