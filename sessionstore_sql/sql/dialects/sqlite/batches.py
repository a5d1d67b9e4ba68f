"""Many sessions, one statement, on SQLite: which has no arrays, but JSON and substr."""

from __future__ import annotations

from functools import lru_cache
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

from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.records import KEY_BYTES
from sessionstore_sql.schema import SUBJECT_BYTES, session_table
from sessionstore_sql.sql.compiled import CompiledStatement, uncompiled
from sessionstore_sql.sql.dialects.clauses import (
    changed_idle_ttl,
    extended,
    is_expected,
    is_live,
    now,
)
from sessionstore_sql.sql.dialects.returning_batches import (
    ReturningBatches,
    columns_of_creation,
    insert_given,
    select_live,
    select_load,
    select_session,
)
from sessionstore_sql.sql.dialects.signing_in import (
    SignInColumns,
    changes_of_sign_in,
    columns_of_sign_in,
    own_idle_ttl,
)
from sessionstore_sql.sql.dialects.sqlite.driver import IN_ONE_TURN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Executable, Table

    from sessionstore_sql.sql.dialects.base import Batches, Row
    from sessionstore_sql.sql.dialects.signing_in import SignInRow


def batches(table: Table, lifetime: int | None, subjects: int) -> Batches:
    """Return the operations on many sessions of ``table``."""
    return uncompiled(_built(table.name, table.schema, lifetime, subjects))


@lru_cache(maxsize=64)
def _built(name: str, schema: str | None, lifetime: int | None, subjects: int) -> ReturningBatches:
    """Return the operations on many sessions.

    The rows arrive as one parameter for all keys, one for all states, and where each is: a text
    for each number of rows would have to be compiled anew by everyone.
    """
    table = session_table(name, schema=schema)
    layout = func.json_each(bindparam("layout")).table_valued("key", "value", name="layout")
    keys, states = bindparam("keys", type_=LargeBinary), bindparam("states", type_=LargeBinary)

    new_keys = bindparam("new_keys", type_=LargeBinary)
    accounts = bindparam("accounts", type_=LargeBinary)

    def at(path: str) -> ColumnElement[Any]:
        return func.json_extract(layout.c.value, path, type_=BigInteger)

    def piece(start: ColumnElement[Any], size: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.substr(accounts, start, size, type_=LargeBinary)

    def place(offset: int) -> ColumnElement[int]:
        return at("$[6]") + literal_column(str(offset))

    columns = [
        func.substr(keys, layout.c.key * KEY_BYTES + 1, KEY_BYTES, type_=LargeBinary).label("id"),
        func.substr(new_keys, layout.c.key * KEY_BYTES + 1, KEY_BYTES, type_=LargeBinary).label(
            "new_id"
        ),
        at("$[0]").label("ttl"),
        # Nothing of nothing is NULL to SQLite.
        func.coalesce(
            func.substr(states, at("$[1]"), at("$[2]"), type_=LargeBinary), literal_column("x''")
        ).label("state"),
        at("$[3]").label("expected"),
        at("$[4]").label("version"),
        at("$[5]").label("idle_ttl"),
    ]
    after_digests = HANDLE_BYTES + subjects * SUBJECT_BYTES
    digests = [
        piece(place(start), literal_column(str(SUBJECT_BYTES))).label(f"digest_{number}")
        for number, start in enumerate(range(HANDLE_BYTES, after_digests, SUBJECT_BYTES))
    ]
    account_columns = [
        piece(place(0), literal_column(str(HANDLE_BYTES))).label("handle"),
        piece(place(after_digests), at("$[7]")).label("about"),
        at("$[8]").label("keeps_about"),
        at("$[9]").label("lifetime"),
        *digests,
    ]
    as_given = f"{name}_given"  # not the name of the table, which is named beside it
    given = select(*columns).subquery(as_given)
    signed_in = select(*columns, *account_columns).subquery(as_given)
    of_row = {column: signed_in.c[column] for column in SignInColumns._fields[:-1]}
    sign_in = SignInColumns(**of_row, subject=signed_in.c.digest_0)
    begun = columns_of_sign_in(sign_in._replace(idle_ttl=own_idle_ttl(signed_in.c.idle_ttl)))
    changes = changes_of_sign_in(
        table,
        sign_in,
        signed_in.c.keeps_about,
        [signed_in.c[column.name] for column in digests],
    )
    is_given = table.c.id.in_(select(given.c.id))
    extension = {"deadline": extended(table, given.c.ttl), "seen": now()}
    replacement = {**extension, "state": given.c.state, "version": given.c.version}
    is_wanted = is_expected(table, given.c.expected, given.c.version)
    idle_ttl = changed_idle_ttl(table, given.c.idle_ttl)
    # A statement has the whole database to itself: no row is locked by anyone else.
    touch = update(table).where(table.c.id == given.c.id, is_live(table))

    def compiled(statement: Executable) -> CompiledStatement:
        return CompiledStatement(statement, IN_ONE_TURN)

    return ReturningBatches(
        parameters=_layout,
        loaded=iter,
        accounts=iter,
        keys=lambda rows: {key for (key,) in rows},
        select_load=compiled(select_load(table, is_given)),
        select_session=compiled(select_session(table, is_given)),
        select_live=compiled(select_live(table, is_given)),
        insert=compiled(
            insert_given(
                table, insert(table), given, columns_of_creation(given, given.c.ttl, lifetime)
            )
        ),
        insert_signed_in=compiled(insert_given(table, insert(table), signed_in, begun)),
        move_and_sign_in=compiled(
            update(table)
            .where(
                table.c.id == signed_in.c.id,
                is_live(table),
                is_expected(table, signed_in.c.expected, signed_in.c.version),
            )
            .values(id=signed_in.c.new_id, **changes)
            .returning(table.c.id, table.c.handle)
        ),
        sign_in_parameters=_sign_in_layout,
        handles=iter,
        rewrite=compiled(touch.values(replacement).returning(table.c.id)),
        rewrite_if=compiled(
            touch.where(is_wanted).values(**replacement, idle_ttl=idle_ttl).returning(table.c.id)
        ),
        move=compiled(touch.values(id=given.c.new_id, seen=now()).returning(table.c.id)),
        move_and_rewrite=compiled(
            touch.where(is_wanted)
            .values(id=given.c.new_id, **replacement, idle_ttl=idle_ttl)
            .returning(table.c.id)
        ),
        extend=compiled(touch.values(extension).returning(table.c.id)),
        remove=compiled(delete(table).where(is_given, is_live(table)).returning(table.c.id)),
    )


def _layout(rows: Sequence[Row]) -> dict[str, Any]:
    return _parameters(rows, _placed(rows))


def _placed(rows: Sequence[Row]) -> list[tuple[int | None, ...]]:
    """Return the numbers of each row, and where its state is."""
    layout: list[tuple[int | None, ...]] = []
    start = 1
    for row in rows:
        place = (start, len(row.state))
        layout.append((row.ttl, *place, row.expected, row.version, row.idle_ttl))
        start += len(row.state)
    return layout


def _sign_in_layout(rows: Sequence[SignInRow]) -> dict[str, Any]:
    layout, accounts, start = [], [], 1
    for row, numbers in zip(rows, _placed(rows), strict=True):
        account = b"".join((row.handle, *row.digests, row.about))
        layout.append((*numbers, start, len(row.about), row.keeps_about, row.lifetime))
        accounts.append(account)
        start += len(account)
    return {**_parameters(rows, layout), "accounts": b"".join(accounts)}


def _parameters(rows: Sequence[Row], layout: Sequence[tuple[int | None, ...]]) -> dict[str, Any]:
    return {
        "layout": orjson.dumps(layout).decode(),
        "new_version": rows[0].version,
        "new_keys": b"".join(row.new_key for row in rows),
        "keys": b"".join(row.key for row in rows),
        "states": b"".join(row.state for row in rows),
    }
