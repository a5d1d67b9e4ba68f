"""An application of each adapter, on a store that knows users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.visited_stores import count
from tests.web.rules.driving import Browser, Driver
from tests.web.rules.on_aiohttp import OnAiohttp
from tests.web.rules.on_django import OnAsynchronousDjango, OnDjango
from tests.web.rules.on_flask import OnFlask, OnQuart
from tests.web.rules.on_litestar import OnLitestar
from tests.web.rules.on_starlette import OnFastAPI, OnStarlette
from tests.web.rules.pages import PAGES, Meanwhile

ADAPTERS: dict[str, Any] = {
    "starlette": OnStarlette(),
    "fastapi": OnFastAPI(),
    "litestar": OnLitestar(),
    "aiohttp": OnAiohttp(),
    "flask": OnFlask(),
    "quart": OnQuart(),
    "django": OnDjango(),
    "django-async": OnAsynchronousDjango(),
}

FLASK_AND_QUART = {
    "test_the_cookie_is_secure_by_default",  # Flask's configuration decides
    "test_a_middleware_inside_of_another_uses_its_session",  # one interface per application
    "test_another_store_under_the_same_name_is_an_error",
    "test_a_value_that_cannot_be_stored_changes_nothing",  # UUIDs can be stored
    "test_a_stream_can_load_its_session_again",  # the driver has a change that is not stored
}
DJANGO = {
    "test_the_cookie_is_secure_by_default",  # Django's settings decide
    "test_a_session_in_use_is_renewed_with_its_cookie[/show]",  # SESSION_SAVE_EVERY_REQUEST decides
    "test_another_store_under_the_same_name_is_an_error",  # one engine per project
    "test_options_that_need_accounts_are_not_ignored",  # options of the store
    "test_a_stream_can_load_its_session_again",  # a new SessionStore does
    "test_a_websocket_ends_with_its_session",  # Django has none
    "test_a_websocket_goes_on_with_its_session",
}
CANCELLED = {
    "test_a_change_of_a_client_that_is_gone_is_stored",  # the framework cancels the view
    "test_a_logout_of_a_client_that_is_gone_is_done",
}
DIFFERENT = {
    "flask": {
        *FLASK_AND_QUART,
        "test_a_websocket_ends_with_its_session",  # Flask has none
        "test_a_websocket_goes_on_with_its_session",
    },
    "quart": FLASK_AND_QUART | CANCELLED,
    "django": DJANGO,
    "django-async": DJANGO | CANCELLED,
}
"""Tests of what an adapter does in another way. Its own folder has tests of that, and
``docs/explanation/frameworks.md`` says why."""

KnownStore: TypeAlias = MemorySessionStore | SQLSessionStore
"""A store that knows users."""

Later = Callable[[timedelta], Awaitable[None]]
"""Lets time pass, for the store."""

Open = Callable[..., AbstractAsyncContextManager[Browser]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an adapter does in another way."""
    left_out = [item for item in items if _is_different(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_different(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    adapter, name = params.get("driver"), getattr(item, "originalname", "")
    names = {name, f"{name}[{params.get('path')}]"}
    return isinstance(adapter, str) and bool(names & DIFFERENT.get(adapter, set()))


@pytest.fixture(params=ADAPTERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each adapter."""
    return ADAPTERS[request.param]  # type: ignore[no-any-return]


@pytest.fixture
def status_after_end(driver: Driver) -> int:
    """The status for a request whose session ended meanwhile: Django has an error for that."""
    return 400 if isinstance(driver, OnDjango) else 200


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the store, which a test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemorySessionStore:
    """A store that knows users."""
    return MemorySessionStore(clock=clock)


@pytest.fixture
def later(clock: ManualClock) -> Later:
    """Let time pass."""

    async def advance(time: timedelta) -> None:
        clock.advance(time)

    return advance


@pytest.fixture
def meanwhile() -> Meanwhile:
    """What happens while a page named ``slow_..`` runs."""
    return Meanwhile()


@pytest.fixture
def visit(driver: Driver, store: KnownStore, meanwhile: Meanwhile) -> Open:
    """Open a browser on an application with all pages."""
    slow = {f"slow_{name}": meanwhile.before(page) for name, page in PAGES.items()}

    @asynccontextmanager
    async def opened(*, store: Any = store, **options: Any) -> Any:
        async with driver.serve(store, PAGES | slow, **options) as send:
            yield Browser(send)

    return opened


async def row_count(store: KnownStore) -> int:
    """Return the number of rows, those beside the sessions included."""
    if isinstance(store, SQLSessionStore):
        return await count(store)
    return len(store._table._rows)
