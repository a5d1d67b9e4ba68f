"""MySQL and MariaDB: no RETURNING, no guarded upsert."""

from sessionstore_sql.sql.dialects.mysql.dialect import DIALECT

__all__ = ["DIALECT"]
