"""Many sessions, one statement, on PostgreSQL: packed going in, and coming out."""

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
    literal_column,
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
from sessionstore_sql.dialects.compiled import CompiledStatement
from sessionstore_sql.schema import KEY_BYTES, session_table, split_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import CTE, ColumnClause, ColumnElement, FromClause, Table

    from sessionstore_sql.dialects.base import Batches, Row

_PACKED_KEYS = bindparam("keys", type_=LargeBinary)
_TTLS = bindparam("ttls", type_=ARRAY(BigInteger))
_STATES = bindparam("states", type_=ARRAY(LargeBinary))
_TTL = bindparam("ttl", type_=BigInteger)


def batches(table: Table) -> Batches:
    """Return the operations on many sessions of ``table``."""
    sessions = session_table(table.name, schema=table.schema)
    sessions.append_column(Column("ctid", NullType, system=True))
    is_given = sessions.c.id == any_(_keys())
    keys, ttls, records = _given(), _given(ttls=True), _given(ttls=True, states=True)
    kept, extended, replaced = (_held(sessions, given) for given in (keys, ttls, records))
    insertion = insert_given(sessions, insert(sessions), records, _ttl_of(records))
    replacement = (
        update(sessions)
        .where(sessions.c.ctid == replaced.c.ctid)
        .values(deadline=now() + replaced.c.ttl, state=replaced.c.state)
    )
    extension = (
        update(sessions)
        .where(sessions.c.ctid == extended.c.ctid)
        .values(deadline=now() + extended.c.ttl)
    )
    removal = delete(sessions).where(sessions.c.ctid == kept.c.ctid)
    return ReturningBatches(
        parameters=_parameters,
        loaded=_loaded,
        keys=_changed,
        select_load=_packed(select_load(sessions, is_given).subquery()),
        select_live=_packed(select_live(sessions, is_given).subquery()),
        insert=_packed(insertion.cte()),
        replace=_packed(replacement.returning(sessions.c.id).cte()),
        extend=_packed(extension.returning(sessions.c.id).cte()),
        remove=_packed(removal.returning(sessions.c.id).cte()),
    )


def _keys() -> ColumnElement[Any]:
    """Return the keys, which arrive in one piece, as an array.

    asyncpg asks of each element of an array whether it is an array itself, which costs as much as
    all else that is done for a key.
    """
    size: ColumnElement[int] = literal_column(str(KEY_BYTES))
    last = func.length(_PACKED_KEYS)
    start = func.generate_series(literal_column("1"), last, size).column_valued("start")
    # In their own order, by which the other arrays are joined to them.
    keys = select(func.substring(_PACKED_KEYS, start, size, type_=LargeBinary)).order_by(start)
    return func.array(keys.scalar_subquery(), type_=ARRAY(LargeBinary))


def _packed(rows: FromClause) -> CompiledStatement:
    """Return what selects ``rows`` as one: keys, states, their lengths and remaining lives.

    A row costs the driver and SQLAlchemy several times what a piece of a value does. Bytes come in
    one value and not in an array: of arrays, psycopg 3.3 reads too much where ``bytea_output`` is
    ``escape``.
    """
    key, *others = rows.c
    if not others:
        return CompiledStatement(select(_joined(key)))
    state, remaining = others
    numbers = (func.length(state), remaining)
    arrays = [func.array_agg(each, type_=NullType()) for each in numbers]
    return CompiledStatement(select(_joined(key), _joined(state), *arrays))


def _joined(pieces: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.string_agg(pieces, literal_column("''::bytea"), type_=NullType())


def _changed(result: Sequence[Any]) -> Collection[bytes]:
    ((keys,),) = result
    return set(split_keys(keys or b""))


def _loaded(result: Sequence[Any]) -> Iterator[Any]:
    ((keys, states, sizes, lives),) = result
    if keys is None:  # as an aggregate of no rows is
        return
    start = 0
    for key, size, remaining in zip(split_keys(keys), sizes, lives, strict=True):
        yield key, states[start : start + size], remaining
        start += size


def _given(*, ttls: bool = False, states: bool = False) -> FromClause:
    """Return the parameters as a table. Each costs its encoding, so none goes unused."""
    arrays: list[ColumnElement[Any]] = [_keys()]
    columns: list[ColumnClause[Any]] = [column("id", LargeBinary)]
    if ttls:
        arrays.append(_TTLS)
        columns.append(column("ttl", BigInteger))
    if states:
        arrays.append(_STATES)
        columns.append(column("state", LargeBinary))
    return func.unnest(*arrays).table_valued(*columns).render_derived()


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
        .cte()
    )


def _parameters(rows: Sequence[Row]) -> dict[str, Any]:
    ttls = [row.ttl for row in rows]
    uniform = ttls.count(ttls[0]) == len(ttls)
    return {
        "keys": b"".join([row.key for row in rows]),
        "ttl": ttls[0],
        "ttls": [] if uniform else ttls,
        "states": [row.state for row in rows],
    }
