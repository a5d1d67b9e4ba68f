"""The differences between databases. Nothing outside of here tests a dialect's name."""

from __future__ import annotations

from sessionstore_sql.dialects import mysql, postgresql, sqlite
from sessionstore_sql.dialects.base import Dialect, Failure
from sessionstore_sql.dialects.clock import now

__all__ = ["DATABASES", "Dialect", "Failure", "dialect_named", "now"]

_DIALECTS = {
    "postgresql": postgresql.DIALECT,
    "mysql": mysql.DIALECT,
    "mariadb": mysql.DIALECT,
    "sqlite": sqlite.DIALECT,
}

DATABASES = tuple(_DIALECTS)
"""The names of the databases, as a URL has them."""


def dialect_named(name: str) -> Dialect:
    """Return the dialect that SQLAlchemy knows as ``name``.

    Raises:
        ValueError: The database is not supported.
    """
    try:
        return _DIALECTS[name]
    except KeyError:
        pass
    supported = ", ".join(_DIALECTS)
    raise ValueError(f"the database {name!r} is not supported; these are: {supported}")
