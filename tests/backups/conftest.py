"""Fixtures of the tests of backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.backups.sessions import fill
from tests.conftest import url_or_skip
from tests.databases import Databases, fresh_database


@pytest.fixture
def original(url: URL, tmp_path: Path) -> Iterator[URL]:
    """An empty database for the sessions that are dumped."""
    if url.get_backend_name() == "sqlite":
        yield url.set(database=str(tmp_path / "original.db"))
    else:
        with fresh_database(url) as fresh:
            yield fresh


@pytest.fixture
async def filled(original: URL) -> URL:
    """A database of this test's own, with sessions in it."""
    await fill(original)
    return original


@pytest.fixture
def restored(url: URL, tmp_path: Path) -> Iterator[URL]:
    """An empty database on the same server."""
    if url.get_backend_name() == "sqlite":
        yield url.set(database=str(tmp_path / "restored.db"))
    else:
        with fresh_database(url) as fresh:
            yield fresh


@pytest.fixture
def destination(databases: Databases, request: pytest.FixtureRequest) -> Iterator[URL]:
    """An empty database on the server that is the parameter."""
    with fresh_database(url_or_skip(request.param, databases, request.config)) as fresh:
        yield fresh
