"""Many sessions, one statement, on SQLite: which has no arrays, but JSON and substr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    BigInteger,
    LargeBinary,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from sessionstore_sql.dialects.batches import (
    ReturningBatches,
    insert_given,
    select_live,
    select_load,
)
from sessionstore_sql.dialects.clock import now
from sessionstore_sql.dialects.compiled import CompiledStatement
from sessionstore_sql.dialects.sqlite_sending import IN_ONE_TURN
from sessionstore_sql.schema import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Executable, Table

    from sessionstore_sql.dialects.base import Batches, Row


def batches(table: Table) -> Batches:
    """Return the operations on many sessions of ``table``.

    The rows arrive as one parameter for all keys, one for all states, and where each is: a text
    for each number of rows would have to be compiled anew by everyone.
    """
    layout = func.json_each(bindparam("layout")).table_valued("key", "value", name="layout")
    keys, states = bindparam("keys", type_=LargeBinary), bindparam("states", type_=LargeBinary)

    def at(path: str) -> ColumnElement[Any]:
        return func.json_extract(layout.c.value, path, type_=BigInteger)

    given = select(
        func.substr(keys, layout.c.key * KEY_BYTES + 1, KEY_BYTES, type_=LargeBinary).label("id"),
        at("$[0]").label("ttl"),
        # Nothing of nothing is NULL to SQLite.
        func.coalesce(
            func.substr(states, at("$[1]"), at("$[2]"), type_=LargeBinary), literal_column("x''")
        ).label("state"),
    ).subquery()
    is_given, is_live = table.c.id.in_(select(given.c.id)), table.c.deadline > now()
    deadline = now() + given.c.ttl
    # A statement has the whole database to itself: no row is locked by anyone else.
    touch = update(table).where(table.c.id == given.c.id, is_live)

    def compiled(statement: Executable) -> CompiledStatement:
        return CompiledStatement(statement, IN_ONE_TURN)

    return ReturningBatches(
        parameters=_layout,
        loaded=iter,
        keys=lambda rows: {key for (key,) in rows},
        select_load=compiled(select_load(table, is_given)),
        select_live=compiled(select_live(table, is_given)),
        insert=compiled(insert_given(table, insert(table), given, given.c.ttl)),
        replace=compiled(
            touch.values(deadline=deadline, state=given.c.state).returning(table.c.id)
        ),
        extend=compiled(touch.values(deadline=deadline).returning(table.c.id)),
        remove=compiled(delete(table).where(is_given, is_live).returning(table.c.id)),
    )


def _layout(rows: Sequence[Row]) -> dict[str, Any]:
    layout, start = [], 1
    for row in rows:
        layout.append((row.ttl, start, len(row.state)))
        start += len(row.state)
    return {
        "layout": orjson.dumps(layout).decode(),
        "keys": b"".join(row.key for row in rows),
        "states": b"".join(row.state for row in rows),
    }
