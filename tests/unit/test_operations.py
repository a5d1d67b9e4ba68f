"""The table of operations, and what a call does when its statement reports something rare."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import IntegrityError

from sessionstore_sql import AccountSessionBackend, DatabaseError, SessionStorageBackend
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects import DATABASES, dialect_named
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.effects import Effect, Outcome
from sessionstore_sql.sql.operation_kinds import Operation, Read, SessionTable, Write
from sessionstore_sql.sql.operations import CHANGE_ID, CREATE, OPERATIONS
from sessionstore_sql.sql.statements import build_statements

DIALECT = dialect_named("mysql")
STATEMENTS = build_statements(session_table(), DIALECT)
TABLE = SessionTable(
    DIALECT, STATEMENTS, DIALECT.batches(session_table()), DIALECT.endings(session_table())
)
CONNECTION: Any = None
ROW = Row(b"key", 3_600_000_000, b"{}", b"new key")

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)


@each_operation
def test_an_entry_names_a_method_and_its_error(operation: Operation[Any]) -> None:
    """The name and the error class are those of the public contract."""
    contract = next(
        each
        for each in (SessionStorageBackend, AccountSessionBackend)
        if hasattr(each, operation.name)
    )
    assert inspect.iscoroutinefunction(getattr(contract, operation.name))
    words = operation.error.__name__.removesuffix("Error")
    assert words == operation.name.title().replace("_", "")


@pytest.mark.parametrize("database", DATABASES)
@each_operation
def test_an_entry_binds_what_its_statement_asks_for(
    operation: Operation[Any], database: str
) -> None:
    """On every database, the parameters of a row are exactly those of the statement."""
    statements = build_statements(session_table(), dialect_named(database))
    statement: Any = operation.statement(statements).statement
    sqlalchemy_dialect: Any = make_url(f"{database}://").get_dialect()
    bound = statement.compile(dialect=sqlalchemy_dialect()).params

    assert set(operation.parameters(ROW)) == {name for name in bound if bound[name] is None}


@each_operation
def test_reads_may_be_repeated_and_writes_say_what_no_change_means(
    operation: Operation[Any],
) -> None:
    """A write whose statement changed no row has not done its work."""
    if isinstance(operation, Read):
        assert operation.effect is Effect.READ
    else:
        assert isinstance(operation, Write)
        assert operation.effect is not Effect.READ
        assert operation.unchanged is not Outcome.DONE


@pytest.fixture
def _vanishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is taken whenever a row is to get it, and free whenever it is looked at."""
    taken = IntegrityError("INSERT", None, Exception(1062, "Duplicate entry"))

    def count(statement: CompiledStatement, *_: object) -> int:
        if statement in {STATEMENTS.create, STATEMENTS.change_id}:
            raise taken
        return 0

    monkeypatch.setattr(CompiledStatement, "count", count)
    monkeypatch.setattr(CompiledStatement, "rows", lambda *_: [])


@pytest.mark.usefixtures("_vanishing")
@pytest.mark.parametrize("operation", [CREATE, CHANGE_ID], ids=lambda each: each.name)
def test_a_row_that_keeps_vanishing_ends_in_a_transient_error(operation: Write) -> None:
    """A bounded number of collisions is resolved; then the caller may try again."""
    with pytest.raises(DatabaseError, match="try again") as caught:
        operation.one(CONNECTION, TABLE, ROW)
    assert caught.value.transient
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("operation", [CREATE, CHANGE_ID], ids=lambda each: each.name)
def test_an_integrity_error_that_is_no_duplicate_is_passed_on(
    operation: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constraint that an operator added was violated. It says nothing about the session's id."""
    broken = IntegrityError("INSERT", None, Exception(1048, "Column 'state' cannot be null"))

    def fail(*_: Any) -> int:
        raise broken

    monkeypatch.setattr(CompiledStatement, "count", fail)
    with pytest.raises(IntegrityError) as caught:
        operation.one(CONNECTION, TABLE, ROW)
    assert caught.value is broken
