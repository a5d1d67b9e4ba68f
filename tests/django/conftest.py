"""Django, set up once for the run, and its sessions on every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test.utils import override_settings
from sqlalchemy import URL

from sessionstore_sql.django import close
from sessionstore_sql.django.process import wait_for
from sessionstore_sql.store import SQLSessionStore
from tests.django.forms import FORMS, Form
from tests.django.rows import empty

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ""}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "sessionstore_sql.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the fast one
    ROOT_URLCONF="tests.django.site",
    SECRET_KEY="not a secret here",
    SESSION_ENGINE="sessionstore_sql.django",
    USE_TZ=True,
)
django.setup()


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
    """Wait for it: whoever is cancelled doesn't wait for the statement that was to answer it."""
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
