"""PostgreSQL: one statement for everything."""

from sessionstore_sql.sql.dialects.postgresql.dialect import DIALECT

__all__ = ["DIALECT"]
