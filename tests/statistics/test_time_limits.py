"""Statistics if a statement reaches its time limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.exc import OperationalError

from sessionstore_sql import DatabaseError, SQLSessionStore
from sessionstore_sql.sql import survey
from sessionstore_sql.statistics import collect_statistics
from tests.statistics.rows import insert_sessions

pytestmark = [pytest.mark.anyio, pytest.mark.sqlite_only]

HOUR = timedelta(hours=1)
INTERRUPTED = sqlite3.SQLITE_INTERRUPT


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes statements that contain a text fail with an error code of SQLite."""
    failing: dict[str, int] = {}
    rows = survey.Survey._rows

    async def fail_or_run(self: survey.Survey, statement: Select[Any]) -> Sequence[Any]:
        for text, code in failing.items():
            if text in str(statement.compile(self._executor.engine.sync_engine)):
                cause = sqlite3.OperationalError("simulated")
                cause.sqlite_errorcode = code
                error = DatabaseError("failed")
                error.__cause__ = OperationalError("..", None, cause)
                raise error
        return await rows(self, statement)

    monkeypatch.setattr(survey.Survey, "_rows", fail_or_run)
    monkeypatch.setattr(survey, "SAMPLE", 10)
    return failing


async def test_a_count_that_takes_too_long_is_estimated(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """The number is projected from the sample."""
    await insert_sessions(store.engine, [HOUR] * 40 + [-HOUR / 2] * 40)
    fail["GROUP BY"] = INTERRUPTED

    found = await collect_statistics(store.engine, exact=True)

    assert found.live.estimated
    assert (found.expired.sessions, found.expired.estimated) == (40, False)


async def test_expired_sessions_can_be_estimated(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """If counting them takes too long, their share of the sample decides."""
    await insert_sessions(store.engine, [HOUR] * 40 + [-HOUR / 2] * 40)
    fail["GROUP BY"] = fail["count(*)"] = INTERRUPTED

    found = await collect_statistics(store.engine)

    total = found.live.sessions + found.expired.sessions
    drawn = found.expiries
    assert found.live.estimated
    assert found.expired.estimated
    assert 0 < found.expired.sessions < total
    assert sum(each.sessions for each in drawn) == pytest.approx(total, abs=2)


async def test_sizes_that_take_too_long_are_missing(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """The rest of the statistics is still returned."""
    await insert_sessions(store.engine, [HOUR])
    fail["length"] = INTERRUPTED

    found = await collect_statistics(store.engine)

    assert found.states is None
    assert found.live.sessions == 1


@pytest.mark.parametrize("code", [sqlite3.SQLITE_AUTH, sqlite3.SQLITE_FULL])
async def test_other_failures_are_errors(
    store: SQLSessionStore, fail: dict[str, int], code: int
) -> None:
    """Only a timeout is replaced by an estimate."""
    fail["length"] = code

    with pytest.raises(DatabaseError):
        await collect_statistics(store.engine)
