"""The statements that each database receives are those in the files beside this test.

The files show the SQL of the store in one place. ``docs/reference/sql.md`` includes them. After an
intended change, ``make sql`` writes them again, and the difference is part of the review.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import URL, ClauseElement
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.operations import OPERATIONS
from sessionstore_sql.sql.statements import build_statements
from tests.databases import DEFAULT_TARGETS, Target
from tests.sql.formatting import formatted
from tests.sql.recording import Recorded, recorded
from tests.sql.snapshots import CLOCK, snapshot_of

FOLDER = Path(__file__).parent


@pytest.mark.anyio
async def test_statements_are_as_in_the_snapshot(
    url: URL, target: Target, pytestconfig: pytest.Config
) -> None:
    """A change of any statement changes a file of this folder."""
    path = FOLDER / f"{target.database}.sql"
    now = snapshot_of(await recorded(url), target.database)
    if pytestconfig.getoption("--write-sql"):
        path.write_text(now, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == now, "run `make sql`, and review the difference"


@pytest.mark.anyio
async def test_no_statement_is_missing(store: SQLSessionStore, target: Target) -> None:
    """Every statement that is compiled for one session, or for a batch, is in the snapshot."""
    dialect = dialect_named(target.database)
    table = session_table()
    statements = build_statements(table, dialect)
    compiled = {
        name: each
        for group in (statements, statements.accounts, dialect.batches(table))
        for name, each in _attributes(group).items()
        if isinstance(each, CompiledStatement)
    }
    if dialect.upsert is not None:
        # An upsert replaces the row, so these are never sent.
        del compiled["replace_expired"], compiled["begin_over_expired"]
    snapshot = _without_spaces((FOLDER / f"{target.database}.sql").read_text(encoding="utf-8"))

    assert [
        name
        for name, each in compiled.items()
        if _without_spaces(_text_of(each, store.engine)) not in snapshot
    ] == []


@pytest.mark.parametrize("target", DEFAULT_TARGETS, ids=str)
def test_every_operation_has_a_heading(target: Target) -> None:
    """Readers find an operation by the name of the method."""
    snapshot = (FOLDER / f"{target.database}.sql").read_text(encoding="utf-8")
    headings = re.findall(r"^-- (\w+)", snapshot, re.MULTILINE)
    assert {operation.name for operation in OPERATIONS} <= set(headings)


def test_a_snapshot_names_the_clock_once() -> None:
    """The expression for the time would otherwise be most of the text."""
    clock = f"({CLOCK['sqlite']})"
    text = snapshot_of([Recorded("load", [f"SELECT {clock} FROM t WHERE a > {clock}"])], "sqlite")
    assert text.count(CLOCK["sqlite"]) == 1
    assert text.endswith("-- load\nSELECT now_us\nFROM t\nWHERE a > now_us;\n")


@pytest.mark.parametrize(
    ("statement", "lines"),
    [
        ("SELECT a,  b FROM t", ["SELECT a, b", "FROM t"]),
        ("SELECT a FROM t WHERE b = 1 AND c", ["SELECT a", "FROM t", "WHERE b = 1", "AND c"]),
        ("SELECT extract(epoch FROM t)", ["SELECT extract(epoch FROM t)"]),
        ("SELECT 'a FROM b' FROM t", ["SELECT 'a FROM b'", "FROM t"]),
        ("SELECT (SELECT 1 FROM t)", ["SELECT (", "    SELECT 1", "    FROM t", ")"]),
        (
            "WITH a AS (SELECT 1) SELECT 2 FROM a",
            ["WITH a AS (", "    SELECT 1", ")", "SELECT 2", "FROM a"],
        ),
    ],
)
def test_a_statement_is_laid_out(statement: str, lines: list[str]) -> None:
    """One clause per line; words inside functions and literals start no line."""
    assert formatted(statement).splitlines() == lines


def _attributes(group: Any) -> dict[str, object]:
    names = [field.name for field in fields(group)] if is_dataclass(group) else []
    return {name: getattr(group, name) for name in names}


def _text_of(compiled: CompiledStatement, engine: AsyncEngine) -> str:
    """Return the text for a server of the version that ``engine`` has connected to."""
    statement = cast("ClauseElement", compiled.statement)
    return str(statement.compile(dialect=engine.sync_engine.dialect))


def _without_spaces(text: str) -> str:
    for clock in CLOCK.values():
        text = text.replace(f"({clock})", "now_us")
    return re.sub(r"\s+", "", text)
