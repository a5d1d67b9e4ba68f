"""What the statistics do where a statement takes longer than it may."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.exc import OperationalError

from sessionstore_sql import DatabaseError, SQLSessionStore, survey
from sessionstore_sql.statistics import collect_statistics
from tests.databases import TARGETS
from tests.statistics.rows import insert_sessions

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "target",
        [target for target in TARGETS if target.database == "sqlite"],
        indirect=True,
        ids=str,
    ),
]

HOUR = timedelta(hours=1)
INTERRUPTED = sqlite3.SQLITE_INTERRUPT


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets statements fail that hold a text, with an error code of SQLite's."""
    failing: dict[str, int] = {}
    rows = survey.Survey._rows

    async def fail_or_run(self: survey.Survey, statement: Select[Any]) -> Sequence[Any]:
        for text, code in failing.items():
            if text in str(statement.compile(self._executor.engine.sync_engine)):
                cause = sqlite3.OperationalError("as the test wants it")
                cause.sqlite_errorcode = code
                error = DatabaseError("failed")
                error.__cause__ = OperationalError("..", None, cause)
                raise error
        return await rows(self, statement)

    monkeypatch.setattr(survey.Survey, "_rows", fail_or_run)
    monkeypatch.setattr(survey, "SAMPLE", 10)
    return failing


async def test_what_is_not_counted_in_time_is_estimated(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """The sample says what the index did not."""
    await insert_sessions(store.engine, [HOUR] * 40 + [-HOUR / 2] * 40)
    fail["GROUP BY"] = INTERRUPTED

    found = await collect_statistics(store.engine, exact=True)

    assert found.live.estimated
    assert (found.expired.sessions, found.expired.estimated) == (40, False)


async def test_even_the_expired_can_be_estimated(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """Where not even they are counted in time, their share of the sample decides."""
    await insert_sessions(store.engine, [HOUR] * 40 + [-HOUR / 2] * 40)
    fail["GROUP BY"] = fail["count(*)"] = INTERRUPTED

    found = await collect_statistics(store.engine)

    total = found.live.sessions + found.expired.sessions
    drawn = found.expiries
    assert found.live.estimated
    assert found.expired.estimated
    assert 0 < found.expired.sessions < total
    assert sum(each.sessions for each in drawn) == pytest.approx(total, abs=2)


async def test_sizes_that_are_not_measured_in_time_are_missing(
    store: SQLSessionStore, fail: dict[str, int]
) -> None:
    """Large states can take long to read; the rest is said without them."""
    await insert_sessions(store.engine, [HOUR])
    fail["length"] = INTERRUPTED

    found = await collect_statistics(store.engine)

    assert found.states is None
    assert found.live.sessions == 1


@pytest.mark.parametrize("code", [sqlite3.SQLITE_AUTH, sqlite3.SQLITE_FULL])
async def test_other_failures_are_errors(
    store: SQLSessionStore, fail: dict[str, int], code: int
) -> None:
    """Only the lack of time has a second-best answer."""
    fail["length"] = code

    with pytest.raises(DatabaseError):
        await collect_statistics(store.engine)
