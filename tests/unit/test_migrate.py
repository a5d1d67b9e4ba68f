"""What a check says of a table that was changed by hand."""

from __future__ import annotations

import asyncio
import sys

import pytest
from sqlalchemy import Column, Index, Integer, Table

from sessionstore_sql import migrate
from sessionstore_sql.schema import session_table


def test_differences_are_named() -> None:
    """Changes of a column come in a list of their own, others as they are."""
    table: Table = session_table("logins")
    index = Index("by_state", table.c.state)
    changed: list[object] = [("modify_nullable", None, "logins", "state", {}, False, True)]
    described = migrate._described(
        [("remove_index", index), changed, ("add_column", None, "logins", Column("n", Integer))]
    )
    assert described == ("remove_index by_state, modify_nullable logins state, add_column logins n")


async def _upgrade_in_memory() -> None:
    await migrate.upgrade("sqlite://")


def test_a_database_that_would_vanish_is_refused() -> None:
    """The schema would be gone with the connection that made it."""
    with pytest.raises(ValueError, match=r"store\.engine"):
        asyncio.run(_upgrade_in_memory())


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for a store: the message is the command that installs it."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sessionstore-sql\[asyncpg\]'"):
        asyncio.run(_current_elsewhere())


async def _current_elsewhere() -> None:
    await migrate.current("postgresql://nowhere.invalid/none")
