"""Many sessions, one statement: where UPDATE and DELETE can return the keys they touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy import BigInteger, bindparam, select

from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.dialects.clauses import (
    is_live,
    now,
    replacing_expired,
    session_columns,
)
from sessionstore_sql.sql.dialects.with_line import WithLine

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table
    from sqlalchemy.sql.dml import ReturningInsert

    from sessionstore_sql.sql.compiled import CompiledStatement, Line
    from sessionstore_sql.sql.dialects.clauses import UpsertableInsert
    from sessionstore_sql.sql.dialects.signing_in import SignInRow

Given = TypeVar("Given")
Result = TypeVar("Result")

Selection: TypeAlias = "Select[*tuple[Any, ...]]"
"""Of any columns."""

VERSION = bindparam("new_version", type_=BigInteger())
"""The version that all rows of a batch get. It is not named as the column: SQLAlchemy assigns
parameters of such a name to their column in every UPDATE."""

Parameters: TypeAlias = Callable[[Sequence[Row]], dict[str, Any]]
"""Returns what the statements bind for some rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturningBatches:
    """``Batches`` of statements whose text is the same for any number of rows."""

    parameters: Parameters
    loaded: Callable[[Sequence[Any]], Iterable[Any]]
    """Makes key, state and remaining microseconds of what ``select_load`` returned."""
    keys: Callable[[Sequence[Any]], Collection[bytes]]
    """Makes keys of what the other statements returned."""
    select_load: CompiledStatement
    """Those that are live."""
    accounts: Callable[[Sequence[Any]], Iterable[Any]]
    """Makes key and ``SessionColumns`` of what ``select_session`` returned."""
    select_session: CompiledStatement
    """Those that are live, as ``load_session`` returns them."""
    select_live: CompiledStatement
    """The keys of those that are live."""
    insert: CompiledStatement
    """As ``create``; like those below, it returns the keys of the rows it changed."""
    rewrite: CompiledStatement
    rewrite_if: CompiledStatement
    move: CompiledStatement
    """As ``change_id``; like the next one, it returns the new keys of the rows it changed."""
    move_and_rewrite: CompiledStatement
    extend: CompiledStatement
    remove: CompiledStatement
    insert_signed_in: CompiledStatement
    """As ``begin``."""
    move_and_sign_in: CompiledStatement
    """As ``sign_in``; it returns the new keys and the handles of the rows it changed."""
    sign_in_parameters: Callable[[Sequence[SignInRow]], dict[str, Any]]
    """Returns what the statements bind for some sign-ins."""
    handles: Callable[[Sequence[Any]], Iterable[Any]]
    """Makes new keys and handles of what ``move_and_sign_in`` returned."""
    load: WithLine[bytes, Iterable[Any]] = field(init=False)
    load_session: WithLine[bytes, Iterable[Any]] = field(init=False)
    live: WithLine[bytes, Collection[bytes]] = field(init=False)
    create: WithLine[Row, Collection[bytes]] = field(init=False)
    update: WithLine[Row, Collection[bytes]] = field(init=False)
    update_if: WithLine[Row, Collection[bytes]] = field(init=False)
    change_id: WithLine[Row, Collection[bytes]] = field(init=False)
    replace: WithLine[Row, Collection[bytes]] = field(init=False)
    begin: WithLine[SignInRow, Collection[bytes]] = field(init=False)
    sign_in: WithLine[SignInRow, Collection[bytes]] = field(init=False)
    update_ttl: WithLine[Row, Collection[bytes]] = field(init=False)
    delete: WithLine[Row, Collection[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        """Make the operations."""
        of_keys, of_rows = self._parameters_of_keys, self.parameters
        made: list[tuple[str, CompiledStatement, Callable[[Any], dict[str, Any]], Any]] = [
            ("load", self.select_load, of_keys, self.loaded),
            ("load_session", self.select_session, of_keys, self.accounts),
            ("live", self.select_live, of_keys, self.keys),
            ("create", self.insert, of_rows, self.keys),
            ("update", self.rewrite, of_rows, self.keys),
            ("update_if", self.rewrite_if, of_rows, self.keys),
            ("update_ttl", self.extend, of_rows, self.keys),
            ("delete", self.remove, of_rows, self.keys),
            ("begin", self.insert_signed_in, self.sign_in_parameters, self.keys),
        ]
        for name, statement, parameters, result in made:
            object.__setattr__(self, name, _one_statement(statement, parameters, result))
        for name, statement in (("change_id", self.move), ("replace", self.move_and_rewrite)):
            object.__setattr__(self, name, _moving(statement, of_rows, self.keys))
        signing_in = _signing_in(self.move_and_sign_in, self.sign_in_parameters, self.handles)
        object.__setattr__(self, "sign_in", signing_in)

    def _parameters_of_keys(self, keys: Sequence[bytes]) -> dict[str, Any]:
        return self.parameters([Row(key) for key in keys])


def _one_statement(
    statement: CompiledStatement,
    parameters: Callable[[Sequence[Given]], dict[str, Any]],
    result: Callable[[Sequence[Any]], Result],
) -> WithLine[Given, Result]:
    """Return the operation whose result is made of what ``statement`` returns."""

    def on_connection(connection: Connection, given: Sequence[Given]) -> Result:
        return result(statement.rows(connection, parameters(given)))

    async def on_line(line: Line, given: Sequence[Given]) -> Result:
        return result(await statement.rows_on(line, parameters(given)))

    return WithLine(on_connection, on_line)


def _moving(
    statement: CompiledStatement,
    parameters: Parameters,
    keys: Callable[[Sequence[Any]], Collection[bytes]],
) -> WithLine[Row, Collection[bytes]]:
    """Return the operation whose result is the old keys of the rows that ``statement`` moves."""

    def old_keys(found: Sequence[Any], rows: Sequence[Row]) -> Collection[bytes]:
        old = {row.new_key: row.key for row in rows}
        return [old[bytes(key)] for key in keys(found)]

    def on_connection(connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        return old_keys(statement.rows(connection, parameters(rows)), rows)

    async def on_line(line: Line, rows: Sequence[Row]) -> Collection[bytes]:
        return old_keys(await statement.rows_on(line, parameters(rows)), rows)

    return WithLine(on_connection, on_line)


def _signing_in(
    statement: CompiledStatement,
    parameters: Callable[[Sequence[SignInRow]], dict[str, Any]],
    handles: Callable[[Sequence[Any]], Iterable[Any]],
) -> WithLine[SignInRow, Collection[bytes]]:
    """Return the operation that signs in from the rows that ``statement`` moves."""

    def old_keys(found: Sequence[Any], rows: Sequence[SignInRow]) -> Collection[bytes]:
        given = {row.new_key: row for row in rows}
        keys = []
        for key, handle in handles(found):
            row = given[bytes(key)]
            row.stored_handle = bytes(handle)
            keys.append(row.key)
        return keys

    def on_connection(connection: Connection, rows: Sequence[SignInRow]) -> Collection[bytes]:
        return old_keys(statement.rows(connection, parameters(rows)), rows)

    async def on_line(line: Line, rows: Sequence[SignInRow]) -> Collection[bytes]:
        return old_keys(await statement.rows_on(line, parameters(rows)), rows)

    return WithLine(on_connection, on_line)


def select_load(table: Table, is_given: ColumnElement[bool]) -> Selection:
    """Return what loads those of the rows ``is_given`` that are live."""
    return select(table.c.id, table.c.state, table.c.deadline - now()).where(
        is_given, is_live(table)
    )


def select_session(table: Table, is_given: ColumnElement[bool]) -> Selection:
    """Return what loads all of those of the rows ``is_given`` that are live."""
    return select(table.c.id, *session_columns(table)).where(is_given, is_live(table))


def select_live(table: Table, is_given: ColumnElement[bool]) -> Selection:
    """Return what tells which of the rows ``is_given`` are live."""
    return select(table.c.id).where(is_given, is_live(table))


def columns_of_creation(
    given: FromClause, ttl: ColumnElement[int], lifetime: int | None
) -> dict[str, Any]:
    """Return what ``create`` stores, of each of the rows of ``given``.

    All get one version. It only has to differ from the other versions of the same session.
    """
    columns: dict[str, Any] = {
        "deadline": now() + ttl,
        "state": given.c.state,
        "created": now(),
        "seen": now(),
        "version": VERSION,
    }
    if lifetime is not None:
        columns["final_deadline"] = now() + bindparam("lifetime", lifetime, BigInteger())
    return columns


def insert_given(
    table: Table, insert: UpsertableInsert, given: FromClause, columns: dict[str, Any]
) -> ReturningInsert[Any]:
    """Return what creates the rows of ``given``, in the order of their keys."""
    rows = (
        select(given.c.id, *columns.values())
        # Without a WHERE, SQLite takes ON CONFLICT for a join's condition.
        .where(given.c.id.is_not(None))
        .order_by(given.c.id)
    )
    created = insert.from_select(["id", *columns], rows)
    return replacing_expired(created, table).returning(table.c.id)
