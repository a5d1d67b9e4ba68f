"""The table of rules on databases, in place of a store in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from sessionstore_sql import SQLSessionStore
from tests.web.rules.conftest import (
    ADAPTERS,
    Later,
    meanwhile,
    pytest_collection_modifyitems,
    status_after_end,
    visit,
)
from tests.web.rules.driving import Driver

__all__ = ["meanwhile", "pytest_collection_modifyitems", "status_after_end", "visit"]

_TIMES = ("deadline", "created", "authenticated", "seen", "final_deadline")


@pytest.fixture(params=[name for name in ADAPTERS if name != "django-async"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each adapter. Those of Flask and Django open a store of their own on the same database."""
    adapter: Driver = ADAPTERS[request.param]
    return adapter


@pytest.fixture
def later(store: SQLSessionStore) -> Later:
    """Move every time of every row back."""

    async def move_back(time: timedelta) -> None:
        changes = ", ".join(f"{each} = {each} - :passed" for each in _TIMES)
        async with store.engine.begin() as connection:
            await connection.execute(
                text(f"UPDATE sessionstore_sessions SET {changes}"),
                {"passed": time // timedelta(microseconds=1)},
            )

    return move_back
