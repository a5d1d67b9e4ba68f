"""Which expired rows go first: the part of a purge that the databases share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, literal_column, select

from sessionstore_sql.dialects.clock import now
from sessionstore_sql.schema import BUCKET_SHIFT

if TYPE_CHECKING:
    from sqlalchemy import Subquery, Table

LOOKAHEAD = 4
"""How many batches of rows are looked at to find the oldest batch."""

MIN_LOOKAHEAD = 2_000
"""How many rows are looked at, at the least."""


def purge_parameters(batch_size: int) -> dict[str, int]:
    """Return what the statements below bind for a batch of ``batch_size``."""
    return {"batch_size": batch_size, "lookahead": max(LOOKAHEAD * batch_size, MIN_LOOKAHEAD)}


def is_expired(table: Table) -> ColumnElement[bool]:
    """Return the exact condition, to be repeated wherever a row may have been extended since."""
    return table.c.deadline <= now()


def expired_window(table: Table) -> Subquery:
    """Return ``id`` and ``deadline`` of the first ``:lookahead`` expired rows, by bucket.

    The index knows buckets of 4.5 minutes, not deadlines. Sorting the window puts the oldest
    first at a cost that depends on the batch and not on the table. Only where one bucket alone
    holds more than the window is the order within that bucket left to the index.
    """
    return (
        select(table.c.id, table.c.deadline)
        .where(table.c.expiry_bucket <= _present_bucket(), is_expired(table))
        .order_by(table.c.expiry_bucket)
        .limit(bindparam("lookahead", type_=BigInteger()))
        .subquery("expired")
    )


def oldest_expired(table: Table) -> Select[Any]:
    """Return the ids of the ``:batch_size`` oldest expired rows."""
    window = expired_window(table)
    return (
        select(window.c.id)
        .order_by(window.c.deadline)
        .limit(bindparam("batch_size", type_=BigInteger()))
    )


def expired_count(table: Table) -> Select[Any]:
    """Return how many rows are expired, exactly.

    Buckets of the past have expired as a whole and are counted in the index. Only of the present
    one, 4.5 minutes, are the deadlines looked at.
    """
    count = select(func.count()).select_from(table)
    past = count.where(table.c.expiry_bucket < _present_bucket())
    present = count.where(table.c.expiry_bucket == _present_bucket(), is_expired(table))
    return select(past.scalar_subquery() + present.scalar_subquery())


def _present_bucket() -> ColumnElement[int]:
    # The shift is part of the text, as it is in the schema: bound, it would need a type.
    return now().op(">>")(literal_column(str(BUCKET_SHIFT)))
