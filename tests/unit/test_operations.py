"""What the operations do when the counts of their statements say something rare."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from sessionstore_sql import DatabaseError, SessionId
from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.dialects.compiled import CompiledStatement
from sessionstore_sql.dialects.mysql_purging import PurgeByKey
from sessionstore_sql.operations import Backlog, Operations
from sessionstore_sql.schema import session_table
from sessionstore_sql.statements import build_statements

DIALECT = dialect_named("mysql")
OPERATIONS = Operations(DIALECT, build_statements(session_table(), DIALECT))
CONNECTION: Any = None
FIRST, SECOND = SessionId("first"), SessionId("second")


@pytest.fixture
def _restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is taken whenever it is asked for, and free whenever it is looked at."""
    monkeypatch.setattr(Operations, "_try", lambda *_: None)
    monkeypatch.setattr(Operations, "_require_not_live", lambda *_: None)
    monkeypatch.setattr(CompiledStatement, "count", lambda *_: 0)


@pytest.mark.usefixtures("_restless")
def test_create_gives_up_on_a_restless_row() -> None:
    """After a bounded number of collisions, as something that may pass."""
    with pytest.raises(DatabaseError, match="try again") as caught:
        OPERATIONS.create(CONNECTION, FIRST, b"{}", timedelta(hours=1))
    assert caught.value.transient
    assert not caught.value.outcome_unknown


@pytest.mark.usefixtures("_restless")
def test_change_id_gives_up_on_a_restless_row() -> None:
    """Likewise."""
    with pytest.raises(DatabaseError, match="try again") as caught:
        OPERATIONS.change_id(CONNECTION, FIRST, SECOND)
    assert caught.value.transient


def test_an_integrity_error_that_is_no_duplicate_is_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A constraint that somebody added has been broken: that is not for us to answer."""
    broken = IntegrityError("INSERT", None, Exception(1048, "Column 'state' cannot be null"))

    def fail(*_: Any) -> int:
        raise broken

    monkeypatch.setattr(CompiledStatement, "count", fail)
    with pytest.raises(IntegrityError) as caught:
        OPERATIONS.create(CONNECTION, FIRST, b"{}", timedelta(hours=1))
    assert caught.value is broken


def test_purges_choose_others_where_some_were_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be removed is remembered, what was removed is not."""
    keys = [bytes([number]) for number in range(10)]
    asked: list[list[bytes]] = []

    def choose(_self: object, _connection: object, _limit: int) -> list[bytes]:
        return keys

    def remove(_self: object, _connection: object, ids: list[bytes]) -> int:
        asked.append(ids)
        return len(ids) - 1

    monkeypatch.setattr(PurgeByKey, "choose", choose)
    monkeypatch.setattr(PurgeByKey, "remove", remove)
    backlog = Backlog()
    first = OPERATIONS.purge(CONNECTION, 4, backlog)
    second = OPERATIONS.purge(CONNECTION, 4, backlog)
    third = OPERATIONS.purge(CONNECTION, 4, backlog)
    fourth = OPERATIONS.purge(CONNECTION, 4, backlog)
    assert asked == [keys[:4], keys[4:8], keys[8:]]
    assert [first.removed, second.removed, third.removed, fourth.removed] == [3, 3, 1, 0]
    assert [first.is_last, second.is_last, third.is_last, fourth.is_last][::3] == [False, True]


def test_a_purge_by_key_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen once, removed a few at a time; a part that failed is tried again."""
    keys = [bytes([number]) for number in range(5)]
    chosen: list[int] = []
    removed: list[list[bytes]] = []

    def choose(_self: object, _connection: object, limit: int) -> list[bytes]:
        chosen.append(limit)
        return keys[::-1]

    def remove(_self: object, _connection: object, ids: list[bytes]) -> int:
        removed.append(ids)
        if len(removed) == 2:
            raise ConnectionResetError
        return len(ids)

    monkeypatch.setattr(PurgeByKey, "choose", choose)
    monkeypatch.setattr(PurgeByKey, "remove", remove)
    monkeypatch.setattr(PurgeByKey, "largest_part", 2)
    backlog = Backlog()
    first = OPERATIONS.purge(CONNECTION, 10, backlog)
    with pytest.raises(ConnectionResetError):
        OPERATIONS.purge(CONNECTION, 10, backlog)
    others = [OPERATIONS.purge(CONNECTION, 10, backlog) for _ in range(2)]
    assert chosen == [10]
    assert removed == [keys[:2], keys[2:4], keys[2:4], keys[4:]]
    assert [purge.is_last for purge in (first, *others)] == [False, False, True]
