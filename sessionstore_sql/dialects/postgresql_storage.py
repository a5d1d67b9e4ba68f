"""The room that the table takes on PostgreSQL, and how vacuum gets along with it."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from sessionstore_sql.dialects.storage import Storage, Vacuum

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_BOOKS = text("""
    SELECT pg_table_size(sessions.oid) AS table_bytes,
           pg_indexes_size(sessions.oid) AS index_bytes,
           pg_relation_size(sessions.oid) + coalesce(pg_relation_size(sessions.reltoastrelid), 0)
               AS row_bytes,
           coalesce(counted.n_dead_tup, 0) AS dead_rows,
           counted.n_tup_hot_upd * 1.0 / nullif(counted.n_tup_upd, 0) AS hot_updates,
           extract(epoch FROM statement_timestamp()
                   - greatest(counted.last_vacuum, counted.last_autovacuum)) AS since_last
    FROM pg_class AS sessions
    LEFT JOIN pg_stat_all_tables AS counted ON counted.relid = sessions.oid
    WHERE sessions.oid =
          to_regclass(coalesce(quote_ident(:schema) || '.', '') || quote_ident(:table))
""")

# From the manual's chapter on database page layout, for this table.
_PAGE, _PAGE_HEADER, _POINTER = 8_192, 24, 4
_FILLED = 0.8  # fillfactor
_ROW_WITHOUT_STATE = 24 + 33 + 7 + 8 + 8  # header, id, padding, deadline, expiry_bucket
_MOVED_OUT_FROM, _CHUNK, _CHUNKS_ON_PAGE, _REFERENCE = 1_950, 1_996, 4, 24  # TOAST
_MEASURED_ROWS = 1_000


def storage(connection: Connection, table: Table, rows: int) -> Storage:
    """Return what the server's books say, and how much more than its rows need the table has."""
    names = {"schema": table.schema, "table": table.name}
    books = connection.execute(_BOOKS, names).one()
    # pg_column_size is of the state as it is stored, compressed or not, and reads no more of a
    # large one than where it is. In the order of the keys, which are as good as random.
    sizes = connection.scalars(
        select(func.pg_column_size(table.c.state)).order_by(table.c.id).limit(_MEASURED_ROWS)
    ).all()
    needed = rows * sum(map(_room_of, sizes)) / max(1, len(sizes))
    since_last = books.since_last
    return Storage(
        table_bytes=books.table_bytes,
        index_bytes=books.index_bytes,
        vacuum=Vacuum(
            dead_rows=books.dead_rows,
            since_last=None if since_last is None else timedelta(seconds=float(since_last)),
            hot_updates=None if books.hot_updates is None else float(books.hot_updates),
            bloat_bytes=max(0, round(books.row_bytes - needed)),
        ),
    )


def _room_of(state_size: int) -> float:
    """Return the bytes of pages that a row takes where every page is as full as it should be."""
    moved_out = state_size > _MOVED_OUT_FROM
    row = _ROW_WITHOUT_STATE + (_REFERENCE if moved_out else state_size + -state_size % 8)
    room = (row + _POINTER) / ((_PAGE - _PAGE_HEADER) * _FILLED / _PAGE)
    if moved_out:
        # The last chunk, however small, seldom fits beside those of another state.
        room += ceil(state_size / _CHUNK) * _PAGE / _CHUNKS_ON_PAGE
    return room
