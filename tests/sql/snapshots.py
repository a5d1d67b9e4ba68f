"""The text of a snapshot: the statements of one database, each under the call that sends it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent

from sqlalchemy.dialects import mysql, postgresql, sqlite

from sessionstore_sql.sql.dialects import now
from tests.sql.formatting import formatted
from tests.sql.recording import Recorded

CLOCK = {
    "postgresql": str(now().compile(dialect=postgresql.dialect())),  # type: ignore[no-untyped-call]
    "mysql": str(now().compile(dialect=mysql.dialect())),
    "mariadb": str(now().compile(dialect=mysql.dialect())),
    "sqlite": str(now().compile(dialect=sqlite.dialect())),  # type: ignore[no-untyped-call]
}
"""For each database, the expression for the time in microseconds since 1970 UTC."""
CLOCK = {name: clock.removeprefix("(").removesuffix(")") for name, clock in CLOCK.items()}

_NAMES = {
    "postgresql": ("PostgreSQL", "Each of $1, $2 ..", "asyncpg"),
    "mysql": ("MySQL", "Each %s", "aiomysql"),
    "mariadb": ("MariaDB", "Each %s", "aiomysql"),
    "sqlite": ("SQLite", "Each ?", "aiosqlite"),
}


def snapshot_of(calls: Sequence[Recorded], database: str) -> str:
    """Return the snapshot of one database."""
    name, marker, driver = _NAMES[database]
    header = f"""\
        -- What {name} receives through {driver}. Written by `make sql`, compared by tests/sql.
        -- {marker} is a parameter. now_us is the time in microseconds since 1970 UTC:
        --     {CLOCK[database]}
    """
    parts = [dedent(header)]
    for call in calls:
        texts = [formatted(_short(each, database)) + ";\n" for each in call.statements]
        parts.append(f"-- {call.title}\n" + "\n".join(texts))
    return "\n".join(parts)


def _short(statement: str, database: str) -> str:
    return " ".join(statement.split()).replace(f"({CLOCK[database]})", "now_us")
