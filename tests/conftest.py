"""Fixtures that all tests share, and the rules which databases and drivers a test runs on.

A test that asks for ``target``, ``url`` or ``store`` runs on every database. Folders that test
the store itself run it through every driver; the folders in ``DEFAULT_DRIVER_FOLDERS`` test what
is built on top of the store, and use one driver per database. The markers ``every_driver``,
``default_drivers`` and ``sqlite_only`` are for tests that differ from their folder.

A test that also asks for ``coalesce`` runs with batching on every target, and without batching on
the default drivers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import SQLSessionStore
from tests.databases import (
    CHROMIUM,
    DATABASES,
    DEFAULT_TARGETS,
    REQUIRE,
    TARGETS,
    Databases,
    Target,
    UnavailableError,
    required,
)
from tests.stores import connections_in_use, empty, require_returned

pytest_plugins = ("anyio",)

DEFAULT_DRIVER_FOLDERS = {
    *("aiohttp", "django", "flask", "litestar", "quart", "starlette", "starsessions"),
    *("backups", "cli", "docs", "migrations", "rules", "sql", "telemetry"),
}
"""Folders whose tests see the store and not the driver behind it."""

_MARKED: dict[str, Sequence[Target]] = {
    "every_driver": TARGETS,
    "default_drivers": DEFAULT_TARGETS,
    "sqlite_only": [each for each in TARGETS if each.database == "sqlite"],
}

_DEFAULT_DRIVERS_ONLY = "--default-drivers"
_REST = "--rest"
_MAIN_FOLDERS = {"unit", "web", "contract"}
"""Folders that ``make test`` runs."""

_SLOW_FOLDERS = ("docs", "packaging", "model", "browser", "django", "faults", "migrations", "rules")
"""Folders whose tests run first, so that no process is left with a slow one in the end."""

_unavailable = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _DEFAULT_DRIVERS_ONLY,
        action="store_true",
        help="use each database through its default driver only",
    )
    parser.addoption(
        _REST,
        action="store_true",
        help="leave out what make test runs",
    )
    parser.addoption(
        "--write-sql",
        action="store_true",
        help="write the snapshots of tests/sql again",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_unavailable] = {}
    if unknown := required() - {*DATABASES, CHROMIUM}:
        raise pytest.UsageError(f"{REQUIRE}: unknown names: {', '.join(sorted(unknown))}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the databases and drivers that its folder uses."""
    names = _parametrized_by_fixtures(metafunc)
    targets = _targets_of(metafunc.definition)
    if names == {"target"}:
        metafunc.parametrize("target", targets, indirect=True, ids=str)
    elif names == {"coalesce"}:
        metafunc.parametrize("coalesce", [True, False], indirect=True, ids=_mode)
    elif names:
        pairs = [
            (each, coalesce)
            for coalesce in (True, False)
            for each in targets
            if coalesce or each in DEFAULT_TARGETS
        ]
        ids = [f"{each}-{_mode(coalesce)}" for each, coalesce in pairs]
        metafunc.parametrize("target, coalesce", pairs, indirect=True, ids=ids)


def _parametrized_by_fixtures(metafunc: pytest.Metafunc) -> set[str]:
    """Return which of ``target`` and ``coalesce`` the test needs and has no values for."""
    given = {
        name.strip()
        for mark in metafunc.definition.iter_markers("parametrize")
        for name in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
    }
    return ({"target", "coalesce"} & set(metafunc.fixturenames)) - given


def _targets_of(test: pytest.Item) -> Sequence[Target]:
    for mark in test.iter_markers():
        if mark.name in _MARKED:
            return _MARKED[mark.name]
    folder = test.path.relative_to(Path(__file__).parent).parts[0]
    return DEFAULT_TARGETS if folder in DEFAULT_DRIVER_FOLDERS else TARGETS


def _mode(coalesce: bool) -> str:
    return "coalesced" if coalesce else "alone"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the drivers that are not wanted, or what has been run before."""
    left_out: list[pytest.Item] = []
    if config.getoption(_DEFAULT_DRIVERS_ONLY):
        left_out = [item for item in items if _needs_another_driver(item)]
    elif config.getoption(_REST):
        left_out = [item for item in items if _is_main_test(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    items.sort(key=_order)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _order(item: pytest.Item) -> int:
    folder = _folder(item)
    return _SLOW_FOLDERS.index(folder) if folder in _SLOW_FOLDERS else len(_SLOW_FOLDERS)


def _is_main_test(item: pytest.Item) -> bool:
    return (
        _folder(item) in _MAIN_FOLDERS
        and item.get_closest_marker("other_stores") is None
        and not _needs_another_driver(item)
    )


def _needs_another_driver(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    values = () if callspec is None else callspec.params.values()
    return any(isinstance(each, Target) and each not in DEFAULT_TARGETS for each in values)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name each missing database: a skip must not look like a pass."""
    for missing, reason in config.stash[_unavailable].items():
        terminalreporter.write_line(f"NOT TESTED: {missing}: {reason}", yellow=True)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """asyncio, on uvloop if ``make test-matrix`` asks for it."""
    return "asyncio", {"use_uvloop": os.environ.get("SESSIONSTORE_TEST_LOOP") == "uvloop"}


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    run = Databases(tmp_path_factory.mktemp("sqlite"))
    yield run
    run.close()


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """A database and a driver."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def coalesce(request: pytest.FixtureRequest) -> bool:
    """Whether the store may answer several calls with one statement."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def url(target: Target, databases: Databases, request: pytest.FixtureRequest) -> URL:
    """This run's database. A missing server skips the test, or fails it if it is required."""
    return url_or_skip(target, databases, request.config)


def url_or_skip(target: Target, databases: Databases, config: pytest.Config) -> URL:
    """Return the URL of this run's database on the target."""
    try:
        return databases.url(target)
    except UnavailableError as reason:
        skip_unless_required(target.database, str(reason), config)


def skip_unless_required(missing: str, reason: str, config: pytest.Config) -> NoReturn:
    """Skip the test, or fail it if the missing server or browser is required."""
    if missing in required():
        pytest.fail(f"{missing} is required: {reason}", pytrace=False)
    config.stash[_unavailable][missing] = reason
    pytest.skip(f"{missing}: {reason}")


@pytest.fixture
async def store(url: URL) -> AsyncIterator[SQLSessionStore]:
    """A store on an empty table. The test fails if it leaves a connection checked out."""
    async with SQLSessionStore(url) as store:
        await empty(store)
        yield store
        assert connections_in_use(store) == 0


@pytest.fixture
async def host_engine(url: URL) -> AsyncIterator[AsyncEngine]:
    """An application's engine: SQLAlchemy's defaults, so its connections begin transactions."""
    engine = create_async_engine(url)
    yield engine
    await require_returned(engine)
    await engine.dispose()
