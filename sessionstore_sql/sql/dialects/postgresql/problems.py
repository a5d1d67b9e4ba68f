"""What keeps the store from working on a table of PostgreSQL, although its columns are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sessionstore_sql.sql.dialects.problems import (
    partitioned_by,
    referred_to,
    wrong_primary_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Table

_CATALOG = text("""
    SELECT pg_get_partkeydef(sessions.oid) AS partitioned_by,
           ARRAY(
               SELECT key.attname::text
               FROM pg_index AS index
               JOIN pg_attribute AS key
                 ON key.attrelid = sessions.oid AND key.attnum = ANY (index.indkey)
               WHERE index.indrelid = sessions.oid AND index.indisprimary
               ORDER BY array_position(index.indkey::int2[], key.attnum)
           ) AS primary_key,
           ARRAY(
               SELECT inherited.inhrelid::regclass::text
               FROM pg_inherits AS inherited
               WHERE inherited.inhparent = sessions.oid AND sessions.relkind = 'r'
           ) AS heirs,
           ARRAY(
               SELECT reference.conrelid::regclass::text
               FROM pg_constraint AS reference
               WHERE reference.confrelid = sessions.oid AND reference.contype = 'f'
                 AND reference.conparentid = 0
                 AND ('{a,r}'::"char"[] && ARRAY[reference.confupdtype, reference.confdeltype])
           ) AS references,
           row_security_active(sessions.oid) AND NOT EXISTS (
               SELECT FROM pg_policy AS policy, unnest(policy.polroles) AS role
               WHERE policy.polrelid = sessions.oid AND (role = 0 OR pg_has_role(role, 'USAGE'))
           ) AS is_hidden,
           current_setting('transaction_read_only') = 'on' AS is_read_only,
           pg_is_in_recovery() AS is_standby
    FROM pg_class AS sessions
    WHERE sessions.oid =
          to_regclass(coalesce(quote_ident(:schema) || '.', '') || quote_ident(:table))
""")


_PARENT = text("""
    SELECT CASE WHEN sessions.relispartition THEN 'is a partition of' ELSE 'inherits from' END,
           inherited.inhparent::regclass::text
    FROM pg_inherits AS inherited JOIN pg_class AS sessions ON sessions.oid = inherited.inhrelid
    WHERE sessions.oid =
          to_regclass(coalesce(quote_ident(:schema) || '.', '') || quote_ident(:table))
    LIMIT 1
""")


def parent_of(connection: Connection, table: str, schema: str | None) -> tuple[str, str] | None:
    """Return what the table is to its parent, and the parent's name; ``None`` if it has none."""
    found = connection.execute(_PARENT, {"schema": schema, "table": table}).first()
    return None if found is None else (str(found[0]), str(found[1]))


def problems(connection: Connection, table: Table) -> Iterator[str]:
    """Yield the problems, each as a sentence for the operator of the database."""
    names = {"schema": table.schema, "table": table.name}
    found: Any = connection.execute(_CATALOG, names).one()
    if found.primary_key != ["id"]:
        yield wrong_primary_key(found.primary_key)
        if found.partitioned_by is not None:
            yield partitioned_by(found.partitioned_by, "HASH (id)")
    if found.heirs:
        yield (
            f"tables inherit from it ({', '.join(found.heirs)}): ids would not be unique across "
            "them"
        )
    yield from map(referred_to, found.references)
    if found.is_hidden:
        yield (
            "row-level security is on, and no policy is for this user, who sees no session and "
            "creates none: add one, or connect as the owner of the table"
        )
    if found.is_standby:
        yield "the server is a standby, which takes no writes: connect to the primary"
    elif found.is_read_only:
        yield "transactions are read-only (default_transaction_read_only), so every write fails"
