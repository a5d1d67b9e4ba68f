"""Fixtures with a real browser and the example shops."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.servers import SHOPS, Shop, running_shop
from tests.conftest import skip_unless_required
from tests.databases import CHROMIUM

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # All hosts of the tests lead to this machine.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]


LIMIT = 120
"""Seconds after which a test fails, because a browser can hang forever."""

_PAGE_LIMIT_MS = 60_000
"""Timeout of one page, for a busy machine."""

expect.set_options(timeout=_PAGE_LIMIT_MS)


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> str:
    """The system's Chromium. Without one, skip, or fail if it is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        skip_unless_required(CHROMIUM, "it is not installed", request.config)
    return found


@pytest.fixture(scope="session", params=SHOPS)
def framework(request: pytest.FixtureRequest) -> str:
    """The framework of the shop."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def shop(chromium: str, framework: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop as ``make example`` starts it: on localhost, without TLS."""
    with running_shop(framework, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture(scope="session")
def tls_shop(
    chromium: str, framework: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """The shop on a domain, over HTTPS, as it would be deployed."""
    with running_shop(framework, tmp_path_factory.mktemp("tls"), with_tls=True) as shop:
        yield shop


@pytest.fixture
def own_shop(shop: Shop) -> Shop:
    """A shop without sessions."""
    shop.clear()
    return shop


@pytest.fixture
def new_shop(chromium: str, framework: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop in which a test may change passwords."""
    with running_shop(framework, tmp_path) as shop:
        yield shop


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    """A new browser for the test: Playwright's event loop must not outlive it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=ARGUMENTS,
            # The back button must behave as it does for users.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def jar(browser: Browser) -> BrowserContext:
    """A browser profile, whose windows share their cookies."""
    return _new_context(browser)


@pytest.fixture
def other_jar(browser: Browser) -> BrowserContext:
    """The profile of another visitor."""
    return _new_context(browser)


def _new_context(browser: Browser) -> BrowserContext:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(_PAGE_LIMIT_MS)
    return context


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark and limit only these tests; pytest passes all tests."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(LIMIT))
