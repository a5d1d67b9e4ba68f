"""A user who is signed in with two browsers: the list of devices, passwords, long logins."""

from __future__ import annotations

import time
from datetime import timedelta

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.servers import Shop
from tests.browser.visits import (
    add_tea,
    cookie_in,
    expect_logged_in,
    expect_logged_out,
    fill_login,
    log_in,
    log_out,
    plant,
)

MAX_AGE = timedelta(hours=2)
KEPT_MAX_AGE = timedelta(days=30)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
)


def devices_on(page: Page, shop: Shop) -> Locator:
    """Open the list of devices, and return its entries."""
    page.goto(shop.url("/devices"))
    return page.locator(".devices li")


def phone_of(browser: Browser) -> Page:
    """Return a page on a phone."""
    page = browser.new_context(user_agent=PHONE).new_page()
    page.set_default_timeout(60_000)
    return page


def enter(page: Page, password: str, button: str) -> None:
    """Submit a form with a password."""
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name=button).click()


def test_the_list_says_where_the_user_is_signed_in(
    browser: Browser, jar: BrowserContext, own_shop: Shop
) -> None:
    """Each browser marks its own session, which comes first."""
    computer, phone = jar.new_page(), phone_of(browser)
    log_in(computer, own_shop)
    log_in(phone, own_shop)

    entries = devices_on(computer, own_shop)
    expect(entries).to_have_count(2)
    expect(entries.nth(0)).to_contain_text("on Linux")
    expect(entries.nth(0)).to_contain_text("This device")
    expect(entries.nth(0)).to_contain_text("127.0.0.1 · signed in just now")
    expect(entries.nth(1)).to_contain_text("Safari on iPhone")
    expect(entries.nth(1)).not_to_contain_text("This device")
    expect(devices_on(phone, own_shop).nth(0)).to_contain_text("Safari on iPhone")


def test_another_device_is_signed_out(
    browser: Browser, jar: BrowserContext, own_shop: Shop
) -> None:
    """The other browser has to log in at its next page; this one goes on."""
    computer, phone = jar.new_page(), phone_of(browser)
    log_in(computer, own_shop)
    log_in(phone, own_shop)
    devices_on(computer, own_shop)

    computer.get_by_role("button", name="Sign out there").click()

    expect(computer.get_by_role("status")).to_have_text("The device is signed out.")
    expect(computer.locator(".devices li")).to_have_count(1)
    phone.goto(own_shop.url("/account"))
    expect_logged_out(phone)
    computer.goto(own_shop.url("/account"))
    expect_logged_in(computer)


def test_this_device_is_signed_out(jar: BrowserContext, own_shop: Shop) -> None:
    """That is a logout: the cookie is removed."""
    page = jar.new_page()
    log_in(page, own_shop)
    devices_on(page, own_shop)

    page.get_by_role("button", name="Sign out", exact=True).click()

    expect_logged_out(page)
    assert own_shop.signed_in() == 0


def test_a_device_is_signed_out_everywhere_else(
    browser: Browser, jar: BrowserContext, other_jar: BrowserContext, own_shop: Shop
) -> None:
    """Only this browser stays, and other users do too."""
    computer, phone, grace = jar.new_page(), phone_of(browser), other_jar.new_page()
    log_in(computer, own_shop)
    log_in(phone, own_shop)
    log_in(grace, own_shop, "grace")
    devices_on(computer, own_shop)

    computer.get_by_role("button", name="Sign out everywhere else").click()

    expect(computer.get_by_role("status")).to_contain_text("signed out on 1 other device.")
    phone.goto(own_shop.url("/account"))
    expect_logged_out(phone)
    grace.goto(own_shop.url("/account"))
    expect_logged_in(grace, "grace")


def test_the_handle_of_another_user_ends_nothing(
    jar: BrowserContext, other_jar: BrowserContext, own_shop: Shop
) -> None:
    """A forged form cannot sign other users out."""
    ada, grace = jar.new_page(), other_jar.new_page()
    log_in(ada, own_shop)
    log_in(grace, own_shop, "grace")
    handle = devices_on(ada, own_shop).locator("button").get_attribute("value")
    devices_on(grace, own_shop)

    for forged in (handle, "no handle"):
        grace.evaluate("value => document.querySelector('[name=handle]').value = value", forged)
        grace.get_by_role("button", name="Sign out", exact=True).click()
        expect(grace.get_by_role("status")).to_have_text("It was signed out already.")

    assert own_shop.signed_in() == 2


def test_a_password_is_changed(
    jar: BrowserContext, other_jar: BrowserContext, new_shop: Shop
) -> None:
    """The other browser and a copy of the cookie are out; this browser and its cart stay."""
    page, other = jar.new_page(), other_jar.new_page()
    add_tea(page, new_shop)
    log_in(page, new_shop)
    log_in(other, new_shop)
    before = cookie_in(jar)["value"]

    page.goto(new_shop.url("/password"))
    enter(page, "countess1", "Change password")

    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    expect(page.locator("#cart")).to_have_text("1 tea")
    other.goto(new_shop.url("/account"))
    expect_logged_out(other)
    plant(other_jar, before)
    other.goto(new_shop.url("/account"))
    expect_logged_out(other)
    log_in(other, new_shop, "ada", "countess1")


def test_a_password_is_asked_for_again(jar: BrowserContext, own_shop: Shop) -> None:
    """Ten minutes after the login, a change of the password begins with the old one."""
    page = jar.new_page()
    log_in(page, own_shop)
    own_shop.age_logins(timedelta(minutes=11))

    page.goto(own_shop.url("/password"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    enter(page, "guess", "Confirm")
    expect(page.get_by_role("alert")).to_have_text("Wrong password.")
    page.goto(own_shop.url("/password"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    enter(page, "lovelace", "Confirm")

    expect(page.get_by_role("heading", level=1)).to_have_text("Change password")
    expect(devices_on(page, own_shop)).to_have_count(1)


def test_a_stale_form_does_not_change_the_password(jar: BrowserContext, own_shop: Shop) -> None:
    """A form that was open for long is not enough."""
    page = jar.new_page()
    log_in(page, own_shop)
    page.goto(own_shop.url("/password"))
    own_shop.age_logins(timedelta(minutes=11))

    enter(page, "countess1", "Change password")

    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    log_out(page)
    log_in(page, own_shop)


def test_a_login_that_is_kept(jar: BrowserContext, own_shop: Shop) -> None:
    """It lasts for a month without a visit, and a visit renews it as a whole."""
    page = jar.new_page()
    fill_login(page, own_shop)
    page.get_by_label("Keep me signed in").check()
    page.get_by_role("button", name="Log in").click()
    expect_logged_in(page)
    before = cookie_in(jar)
    assert abs(before["expires"] - time.time() - KEPT_MAX_AGE.total_seconds()) < 600

    own_shop.let_pass(timedelta(days=20))

    page.goto(own_shop.url("/account"))
    expect_logged_in(page)
    assert cookie_in(jar)["expires"] > before["expires"]


def test_a_login_that_is_not_kept(jar: BrowserContext, own_shop: Shop) -> None:
    """It lasts for two hours without a visit, also after a login that was kept."""
    page = jar.new_page()
    fill_login(page, own_shop)
    page.get_by_label("Keep me signed in").check()
    page.get_by_role("button", name="Log in").click()
    expect_logged_in(page)

    log_in(page, own_shop)

    assert abs(cookie_in(jar)["expires"] - time.time() - MAX_AGE.total_seconds()) < 600
    own_shop.let_pass(MAX_AGE)
    page.goto(own_shop.url("/account"))
    expect_logged_out(page)
