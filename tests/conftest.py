"""Fixtures that every test shares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import SQLSessionStore
from tests.databases import (
    CHROMIUM,
    DATABASES,
    REQUIRE,
    TARGETS,
    Databases,
    Target,
    UnavailableError,
    required,
)
from tests.stores import connections_in_use, empty

pytest_plugins = ("anyio",)

_unavailable = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_unavailable] = {}
    if unknown := required() - {*DATABASES, CHROMIUM}:
        raise pytest.UsageError(f"{REQUIRE} names what is unknown: {', '.join(sorted(unknown))}")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what was skipped: a skip must not look like a pass."""
    for missing, reason in config.stash[_unavailable].items():
        terminalreporter.write_line(f"NOT TESTED: {missing}: {reason}", yellow=True)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    run = Databases(tmp_path_factory.mktemp("sqlite"))
    yield run
    run.close()


@pytest.fixture(scope="session", params=TARGETS, ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    """Every database, through every driver."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def url(target: Target, databases: Databases, request: pytest.FixtureRequest) -> URL:
    """This run's database; where it is missing, a skip, or a failure if it is required."""
    return url_or_skip(target, databases, request.config)


def url_or_skip(target: Target, databases: Databases, config: pytest.Config) -> URL:
    try:
        return databases.url(target)
    except UnavailableError as reason:
        skip_unless_required(target.database, str(reason), config)


def skip_unless_required(missing: str, reason: str, config: pytest.Config) -> NoReturn:
    if missing in required():
        pytest.fail(f"{missing} is required: {reason}", pytrace=False)
    config.stash[_unavailable][missing] = reason
    pytest.skip(f"{missing}: {reason}")


@pytest.fixture
async def store(url: URL) -> AsyncIterator[SQLSessionStore]:
    """A store on an empty table, whose pool must have nothing checked out in the end."""
    async with SQLSessionStore(url) as store:
        await empty(store)
        yield store
        assert connections_in_use(store) == 0


@pytest.fixture
async def host_engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """An engine as an application has it: in transactions, with SQLAlchemy's defaults."""
    engine = create_async_engine(url)
    yield engine
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()
