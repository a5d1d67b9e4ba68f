"""The stores that know users, for tests of adapters: in memory, and on every database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.accounts import AccountSessionBackend
from tests.databases import DEFAULT_TARGETS, Databases

MEMORY = "memory"

KNOWING_USERS: list[Any] = [MEMORY]
if issubclass(SQLSessionStore, AccountSessionBackend):
    KNOWING_USERS += DEFAULT_TARGETS


def url_for(request: pytest.FixtureRequest) -> URL | None:
    """Return the URL of the database that a fixture was given; ``None`` for a store in memory."""
    from tests.conftest import url_or_skip

    databases: Databases = request.getfixturevalue("databases")
    if request.param == MEMORY:
        return None
    return url_or_skip(request.param, databases, request.config)
