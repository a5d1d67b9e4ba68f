"""Impatient visitors and bad networks, in a real browser."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.servers import Shop
from tests.browser.visits import (
    add_tea,
    delay_responses,
    expect_logged_in,
    expect_logged_out,
    fill_login,
    log_in,
    log_out,
)

PATIENCE_S = 60


def wait_for_login(shop: Shop) -> None:
    """Wait until the server has stored a login, whatever has become of its response."""
    give_up = time.monotonic() + PATIENCE_S
    while shop.signed_in() == 0:
        assert time.monotonic() < give_up, "the server has not received the login"
        time.sleep(0.02)


def expect_account_with_tea(page: Page, shop: Shop) -> None:
    """Assert that the user is logged in, and has what was in the cart before."""
    page.goto(shop.url("/account"))
    expect_logged_in(page)
    expect(page.locator("#cart")).to_have_text("1 tea")


def test_a_double_click_on_the_button(jar: BrowserContext, own_shop: Shop) -> None:
    """The browser drops the first of two logins, and the visitor sees the second."""
    page = jar.new_page()
    add_tea(page, own_shop)
    fill_login(page, own_shop)
    delay_responses(page, 300)

    page.get_by_role("button", name="Log in").dblclick(delay=20)

    expect_logged_in(page)
    expect_account_with_tea(page, own_shop)


@pytest.mark.parametrize("leave", ["stop", "navigate"])
def test_a_login_whose_response_is_lost(jar: BrowserContext, own_shop: Shop, leave: str) -> None:
    """The visitor gives up when the server has answered already, and logs in again.

    The cart is in the session whose id was lost. A visitor with the old id cannot have it: an
    attacker may have planted that one.
    """
    page = jar.new_page()
    add_tea(page, own_shop)
    fill_login(page, own_shop)
    network = delay_responses(page, 5_000)
    page.get_by_role("button", name="Log in").click(no_wait_after=True)
    wait_for_login(own_shop)

    if leave == "stop":
        network.send("Page.stopLoading")
    page.goto(own_shop.url("/account"))
    network.detach()
    expect_logged_out(page)
    log_in(page, own_shop)

    page.goto(own_shop.url("/account"))
    expect_logged_in(page)


def test_two_tabs_log_in_one_after_the_other(jar: BrowserContext, own_shop: Shop) -> None:
    """A form that was opened before the other tab's login works, and both tabs are logged in."""
    one, other = jar.new_page(), jar.new_page()
    add_tea(one, own_shop)
    fill_login(one, own_shop)
    fill_login(other, own_shop)

    for tab in (one, other):
        tab.get_by_role("button", name="Log in").click()
        expect_logged_in(tab)

    for tab in (one, other):
        expect_account_with_tea(tab, own_shop)


def test_two_tabs_at_once(jar: BrowserContext, own_shop: Shop) -> None:
    """One tab adds to the cart over and over while the other one logs in."""
    one, other = jar.new_page(), jar.new_page()
    add_tea(one, own_shop)
    other.goto(own_shop.url("/"))
    other.evaluate(
        """() => {
          const body = new URLSearchParams({item: "scones"});
          const add = () => fetch("/cart", {method: "POST", body, redirect: "manual"});
          window.done = (async () => { for (let i = 0; i < 30; i++) await add(); })();
        }"""
    )

    log_in(one, own_shop)

    other.evaluate("() => window.done")
    one.goto(own_shop.url("/account"))
    expect_logged_in(one)
    expect(one.locator("#cart")).to_contain_text("1 tea")


def test_a_tab_that_was_open_during_a_logout(jar: BrowserContext, own_shop: Shop) -> None:
    """Its buttons do not bring the user back."""
    one, other = jar.new_page(), jar.new_page()
    log_in(one, own_shop)
    other.goto(own_shop.url("/"))
    log_out(one)

    other.get_by_role("button", name="Add").first.click()

    expect(other.locator("#cart")).to_have_text("1 tea")
    other.goto(own_shop.url("/account"))
    expect_logged_out(other)


@pytest.mark.parametrize("private", ["/account", "/devices", "/password"])
def test_the_back_button_after_a_logout(jar: BrowserContext, own_shop: Shop, private: str) -> None:
    """No private page comes back, neither from a cache nor from memory."""
    page = jar.new_page()
    log_in(page, own_shop)
    page.goto(own_shop.url(private))
    log_out(page)

    page.go_back(wait_until="commit")

    expect_logged_out(page)


def test_the_back_button_after_a_login(jar: BrowserContext, own_shop: Shop) -> None:
    """The login form comes back, and the user stays logged in."""
    page = jar.new_page()
    add_tea(page, own_shop)
    log_in(page, own_shop)

    page.go_back(wait_until="commit")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.go_forward(wait_until="commit")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Log in")
    page.wait_for_load_state()

    expect_account_with_tea(page, own_shop)


def test_a_visit_on_a_slow_network(jar: BrowserContext, own_shop: Shop) -> None:
    """A whole visit works when every response takes its time."""
    page = jar.new_page()
    delay_responses(page, 400)

    add_tea(page, own_shop)
    log_in(page, own_shop)
    expect(page.locator("#cart")).to_have_text("1 tea")
    log_out(page)

    page.goto(own_shop.url("/account"))
    expect_logged_out(page)
    assert own_shop.signed_in() == 0
