"""The purge on MySQL and MariaDB: which keys it chooses, and how it removes them."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects.mysql.purge import PurgerByKey

PURGER: Any = PurgerByKey(session_table())
CONNECTION: Any = None


def test_locked_rows_are_not_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a part could not be removed completely, the next step chooses other rows."""
    keys = [bytes([number]) for number in range(10)]
    asked: list[list[bytes]] = []

    def choose(_self: object, _connection: object, _limit: int) -> list[bytes]:
        return keys

    def remove(_self: object, _connection: object, ids: list[bytes]) -> int:
        asked.append(ids)
        return len(ids) - 1

    monkeypatch.setattr(PurgerByKey, "choose", choose)
    monkeypatch.setattr(PurgerByKey, "remove", remove)
    purge = PURGER.begin()

    steps = [purge.step(CONNECTION, 4) for _ in range(4)]

    assert asked == [keys[:4], keys[4:8], keys[8:]]
    assert [step.rows for step in steps] == [3, 3, 1, 0]
    assert [steps[0].is_last, steps[3].is_last] == [False, True]


def test_rows_are_removed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are chosen once and removed a few at a time. A part that failed is tried again."""
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

    monkeypatch.setattr(PurgerByKey, "choose", choose)
    monkeypatch.setattr(PurgerByKey, "remove", remove)
    monkeypatch.setattr(PurgerByKey, "largest_part", 2)
    purge = PURGER.begin()
    first = purge.step(CONNECTION, 10)
    with pytest.raises(ConnectionResetError):
        purge.step(CONNECTION, 10)
    others = [purge.step(CONNECTION, 10) for _ in range(2)]
    assert chosen == [10]
    assert removed == [keys[:2], keys[2:4], keys[2:4], keys[4:]]
    assert [step.is_last for step in (first, *others)] == [False, False, True]
