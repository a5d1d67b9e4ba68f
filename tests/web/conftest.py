"""The stores of the tests of the web layer."""

from __future__ import annotations

import pytest

from sessionstore_sql.testing import ManualClock
from tests.web.stores import AnyStore, ScriptedBackend, ScriptedStore


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> ScriptedStore:
    """A store that knows users."""
    return ScriptedStore(clock=clock)


@pytest.fixture(params=["accounts", "plain"])
def any_store(request: pytest.FixtureRequest, store: ScriptedStore) -> AnyStore:
    """Each kind of store."""
    return store if request.param == "accounts" else ScriptedBackend()
