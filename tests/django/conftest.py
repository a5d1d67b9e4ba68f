"""Django, set up once for the run, and its sessions on every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from sqlalchemy import URL

from sessionstore_sql.django import close
from sessionstore_sql.django.process import wait_for
from sessionstore_sql.store import SQLSessionStore
from sessionstore_sql.testing import MemorySessionStore
from tests.django import project
from tests.django.forms import FORMS, Form
from tests.django.rows import empty
from tests.web.knowing_users import KNOWING_USERS, url_for

__all__ = ["project"]


@pytest.fixture
def no_store() -> Iterator[None]:
    """No session store is open, neither before nor after."""
    close()
    yield
    close()
    assert "sessionstore_sql" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def sessions(url: URL, no_store: None) -> Iterator[None]:
    """Django's sessions are in this run's database, which has none yet."""
    with override_settings(SESSIONSTORE_SQL={"url": url}):
        wait_for(empty)
        yield
        wait_for(_no_connection_is_out)


async def _no_connection_is_out(store: SQLSessionStore) -> None:
    """Wait for the statement: a cancelled caller does not wait for it."""
    pool: Any = store.engine.pool
    async with asyncio.timeout(60):
        while pool.checkedout():  # noqa: ASYNC110  # a pool tells no one
            await asyncio.sleep(0.01)


@pytest.fixture(params=FORMS, ids=str)
def form(request: pytest.FixtureRequest) -> Form:
    """Both forms of the interface: synchronous, and asynchronous in a new event loop each time."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session", autouse=True)
def djangos_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A file, as one in memory would be a thread's own."""
    settings.DATABASES["default"]["NAME"] = tmp_path_factory.mktemp("django") / "django.db"
    yield
    connections.close_all()


@pytest.fixture(scope="session")
def orm(djangos_database: None) -> None:
    """The tables of Django's own applications."""
    with override_settings(SESSIONSTORE_SQL={"url": "sqlite://"}):
        call_command("migrate", verbosity=0)
        close()


@pytest.fixture
def user(orm: None) -> Any:
    """The one user."""
    from django.contrib.auth.models import User

    yield User.objects.create_user("ada", password="secret")
    User.objects.all().delete()


@pytest.fixture(params=KNOWING_USERS, ids=str)
def account_sessions(request: pytest.FixtureRequest, no_store: None) -> Iterator[None]:
    """Django's sessions are in a store that knows users."""
    url = url_for(request)
    setting: dict[str, Any] = {"store": MemorySessionStore} if url is None else {"url": url}
    with override_settings(SESSIONSTORE_SQL=setting):
        if url is not None:
            wait_for(empty)
        yield
