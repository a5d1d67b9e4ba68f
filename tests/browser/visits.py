"""What visitors of the shop do."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.browser.servers import Shop

COOKIE = "__Host-session"
PASSWORDS = {"ada": "lovelace", "grace": "hopper"}


def add_tea(page: Page, shop: Shop) -> None:
    """Put tea into the empty cart."""
    page.goto(shop.url("/"))
    page.get_by_role("button", name="Add").first.click()
    expect(page.locator("#cart")).to_have_text("1 tea")


def fill_login(page: Page, shop: Shop, name: str = "ada", password: str | None = None) -> None:
    """Fill the login form in."""
    page.goto(shop.url("/login"))
    page.get_by_placeholder("name").fill(name)
    page.get_by_placeholder("password").fill(PASSWORDS[name] if password is None else password)


def log_in(page: Page, shop: Shop, name: str = "ada", password: str | None = None) -> None:
    """Log in and wait for the account page."""
    fill_login(page, shop, name, password)
    page.get_by_role("button", name="Log in").click()
    expect_logged_in(page, name)


def log_out(page: Page) -> None:
    """Log out and wait for the shop."""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Shop")


def expect_logged_in(page: Page, name: str = "ada") -> None:
    """Assert that the page is the account of a user."""
    expect(page.locator("body")).to_contain_text(f"This is {name}'s account.")


def expect_logged_out(page: Page) -> None:
    """Assert that the page asks for a login."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    expect(page.locator("body")).not_to_contain_text("account.")


def cookie_in(jar: BrowserContext) -> dict[str, Any]:
    """Return the only cookie."""
    (cookie,) = jar.cookies()
    return dict(cookie)


def plant(jar: BrowserContext, session_id: str) -> None:
    """Set a cookie, as an attacker might."""
    jar.add_cookies([{"name": COOKIE, "value": session_id, "url": "https://localhost/"}])


def delay_responses(page: Page, milliseconds: int) -> CDPSession:
    """Let responses reach the page late and slowly, as on a train."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": milliseconds,
            "downloadThroughput": 50_000,
            "uploadThroughput": 20_000,
        },
    )
    return network
