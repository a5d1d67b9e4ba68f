"""The example shops in a real browser."""

from __future__ import annotations

import time
from datetime import timedelta

from playwright.sync_api import BrowserContext, expect

from tests.browser.servers import Shop
from tests.browser.visits import (
    COOKIE,
    add_tea,
    cookie_in,
    expect_logged_out,
    log_in,
    log_out,
    plant,
)

TTL = timedelta(hours=2)


def test_looking_leaves_no_cookie(jar: BrowserContext, shop: Shop) -> None:
    """A visitor who only reads gets no session."""
    jar.new_page().goto(shop.url("/"))

    assert jar.cookies() == []


def test_the_flags_of_the_cookie(jar: BrowserContext, shop: Shop) -> None:
    """The cookie lasts two hours, and scripts and other sites cannot read it."""
    page = jar.new_page()

    add_tea(page, shop)

    cookie = cookie_in(jar)
    assert cookie.pop("value") != ""
    assert abs(cookie.pop("expires") - time.time() - TTL.total_seconds()) < 600
    assert cookie == {
        "name": COOKIE,
        "domain": "localhost",
        "path": "/",
        "httpOnly": True,
        "secure": True,
        "sameSite": "Lax",
    }
    assert page.evaluate("document.cookie") == ""


def test_a_login_changes_the_id_in_the_jar(
    jar: BrowserContext, other_jar: BrowserContext, shop: Shop
) -> None:
    """The cart is kept, and a copy of the old cookie is useless."""
    page = jar.new_page()
    add_tea(page, shop)
    before = cookie_in(jar)["value"]

    log_in(page, shop)

    assert cookie_in(jar)["value"] != before
    expect(page.locator("#cart")).to_have_text("1 tea")
    plant(other_jar, before)
    thief = other_jar.new_page()
    thief.goto(shop.url("/"))
    expect(thief.locator("#cart")).to_have_text("nothing")


def test_an_invented_id_is_not_adopted(jar: BrowserContext, shop: Shop) -> None:
    """Session fixation: an invented id is replaced by a new one."""
    plant(jar, "planted")

    add_tea(jar.new_page(), shop)

    assert cookie_in(jar)["value"] != "planted"


def test_a_planted_session_is_left_behind(
    jar: BrowserContext, other_jar: BrowserContext, shop: Shop
) -> None:
    """Session fixation: an attacker's session does not become that of the victim."""
    attacker = other_jar.new_page()
    add_tea(attacker, shop)
    plant(jar, cookie_in(other_jar)["value"])

    log_in(jar.new_page(), shop)

    attacker.goto(shop.url("/account"))
    expect_logged_out(attacker)


def test_a_double_click_on_log_in_works(jar: BrowserContext, shop: Shop) -> None:
    """After concurrent logins, the browser has a working cookie."""
    page = jar.new_page()
    add_tea(page, shop)

    page.evaluate(
        """() => {
          const body = new URLSearchParams({name: "ada", password: "lovelace"});
          const login = () => fetch("/login", {method: "POST", body, redirect: "manual"});
          return Promise.all(Array.from({length: 6}, login)).then(() => null);
        }"""
    )

    page.goto(shop.url("/account"))
    expect(page.locator("body")).to_contain_text("This is ada's account.")


def test_a_logout_counts_in_every_tab(jar: BrowserContext, shop: Shop) -> None:
    """A logout in one tab logs out the other tab, and removes cookie and cart."""
    one, other = jar.new_page(), jar.new_page()
    add_tea(one, shop)
    log_in(one, shop)
    other.goto(shop.url("/account"))
    expect(other.locator("body")).to_contain_text("This is ada's account.")

    log_out(one)

    assert jar.cookies() == []
    other.reload()
    expect_logged_out(other)


def test_a_copied_cookie_is_worthless_after_the_logout(
    jar: BrowserContext, other_jar: BrowserContext, shop: Shop
) -> None:
    """A copy of the cookie gives no access after the logout."""
    page = jar.new_page()
    log_in(page, shop)
    plant(other_jar, cookie_in(jar)["value"])

    log_out(page)

    thief = other_jar.new_page()
    thief.goto(shop.url("/account"))
    expect_logged_out(thief)


def test_two_browsers_are_two_people(
    jar: BrowserContext, other_jar: BrowserContext, shop: Shop
) -> None:
    """Two browsers have separate sessions."""
    ada, grace = jar.new_page(), other_jar.new_page()
    log_in(ada, shop, "ada")
    log_in(grace, shop, "grace")
    add_tea(grace, shop)

    ada.goto(shop.url("/account"))
    expect(ada.locator("#cart")).to_have_text("nothing")
    log_out(ada)

    grace.goto(shop.url("/account"))
    expect(grace.locator("body")).to_contain_text("This is grace's account.")


def test_a_session_expires(jar: BrowserContext, shop: Shop) -> None:
    """An expired session is over, although the browser still has the cookie."""
    page = jar.new_page()
    log_in(page, shop)
    expired = cookie_in(jar)["value"]

    shop.let_pass(TTL)

    page.goto(shop.url("/account"))
    expect_logged_out(page)
    add_tea(page, shop)
    assert cookie_in(jar)["value"] != expired


def test_a_visit_extends_the_session(jar: BrowserContext, shop: Shop) -> None:
    """The cookie is extended together with the session."""
    page = jar.new_page()
    log_in(page, shop)
    before = cookie_in(jar)
    shop.let_pass(TTL / 2)

    page.goto(shop.url("/account"))

    assert cookie_in(jar)["value"] == before["value"]
    assert cookie_in(jar)["expires"] > before["expires"]
    shop.let_pass(TTL * 0.75)
    page.goto(shop.url("/account"))
    expect(page.locator("body")).to_contain_text("This is ada's account.")


def test_the_back_button_does_not_bring_an_account_back(jar: BrowserContext, shop: Shop) -> None:
    """The back button does not show a private page after the logout."""
    page = jar.new_page()
    log_in(page, shop)
    log_out(page)

    page.go_back(wait_until="commit")

    expect_logged_out(page)


def test_another_site_cannot_submit_a_form(jar: BrowserContext, shop: Shop) -> None:
    """A form of another site is sent without the cookie, so it logs no user out."""
    page = jar.new_page()
    log_in(page, shop)
    page.goto(shop.url("/", host="127.0.0.1"))
    page.set_content(f'<form method="post" action="{shop.url("/logout")}"><button>Win</button>')
    page.get_by_role("button", name="Win").click()
    page.wait_for_url(shop.url("/"))

    page.goto(shop.url("/account"))

    expect(page.locator("body")).to_contain_text("This is ada's account.")


def test_another_host_of_the_domain_cannot_toss_a_cookie(
    jar: BrowserContext, tls_shop: Shop
) -> None:
    """The browser accepts a ``__Host-`` cookie only from its own host."""
    page = jar.new_page()
    page.goto(tls_shop.url("/", host="evil.shop.example"))
    attributes = "Domain=shop.example; Path=/; Secure"

    page.evaluate(f"document.cookie = '{COOKIE}=tossed; {attributes}'")
    page.evaluate(f"document.cookie = 'other=tossed; {attributes}'")

    tossed = jar.cookies(tls_shop.url("/", host="shop.example"))
    assert [cookie["name"] for cookie in tossed] == ["other"]


def test_over_https_all_is_the_same(jar: BrowserContext, tls_shop: Shop) -> None:
    """The shop works in the same way on a domain, over HTTPS."""
    page = jar.new_page()
    page.goto(tls_shop.url("/login", host="shop.example"))
    page.get_by_placeholder("name").fill("ada")
    page.get_by_placeholder("password").fill("lovelace")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("body")).to_contain_text("This is ada's account.")
    assert cookie_in(jar)["domain"] == "shop.example"

    log_out(page)

    assert jar.cookies() == []
    assert tls_shop.count() == 0


def test_a_wrong_password_begins_no_session(jar: BrowserContext, shop: Shop) -> None:
    """A failed login creates neither a cookie nor a row."""
    rows = shop.count()
    page = jar.new_page()
    page.goto(shop.url("/login"))
    page.get_by_placeholder("name").fill("ada")
    page.get_by_placeholder("password").fill("guess")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("body")).to_contain_text("Wrong name or password.")
    assert jar.cookies() == []
    assert shop.count() == rows
