"""Many sessions, one statement, on PostgreSQL: packed going in, and coming out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    LargeBinary,
    and_,
    any_,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import NullType

from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.records import KEY_BYTES
from sessionstore_sql.schema import SUBJECT_BYTES, session_table, split_keys
from sessionstore_sql.sql.compiled import CompiledStatement, uncompiled
from sessionstore_sql.sql.dialects.clauses import (
    SessionColumns,
    changed_idle_ttl,
    extended,
    is_expected,
    is_live,
    now,
    session_columns,
)
from sessionstore_sql.sql.dialects.returning_batches import (
    VERSION,
    ReturningBatches,
    columns_of_creation,
    insert_given,
    select_live,
    select_load,
)
from sessionstore_sql.sql.dialects.signing_in import (
    SignInColumns,
    changes_of_sign_in,
    columns_of_sign_in,
    own_idle_ttl,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import CTE, BindParameter, ColumnClause, ColumnElement, FromClause, Table
    from sqlalchemy.sql.dml import ReturningUpdate

    from sessionstore_sql.sql.dialects.base import Batches, Row
    from sessionstore_sql.sql.dialects.returning_batches import Selection
    from sessionstore_sql.sql.dialects.signing_in import SignInRow

_PLACE = ("tableoid", "ctid")
"""The system columns that say where the version of a row is. A ``ctid`` alone is a place in one
partition: other partitions, and tables that inherit, have a row of the same ``ctid``."""

_PACKED_KEYS = bindparam("keys", type_=LargeBinary)
_TTLS = bindparam("ttls", type_=ARRAY(BigInteger))
_STATES = bindparam("states", type_=ARRAY(LargeBinary))
_TTL = bindparam("ttl", type_=BigInteger)
_CONDITIONS = [
    bindparam(name, type_=ARRAY(BigInteger)) for name in ("expecteds", "versions", "idle_ttls")
]
_NEW_KEYS = bindparam("new_keys", type_=LargeBinary)
_ACCOUNTS: list[BindParameter[Any]] = [
    bindparam("accounts", type_=ARRAY(LargeBinary)),
    bindparam("keeps_abouts", type_=ARRAY(BigInteger)),
    bindparam("lifetimes", type_=ARRAY(BigInteger)),
]
"""What sign-ins add. An account is a handle, the digests of a subject, and ``about``."""
_COLUMNS = {
    "new_keys": "new_id",
    "ttls": "ttl",
    "states": "state",
    "expecteds": "expected",
    "versions": "version",
    "idle_ttls": "idle_ttl",
    "accounts": "account",
    "keeps_abouts": "keeps_about",
    "lifetimes": "lifetime",
}
"""The columns that the arrays become."""

_NO_BYTES: ColumnElement[Any] = literal_column("''::bytea")
_ABOUT = SUBJECT_BYTES + HANDLE_BYTES
"""Where ``about`` begins, after the digest of the subject and the handle."""


def batches(table: Table, lifetime: int | None, subjects: int) -> Batches:
    """Return the operations on many sessions of ``table``."""
    return uncompiled(_built(table.name, table.schema, lifetime, subjects))


@lru_cache(maxsize=64)
def _built(name: str, schema: str | None, lifetime: int | None, subjects: int) -> ReturningBatches:
    sessions = session_table(name, schema=schema)
    for place in _PLACE:
        sessions.append_column(Column(place, NullType, system=True))
    is_given = sessions.c.id == any_(_keys())
    keys, ttls, records = _given(), _given(_TTLS), _given(_TTLS, _STATES)
    conditional = _given(_TTLS, _STATES, *_CONDITIONS)
    kept, touched, replaced = (_held(sessions, given) for given in (keys, ttls, records))
    matching = _held(sessions, conditional)
    moved = _held(sessions, _given(_NEW_KEYS))
    moved_and_replaced = _held(sessions, _given(_NEW_KEYS, _TTLS, _STATES, *_CONDITIONS))
    creation = columns_of_creation(records, _ttl_of(records), lifetime)
    insertion = insert_given(sessions, insert(sessions), records, creation)
    signed_in = _given(_TTLS, _STATES, *_CONDITIONS, *_ACCOUNTS)
    begun = _sign_in(signed_in, _ttl_of(signed_in), subjects)
    begun = begun._replace(idle_ttl=own_idle_ttl(signed_in.c.idle_ttl))
    beginning = insert_given(sessions, insert(sessions), signed_in, columns_of_sign_in(begun))
    moving = _held(sessions, _given(_NEW_KEYS, _TTLS, _STATES, *_CONDITIONS, *_ACCOUNTS))
    account_changes = changes_of_sign_in(
        sessions,
        _sign_in(moving, moving.c.ttl, subjects),
        moving.c.keeps_about,
        [_digest(moving, place) for place in range(subjects)],
    )

    def extension(held: CTE, **others: ColumnElement[Any]) -> ReturningUpdate[Any]:
        return change(held, deadline=extended(sessions, held.c.ttl), **others)

    def change(held: CTE, **columns: ColumnElement[Any]) -> ReturningUpdate[Any]:
        changed = update(sessions).where(_is_held(sessions, held))
        return changed.values(seen=now(), **columns).returning(sessions.c.id)

    def conditional_replacement(held: CTE, **columns: ColumnElement[Any]) -> ReturningUpdate[Any]:
        return extension(
            held,
            state=held.c.state,
            version=held.c.version,
            idle_ttl=changed_idle_ttl(sessions, held.c.idle_ttl),
            **columns,
        )

    replacement = extension(replaced, state=replaced.c.state, version=VERSION)
    removal = delete(sessions).where(_is_held(sessions, kept))
    changed = f"{name}_changed"  # differs from the table, as every internal name
    return ReturningBatches(
        parameters=_parameters,
        loaded=_loaded,
        keys=_changed,
        accounts=_loaded_sessions,
        select_load=_packed(select_load(sessions, is_given).subquery("found")),
        select_session=_packed_sessions(
            select(sessions.c.id, *_packed_columns(sessions)).where(is_given, is_live(sessions))
        ),
        select_live=_packed(select_live(sessions, is_given).subquery("found")),
        insert=_packed(insertion.cte(changed)),
        rewrite=_packed(replacement.cte(changed)),
        rewrite_if=_packed(conditional_replacement(matching).cte(changed)),
        move=_packed(change(moved, id=moved.c.new_id).cte(changed)),
        move_and_rewrite=_packed(
            conditional_replacement(moved_and_replaced, id=moved_and_replaced.c.new_id).cte(changed)
        ),
        insert_signed_in=_packed(beginning.cte(changed)),
        move_and_sign_in=_packed_handles(
            update(sessions)
            .where(_is_held(sessions, moving))
            .values(id=moving.c.new_id, **account_changes)
            .returning(sessions.c.id, sessions.c.handle)
            .cte(changed)
        ),
        sign_in_parameters=_sign_in_parameters,
        handles=_handles,
        extend=_packed(extension(touched).cte(changed)),
        remove=_packed(removal.returning(sessions.c.id).cte(changed)),
    )


def _sign_in(given: FromClause, ttl: ColumnElement[int], subjects: int) -> SignInColumns:
    """Return what sign-ins give, of which handle, digest and ``about`` arrive in one piece."""
    about = _part(given, HANDLE_BYTES + subjects * SUBJECT_BYTES)
    return SignInColumns(
        ttl=ttl,
        state=given.c.state,
        version=given.c.version,
        idle_ttl=given.c.idle_ttl,
        handle=_part(given, 0, HANDLE_BYTES),
        about=about,
        lifetime=given.c.lifetime,
        subject=_digest(given, 0),
    )


def _digest(given: FromClause, place: int) -> ColumnElement[bytes]:
    return _part(given, HANDLE_BYTES + place * SUBJECT_BYTES, SUBJECT_BYTES)


def _part(given: FromClause, start: int, *size: int) -> ColumnElement[bytes]:
    bounds: list[ColumnElement[int]] = [literal_column(str(each)) for each in (start + 1, *size)]
    return func.substring(given.c.account, *bounds, type_=LargeBinary)


def _keys(packed: BindParameter[Any] = _PACKED_KEYS) -> ColumnElement[Any]:
    """Return keys, which arrive in one piece, as an array.

    asyncpg asks of each element of an array whether it is an array itself, which costs as much as
    all else that is done for a key.
    """
    size: ColumnElement[int] = literal_column(str(KEY_BYTES))
    last = func.length(packed)
    start = func.generate_series(literal_column("1"), last, size).column_valued("start")
    # In their own order, by which the other arrays are joined to them.
    keys = select(func.substring(packed, start, size, type_=LargeBinary)).order_by(start)
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


def _packed_handles(rows: FromClause) -> CompiledStatement:
    """Return what selects new keys and handles as one row."""
    key, handle = rows.c
    return CompiledStatement(select(_joined(key), _joined(handle)))


def _handles(result: Sequence[Any]) -> Iterator[Any]:
    ((keys, handles),) = result
    starts = range(0, len(handles or b""), HANDLE_BYTES)
    found = [handles[start : start + HANDLE_BYTES] for start in starts]
    return zip(split_keys(keys or b""), found, strict=True)


def _packed_columns(table: Table) -> list[ColumnElement[Any]]:
    """Return what ``load_session`` reads of a row, with all that is fixed to one user in one piece.

    Digest and handle have a fixed length, so the piece can be cut up again.
    """
    found = SessionColumns._make(session_columns(table))
    about = func.coalesce(found.about, _NO_BYTES)
    account = found.subject.op("||")(found.handle).op("||")(about)
    return [
        found.state,
        func.coalesce(account, _NO_BYTES, type_=LargeBinary),
        *(found.remaining, found.authenticated_ago, found.ends_in, found.version, found.idle_ttl),
    ]


def _packed_sessions(rows: Selection) -> CompiledStatement:
    """Return what selects the rows of ``_packed_columns`` as one."""
    key, state, account, *numbers = rows.subquery("found").c
    all_numbers = (func.length(state), func.length(account), *numbers)
    arrays = [func.array_agg(each, type_=NullType()) for each in all_numbers]
    return CompiledStatement(select(_joined(key), _joined(state), _joined(account), *arrays))


def _loaded_sessions(result: Sequence[Any]) -> Iterator[Any]:
    ((keys, states, accounts, *arrays),) = result
    if keys is None:
        return
    start = begin = 0
    for key, (size, length, remaining, ago, ends, version, idle) in zip(
        split_keys(keys), zip(*arrays, strict=True), strict=True
    ):
        state, account = states[start : start + size], accounts[begin : begin + length]
        subject, handle = account[:SUBJECT_BYTES] or None, account[SUBJECT_BYTES:_ABOUT] or None
        about = account[_ABOUT:] or None
        yield key, state, remaining, subject, handle, ago, ends, version, idle, about
        start += size
        begin += length


def _joined(pieces: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.string_agg(pieces, _NO_BYTES, type_=NullType())


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


def _given(*arrays: BindParameter[Any]) -> FromClause:
    """Return the parameters as a table. Each costs its encoding, so none goes unused."""
    columns: list[ColumnClause[Any]] = [column("id", LargeBinary)]
    values: list[ColumnElement[Any]] = [_keys()]
    for array in arrays:
        values.append(_keys(array) if array is _NEW_KEYS else array)
        item: Any = getattr(array.type, "item_type", LargeBinary)
        columns.append(column(_COLUMNS[array.key], item))
    return func.unnest(*values).table_valued(*columns).render_derived("given")


def _ttl_of(given: FromClause) -> ColumnElement[int]:
    # Most applications have one TTL: then ``ttls`` is empty, and unnest pads it with NULL.
    return func.coalesce(given.c.ttl, _TTL)


def _held(sessions: Table, given: FromClause) -> CTE:
    """Return those of the given rows that are live, locked.

    It waits for no row that is locked. The rows are then reached by their place, rather than by a
    second search for the key. A place cannot change while its row is locked. If a row changed
    between the statement's snapshot and the lock, its new place is invisible to the snapshot, so
    the row is neither changed nor returned.

    Each key is one search in the primary key, and each row that was found one fetch by place,
    whatever the planner knows of the table. LATERAL makes the searches a loop, which reads one
    partition for each key. The condition on the length is always true. The planner takes it for
    rare, so it expects few rows, and never scans the table to join them. Without the two, it scans
    where statistics are missing: after a bulk load, and for a partitioned table at any time, as
    autovacuum analyzes the partitions only. Measured on PostgreSQL 12, 15 and 18.
    """
    names = [name for name in _COLUMNS.values() if name in given.c]
    taken = [_ttl_of(given).label(name) if name == "ttl" else given.c[name] for name in names]
    row = sessions.alias("row")
    is_wanted = [row.c.id == given.c.id, is_live(row)]
    if "expected" in given.c:
        is_wanted.append(is_expected(row, given.c.expected, given.c.version))
    locked = (
        select(*(row.c[name] for name in _PLACE))
        .where(*is_wanted)
        .with_for_update(skip_locked=True)
        .lateral("locked")
    )
    return (
        select(*(locked.c[name] for name in _PLACE), *taken)
        .select_from(given.join(locked, true()))
        .where(func.length(given.c.id) == literal_column(str(KEY_BYTES)))
        .cte(f"{sessions.name}_held")  # no other table is named in the statement
    )


def _is_held(sessions: Table, held: CTE) -> ColumnElement[bool]:
    return and_(*(sessions.c[name] == held.c[name] for name in _PLACE))


def _parameters(rows: Sequence[Row]) -> dict[str, Any]:
    ttls = [row.ttl for row in rows]
    uniform = ttls.count(ttls[0]) == len(ttls)
    return {
        "keys": b"".join([row.key for row in rows]),
        "ttl": ttls[0],
        "ttls": [] if uniform else ttls,
        "states": [row.state for row in rows],
        "new_keys": b"".join([row.new_key for row in rows]),
        "new_version": rows[0].version,
        "expecteds": [row.expected for row in rows],
        "versions": [row.version for row in rows],
        "idle_ttls": [row.idle_ttl for row in rows],
    }


def _sign_in_parameters(rows: Sequence[SignInRow]) -> dict[str, Any]:
    return {
        **_parameters(rows),
        "accounts": [b"".join((row.handle, *row.digests, row.about)) for row in rows],
        "keeps_abouts": [row.keeps_about for row in rows],
        "lifetimes": [row.lifetime for row in rows],
    }
