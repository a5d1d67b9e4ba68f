"""SQLite: one writer at a time, a thread for each connection."""

from sessionstore_sql.sql.dialects.sqlite.dialect import DIALECT

__all__ = ["DIALECT"]
