"""Many sessions, one statement, on PostgreSQL: arrays in, keys out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    LargeBinary,
    any_,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import NullType

from sessionstore_sql.dialects.batches import (
    ReturningBatches,
    insert_given,
    select_live,
    select_load,
)
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.schema import session_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import CTE, ColumnClause, ColumnElement, FromClause, Table

    from sessionstore_sql.dialects.base import Batches, Row

_KEYS = bindparam("keys", type_=ARRAY(LargeBinary))
_TTLS = bindparam("ttls", type_=ARRAY(BigInteger))
_STATES = bindparam("states", type_=ARRAY(LargeBinary))
_TTL = bindparam("ttl", type_=BigInteger)


def batches(table: Table) -> Batches:
    """Return the operations on many sessions of ``table``."""
    sessions = session_table(table.name, schema=table.schema)
    sessions.append_column(Column("ctid", NullType, system=True))
    is_given = sessions.c.id == any_(_KEYS)
    keys, ttls, records = _given(), _given(ttls=True), _given(ttls=True, states=True)
    kept, extended, replaced = (_held(sessions, given) for given in (keys, ttls, records))
    touch = update(sessions).where(sessions.c.ctid == extended.c.ctid)
    write = update(sessions).where(sessions.c.ctid == replaced.c.ctid)
    return ReturningBatches(
        parameters=_arrays,
        select_load=select_load(sessions, is_given),
        select_live=select_live(sessions, is_given),
        insert=insert_given(sessions, insert(sessions), records, _ttl_of(records)),
        replace=write.values(deadline=now() + replaced.c.ttl, state=replaced.c.state).returning(
            sessions.c.id
        ),
        extend=touch.values(deadline=now() + extended.c.ttl).returning(sessions.c.id),
        remove=delete(sessions).where(sessions.c.ctid == kept.c.ctid).returning(sessions.c.id),
    )


def _given(*, ttls: bool = False, states: bool = False) -> FromClause:
    """Return the parameters as a table. Each array costs its encoding, so none goes unused."""
    arrays: list[ColumnElement[Any]] = [_KEYS]
    columns: list[ColumnClause[Any]] = [column("id", LargeBinary)]
    if ttls:
        arrays.append(_TTLS)
        columns.append(column("ttl", BigInteger))
    if states:
        arrays.append(_STATES)
        columns.append(column("state", LargeBinary))
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def _ttl_of(given: FromClause) -> ColumnElement[int]:
    # Most applications have one TTL: then ``ttls`` is empty, and unnest pads it with NULL.
    return func.coalesce(given.c.ttl, _TTL)


def _held(sessions: Table, given: FromClause) -> CTE:
    """Return those of the given rows that are live, locked in the order of their keys.

    It waits for no row that is locked. What it finds is then reached by ``ctid``, the place of the
    row's version, rather than by a second search for the key: a place cannot change while it is
    locked. Had the row changed between the statement's snapshot and the lock, its new place would
    be invisible to the snapshot, and the row go unchanged and unreturned.

    For each given key that is a search by primary key and a fetch by place; in a table of a few
    pages, a scan and two hash joins. It is never a loop in a loop, as a join of the given rows to
    those found would be where statistics are missing and a few rows are expected of each.
    """
    names = [name for name in ("ttl", "state") if name in given.c]
    taken = [_ttl_of(given).label(name) if name == "ttl" else given.c[name] for name in names]
    return (
        select(sessions.c.ctid, *taken)
        .join_from(given, sessions, sessions.c.id == given.c.id)
        .where(sessions.c.deadline > now())
        .order_by(sessions.c.id)
        .with_for_update(of=sessions, skip_locked=True)
        .cte("held")
    )


def _arrays(rows: Sequence[Row]) -> dict[str, Any]:
    keys, ttls, states = zip(*rows, strict=True)
    uniform = ttls.count(ttls[0]) == len(ttls)
    return {
        "keys": list(keys),
        "ttl": ttls[0],
        "ttls": [] if uniform else list(ttls),
        "states": list(states),
    }
