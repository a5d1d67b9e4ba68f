"""The size of the table on PostgreSQL, the progress of vacuum, and the server's connections."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from sessionstore_sql.sql.dialects.storage import Connections, Storage, Vacuum

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_STORAGE = text("""
    SELECT pg_table_size(sessions.oid) AS table_bytes,
           pg_indexes_size(sessions.oid) AS index_bytes,
           coalesce(counted.n_dead_tup, 0) AS dead_rows,
           counted.n_tup_hot_upd * 1.0 / nullif(counted.n_tup_upd, 0) AS hot_updates,
           extract(epoch FROM statement_timestamp()
                   - greatest(counted.last_vacuum, counted.last_autovacuum)) AS since_last
    FROM pg_class AS sessions
    LEFT JOIN pg_stat_all_tables AS counted ON counted.relid = sessions.oid
    WHERE sessions.oid =
          to_regclass(coalesce(quote_ident(:schema) || '.', '') || quote_ident(:table))
""")

_CONNECTIONS = text("""
    SELECT count(*) AS open,
           current_setting('max_connections')::int AS limit,
           count(*) FILTER (WHERE state = 'active') AS active,
           count(*) FILTER (WHERE state = 'active' AND wait_event_type = 'Lock') AS waiting
    FROM pg_stat_activity
    WHERE backend_type = 'client backend'
""")


def storage(connection: Connection, table: Table) -> Storage:
    """Return sizes from the system catalog, and the server's counters."""
    names = {"schema": table.schema, "table": table.name}
    found = connection.execute(_STORAGE, names).one()
    since_last = found.since_last
    return Storage(
        table_bytes=found.table_bytes,
        index_bytes=found.index_bytes,
        vacuum=Vacuum(
            dead_rows=found.dead_rows,
            since_last=None if since_last is None else timedelta(seconds=float(since_last)),
            hot_updates=None if found.hot_updates is None else float(found.hot_updates),
        ),
    )


def connections(connection: Connection) -> Connections:
    """Return the number of connections of all clients."""
    found = connection.execute(_CONNECTIONS).one()
    return Connections(
        open=found.open, limit=found.limit, active=found.active, waiting=found.waiting
    )
