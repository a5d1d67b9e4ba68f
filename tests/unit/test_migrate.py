"""What a check says of a table that was changed by hand."""

from __future__ import annotations

import asyncio
import sys

import pytest
from sqlalchemy import Column, Index, Integer, Table

from sessionstore_sql import migrate
from sessionstore_sql.migrate.checking import described
from sessionstore_sql.schema import session_table


def test_differences_are_named() -> None:
    """By what has to be done, and to what."""
    table: Table = session_table("logins")
    index = Index("by_state", table.c.state)
    changed: tuple[object, ...] = ("modify_nullable", None, "logins", "state", {}, False, True)
    shown = described(
        [("remove_index", index), changed, ("add_column", None, "logins", Column("n", Integer))]
    )
    assert shown == ("remove_index by_state, modify_nullable logins state, add_column logins n")


@pytest.mark.parametrize(
    ("revision", "later"),
    [
        (None, False),
        ("sessionstore_0001", False),
        ("sessionstore_0002", False),
        ("sessionstore_0003", True),
        ("sessionstore_0999", True),
        ("sessionstore_1000", False),
        ("sessionstore_3", False),
        ("sessionstore_00003", False),
        ("sessionstore_0003x", False),
        ("hosts_0003", False),
    ],
)
def test_a_later_addition_is_told_by_its_number(revision: str | None, later: bool) -> None:
    """Below 1000, a revision only adds to the table."""
    assert migrate.newest_revision() == "sessionstore_0002"
    assert migrate.is_later_addition(revision) is later


async def _upgrade_in_memory() -> None:
    await migrate.upgrade("sqlite://")


def test_a_database_that_would_vanish_is_rejected() -> None:
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


def test_an_assertion_in_a_revision_is_not_about_its_name() -> None:
    """It is a bug, and its traceback says where."""
    with pytest.raises(AssertionError, match="bug"), migrate.assertions_as_refusals("head"):
        raise AssertionError("a bug")
