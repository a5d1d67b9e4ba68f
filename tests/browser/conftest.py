"""A real browser, and the shops for it to visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

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
    # One server for every host of the tests, and no question to any other.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]


LIMIT = 120
"""Seconds after which a test is given up: a browser that hangs hangs forever."""


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> str:
    """The system's Chromium; where there is none, a skip, or a failure if it is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        skip_unless_required(CHROMIUM, "it is not installed", request.config)
    return found


@pytest.fixture(scope="session", params=SHOPS)
def framework(request: pytest.FixtureRequest) -> str:
    """What the shop is built on."""
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
    """The shop as it is deployed: on a domain, over HTTPS."""
    with running_shop(framework, tmp_path_factory.mktemp("tls"), with_tls=True) as shop:
        yield shop


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    """A browser of this test's own: Playwright's event loop must not outlive it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=ARGUMENTS,
            # The back button is to find what it finds for people.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def jar(browser: Browser) -> BrowserContext:
    """Windows that share their cookies."""
    return browser.new_context(ignore_https_errors=True)


@pytest.fixture
def other_jar(browser: Browser) -> BrowserContext:
    """Somebody else's windows."""
    return browser.new_context(ignore_https_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark and limit these tests, and only these: pytest hands over all there are."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(LIMIT))
