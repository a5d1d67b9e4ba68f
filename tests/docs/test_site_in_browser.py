"""The built site in a real browser: what is copied, and how it looks on a phone and in the dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import skip_unless_required
from tests.databases import CHROMIUM

MAX_VISIBLE_ENTRIES = 20
PHONE_WIDTH = 390

COPIED_TEXT = """
block => {
    const code = block.querySelector("code");
    code.setAttribute("data-md-copying", "");
    const text = code.innerText;
    code.removeAttribute("data-md-copying");
    return text;
}
"""
"""What the theme's script does when the copy button is pressed."""

COUNT_OF_VISIBLE = """
links => links.filter(
    link => link.checkVisibility({visibilityProperty: true}) && link.getClientRects().length
).length
"""
"""A query for each link would take a minute."""


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The system's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        skip_unless_required(CHROMIUM, "it is not installed", request.config)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )


def opened(
    browser: Browser,
    path: Path,
    *,
    width: int = 1280,
    scheme: Literal["dark", "light"] = "light",
) -> Page:
    """Return a page of the site."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(path.as_uri())
    return page


def pages_of(site: Path) -> list[Path]:
    """Return every page of the site."""
    return [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def test_copying_a_console_leaves_out_prompts_and_output(site: Path, browser: Browser) -> None:
    """A reader can paste what is copied into a shell."""
    page = opened(browser, site / "tutorials" / "shop.html")

    copied = [block.evaluate(COPIED_TEXT) for block in page.locator(".language-console").all()]

    commands = [line for text in copied for line in text.splitlines() if line]
    assert "python prepare.py" in commands
    assert all(line.startswith(("pip ", "python ", "curl ", "cp ")) for line in commands)


def test_no_page_is_wider_than_a_phone(site: Path, browser: Browser) -> None:
    """Tables and code scroll by themselves."""
    page = browser.new_page(viewport={"width": PHONE_WIDTH, "height": 844})
    too_wide: dict[str, Any] = {}
    for path in pages_of(site):
        page.goto(path.as_uri())
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > PHONE_WIDTH:
            too_wide[path.name] = width

    assert too_wide == {}


def test_the_navigation_is_short(site: Path, browser: Browser) -> None:
    """No page shows more than 20 entries beside it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    visible: dict[str, int] = {}
    for path in pages_of(site):
        page.goto(path.as_uri())
        links = page.locator(".md-sidebar--primary .md-nav__link")
        visible[path.relative_to(site).as_posix()] = links.evaluate_all(COUNT_OF_VISIBLE)

    assert {name: count for name, count in visible.items() if count > MAX_VISIBLE_ENTRIES} == {}


@pytest.mark.parametrize(("scheme", "is_inverted"), [("light", False), ("dark", True)])
def test_charts_follow_the_colour_scheme(
    site: Path, browser: Browser, scheme: Literal["dark", "light"], is_inverted: bool
) -> None:
    """A white chart would dazzle on a dark page."""
    page = opened(browser, site / "explanation" / "performance.html", scheme=scheme)

    style = page.locator("img[src$='.svg']").first.evaluate("img => getComputedStyle(img).filter")

    assert ("invert" in style) is is_inverted
