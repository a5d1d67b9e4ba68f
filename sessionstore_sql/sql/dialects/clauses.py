"""Clauses that the statements of several databases share: the clock, the upsert, what to purge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from sessionstore_sql.schema import BUCKET_SHIFT
from sessionstore_sql.sql.dialects.base import ANY_VERSION, KEEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import BindParameter, FromClause, Subquery, Table
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.sql.dialects.base import Dialect

UpsertableInsert: TypeAlias = "postgresql.Insert | sqlite.Insert"
"""An INSERT that can have an ON CONFLICT clause."""

LOOKAHEAD = 2
"""The purge looks at this many batches of expired rows to find the oldest batch."""

MIN_LOOKAHEAD = 2_000
"""The purge looks at this many expired rows at least."""


class now(FunctionElement[int]):  # noqa: N801  # named as it reads in a statement
    """The database's clock: microseconds since 1970 UTC, the same throughout a statement.

    Each dialect compiles it to the function of its database.
    """

    type = BigInteger()
    inherit_cache = True


class SessionColumns(NamedTuple):
    """What the driver returns of a live session.

    SQLite may return values of any type, if they were written by hand.
    """

    state: Any
    remaining: Any
    subject: Any
    handle: Any
    authenticated_ago: Any
    ends_in: Any
    version: Any
    idle_ttl: Any
    about: Any


class earlier(FunctionElement[int]):  # noqa: N801  # named as it reads in a statement
    """The earlier of two times, neither of which may be NULL."""

    type = BigInteger()
    inherit_cache = True


@compiles(earlier)
def _earlier(element: earlier, compiler: SQLCompiler, **options: Any) -> str:
    return f"LEAST({compiler.process(element.clauses, **options)})"


@compiles(earlier, "sqlite")
def _earlier_in_sqlite(element: earlier, compiler: SQLCompiler, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


_NEVER = literal_column(str(2**63 - 1), BigInteger())
"""Later than every deadline."""


def extended(table: FromClause, ttl: ColumnElement[int]) -> ColumnElement[int]:
    """Return the deadline of a row that is extended by ``ttl``: its lifetime is an upper bound.

    The clock is the same throughout a statement. With two times, the deadline could pass the end
    of the lifetime by a few microseconds.
    """
    # COALESCE: LEAST(5, NULL) is 5 on PostgreSQL, and NULL on the other databases.
    return earlier(now() + ttl, func.coalesce(table.c.final_deadline, _NEVER))


def has_version(
    table: FromClause, expected: ColumnElement[int], own: ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the condition that the state is the expected one, or was stored by this very call.

    The second is the case if the call is repeated after its connection was lost. A row that was
    written before revision 0002 has no version, which counts as 0.
    """
    return func.coalesce(table.c.version, literal_column("0")).in_([expected, own])


def is_expected(
    table: FromClause, expected: ColumnElement[int], own: ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the same condition, which any version meets if none is expected."""
    return or_(expected == literal_column(str(ANY_VERSION)), has_version(table, expected, own))


def changed_idle_ttl(table: FromClause, given: ColumnElement[int]) -> ColumnElement[int | None]:
    """Return the idle time that a row gets, for a ``Row.idle_ttl``."""
    return case(
        (given == literal_column(str(KEEP)), table.c.idle_ttl),
        (given == literal_column("0"), null()),
        else_=given,
    )


def session_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """Return all that ``load_session`` reads of a row: what ``SessionColumns`` names."""
    return [
        table.c.state,
        table.c.deadline - now(),
        table.c.subject,
        table.c.handle,
        now() - table.c.authenticated,
        table.c.final_deadline - now(),
        table.c.version,
        table.c.idle_ttl,
        table.c.about,
    ]


def contents_of(table: Table) -> list[str]:
    """Return the names of all columns that a row that replaces another one has to set."""
    return [
        each.name
        for each in table.c
        if not each.primary_key and each.computed is None and not each.system
    ]


def binary(name: str, dialect: Dialect) -> BindParameter[bytes]:
    """Return a parameter of bytes."""
    return bindparam(name, type_=dialect.binary)


def integer(name: str) -> BindParameter[int]:
    """Return a parameter that is a number."""
    return bindparam(name, type_=BigInteger())


def is_of_subject(table: FromClause, dialect: Dialect, digests: int) -> ColumnElement[bool]:
    """Return the condition that a row has one of so many digests, ``digest_0`` and on."""
    return table.c.subject.in_([binary(f"digest_{place}", dialect) for place in range(digests)])


def digest_parameters(digests: Sequence[bytes]) -> dict[str, bytes]:
    """Return what ``is_of_subject`` binds."""
    return {f"digest_{place}": digest for place, digest in enumerate(digests)}


def is_live(table: FromClause) -> ColumnElement[bool]:
    """Return the condition of a session that is live."""
    return table.c.deadline > now()


def is_expired(table: FromClause) -> ColumnElement[bool]:
    """Return the condition of a session that is expired.

    Every statement that removes or replaces an expired row has it, even if the row was found to be
    expired before: another call may have extended the session since.
    """
    return table.c.deadline <= now()


def replacing_expired(insert: UpsertableInsert, table: Table) -> UpsertableInsert:
    """Return ``insert`` so that it replaces an expired row. It leaves a live row, and counts 0.

    Every column is replaced: otherwise, the user of the expired session would be that of its
    successor.
    """
    return insert.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={name: insert.excluded[name] for name in contents_of(table)},
        where=is_expired(table),
    )


def purge_parameters(batch_size: int) -> dict[str, int]:
    """Return the parameters of ``oldest_expired`` and ``expired_window`` for one batch."""
    return {"batch_size": batch_size, "lookahead": max(LOOKAHEAD * batch_size, MIN_LOOKAHEAD)}


def expired_window(table: Table) -> Subquery:
    """Return ``id`` and ``deadline`` of the first ``:lookahead`` expired rows, by bucket.

    The index has buckets of 4.5 minutes, not deadlines. Sorting this window by deadline finds the
    oldest rows at a cost that depends on the batch and not on the table. The order is that of the
    index only where a single bucket has more rows than the window.
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
    """Return the exact number of expired rows.

    Buckets of the past have expired as a whole and are counted in the index. Only the rows of the
    present bucket, 4.5 minutes of them, are compared by deadline.
    """
    count = select(func.count()).select_from(table)
    past = count.where(table.c.expiry_bucket < _present_bucket())
    present = count.where(table.c.expiry_bucket == _present_bucket(), is_expired(table))
    return select(past.scalar_subquery() + present.scalar_subquery())


def _present_bucket() -> ColumnElement[int]:
    # The shift is part of the text, as it is in the schema. As a parameter, it would need a type.
    return now().op(">>")(literal_column(str(BUCKET_SHIFT)))
