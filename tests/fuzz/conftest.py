"""A table and an event loop for each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import url_or_skip
from tests.databases import TARGETS, Databases, Target
from tests.fuzz.worlds import World


@pytest.fixture(scope="module", params=TARGETS, ids=str)
def world(request: pytest.FixtureRequest, databases: Databases) -> Iterator[World]:
    """A new table with some sessions, on every database and through every driver."""
    target: Target = request.param
    with World(url_or_skip(target, databases, request.config)) as world:
        yield world
