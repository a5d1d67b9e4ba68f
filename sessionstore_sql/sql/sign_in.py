"""Signing in: one statement, of which a repeat recognises what an earlier attempt has done."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from sessionstore_sql.errors import SignInError
from sessionstore_sql.sql.collisions import (
    is_live,
    is_own,
    own_unknown_or_conflict,
    remove_expired_unless_own,
)
from sessionstore_sql.sql.committed import after_write
from sessionstore_sql.sql.dialects.clauses import digest_parameters
from sessionstore_sql.sql.dialects.signing_in import SignInRow
from sessionstore_sql.sql.effects import Effect, Outcome
from sessionstore_sql.sql.operation_kinds import Write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Connection

    from sessionstore_sql.sql.compiled import Line
    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.dialects.clauses import SessionColumns
    from sessionstore_sql.sql.operation_kinds import Parameters, SessionTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignInWrite(Write):
    """A write that compares subjects, and finds out the handle that the session has."""

    def parameters(self, row: Row) -> Parameters:
        """Return what the statement binds for a ``SignInRow``."""
        assert isinstance(row, SignInRow)
        own = {name: getattr(row, name) for name in self.binds}
        return {**own, **digest_parameters(row.digests)}

    def one(self, connection: Connection, table: SessionTable, row: Row) -> Outcome:
        """Write one row, and read its handle."""
        outcome = Write.one(self, connection, table, row)
        if outcome is Outcome.DONE:
            statement = table.statements.accounts.handle
            with after_write(connection):
                _note_handle(row, statement.rows(connection, _place(row)))
        return outcome

    async def one_on(self, line: Line, table: SessionTable, row: Row) -> Outcome:
        """Do the same on a line."""
        outcome = await Write.one_on(self, line, table, row)
        if outcome is Outcome.DONE:
            statement = table.statements.accounts.handle
            with after_write(line.connection):
                _note_handle(row, await statement.rows_on(line, _place(row)))
        return outcome

    def recognised(self, row: Row, columns: SessionColumns) -> None:
        """Note the handle of a row that an earlier attempt has written."""
        _note_handle(row, [(columns.handle,)])


def _place(row: Row) -> Parameters:
    return {"key": row.new_key, "version": row.version}


def _note_handle(row: Row, found: Sequence[Any]) -> None:
    assert isinstance(row, SignInRow)
    # If another call has ended the session since, no handle names it any more.
    row.stored_handle = bytes(found[0][0]) if found else b""


def _replace_expired(connection: Connection, table: SessionTable, row: Row) -> Outcome | None:
    """Replace the row that has the key, if it is expired; ``None`` if it is gone meanwhile."""
    if is_own(connection, table, row):
        return Outcome.DONE
    if table.statements.accounts.begin_over_expired.count(connection, SIGN_IN_ANEW.parameters(row)):
        return Outcome.DONE
    return Outcome.DUPLICATE if is_live(connection, table, row.key) else None


def _own_or_duplicate(connection: Connection, table: SessionTable, row: Row) -> Outcome:
    return Outcome.DONE if is_own(connection, table, row) else Outcome.DUPLICATE


_CONTENT = ("ttl", "state", "version", "subject", "handle", "about", "lifetime")

SIGN_IN_ANEW = Write(
    name="sign_in",
    error=SignInError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("accounts.begin"),
    binds=("key", *_CONTENT, "own_idle_ttl"),
    unchanged=Outcome.DUPLICATE,
    if_taken=_replace_expired,
    if_unchanged=_own_or_duplicate,
    upserts=True,
    batch=attrgetter("begin"),
    waits_for_rows=True,
    has_versions=True,
)
"""``sign_in`` without a session before. ``key`` and ``new_key`` of its row are the same."""

SIGN_IN = SignInWrite(
    name="sign_in",
    error=SignInError,
    effect=Effect.REPEATABLE,
    statement=attrgetter("accounts.sign_in"),
    binds=("key", "new_key", *_CONTENT, "expected", "idle_ttl", "keeps_about"),
    unchanged=Outcome.UNKNOWN,
    if_taken=remove_expired_unless_own,
    if_unchanged=own_unknown_or_conflict,
    batch=attrgetter("sign_in"),
    waits_for_rows=True,
    has_versions=True,
)
"""``sign_in`` from a live session."""
