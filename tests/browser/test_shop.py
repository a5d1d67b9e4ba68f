"""Sessions as a browser keeps them, seen through the windows of a real one."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.servers import Shop

COOKIE = "__Host-session"
TTL = timedelta(hours=2)

PASSWORDS = {"ada": "lovelace", "grace": "hopper"}


def add_tea(page: Page, shop: Shop) -> None:
    """Put tea into the cart."""
    page.goto(shop.url("/"))
    page.get_by_role("button", name="Add").first.click()
    expect(page.locator("#cart")).to_have_text("1 tea")


def log_in(page: Page, shop: Shop, name: str = "ada") -> None:
    """Log in, and arrive at the account."""
    page.goto(shop.url("/login"))
    page.get_by_placeholder("name").fill(name)
    page.get_by_placeholder("password").fill(PASSWORDS[name])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("body")).to_contain_text(f"This is {name}'s account.")


def log_out(page: Page) -> None:
    """Log out, and arrive at the shop."""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Shop")


def expect_logged_out(page: Page) -> None:
    """Require that the account asks who it is."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    expect(page.locator("body")).not_to_contain_text("account.")


def cookie_in(jar: BrowserContext) -> dict[str, Any]:
    """Return the one cookie that there is."""
    (cookie,) = jar.cookies()
    return dict(cookie)


def plant(jar: BrowserContext, session_id: str) -> None:
    """Put a cookie into the jar, as an attacker might."""
    jar.add_cookies([{"name": COOKIE, "value": session_id, "url": "https://localhost/"}])


def test_looking_leaves_no_cookie(jar: BrowserContext, shop: Shop) -> None:
    """Who only looks has no session."""
    jar.new_page().goto(shop.url("/"))

    assert jar.cookies() == []


def test_the_flags_of_the_cookie(jar: BrowserContext, shop: Shop) -> None:
    """The browser keeps it, for two hours, out of reach of scripts and of other sites."""
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
    """The cart comes along; a copy of the cookie from before is worth nothing."""
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
    """Fixation: what an attacker put into the jar is replaced by an id of the shop's."""
    plant(jar, "planted")

    add_tea(jar.new_page(), shop)

    assert cookie_in(jar)["value"] != "planted"


def test_a_planted_session_is_left_behind(
    jar: BrowserContext, other_jar: BrowserContext, shop: Shop
) -> None:
    """Fixation: an attacker's own session, in a victim's jar, does not become the victim's."""
    attacker = other_jar.new_page()
    add_tea(attacker, shop)
    plant(jar, cookie_in(other_jar)["value"])

    log_in(jar.new_page(), shop)

    attacker.goto(shop.url("/account"))
    expect_logged_out(attacker)


def test_who_clicks_twice_is_logged_in(jar: BrowserContext, shop: Shop) -> None:
    """Of logins at once one rotates the id; no other's answer takes the new cookie away."""
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
    """Who logs out in one tab is out in the other, and has neither cookie nor cart left."""
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
    """Replay: who copied it while it was good is not let in by it afterwards."""
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
    """Neither sees, or logs out, the other."""
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
    """When its time is over it is over, although the browser still has the cookie."""
    page = jar.new_page()
    log_in(page, shop)
    expired = cookie_in(jar)["value"]

    shop.let_pass(TTL)

    page.goto(shop.url("/account"))
    expect_logged_out(page)
    add_tea(page, shop)
    assert cookie_in(jar)["value"] != expired


def test_who_comes_back_in_time_stays(jar: BrowserContext, shop: Shop) -> None:
    """The cookie in the jar is renewed with the session."""
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
    """What was shown before the logout is not shown after it."""
    page = jar.new_page()
    log_in(page, shop)
    log_out(page)

    page.go_back(wait_until="commit")

    expect_logged_out(page)


def test_another_site_cannot_post_in_somebodys_name(jar: BrowserContext, shop: Shop) -> None:
    """SameSite: a form of another site comes without the cookie, and logs nobody out."""
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
    """Tossing: the browser takes a cookie of the prefix ``__Host-`` from its own host only."""
    page = jar.new_page()
    page.goto(tls_shop.url("/", host="evil.shop.example"))
    attributes = "Domain=shop.example; Path=/; Secure"

    page.evaluate(f"document.cookie = '{COOKIE}=tossed; {attributes}'")
    page.evaluate(f"document.cookie = 'other=tossed; {attributes}'")

    tossed = jar.cookies(tls_shop.url("/", host="shop.example"))
    assert [cookie["name"] for cookie in tossed] == ["other"]


def test_over_https_all_is_the_same(jar: BrowserContext, tls_shop: Shop) -> None:
    """On a domain, a visit ends as it does on localhost."""
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
    """A failed login leaves neither a cookie nor a row."""
    rows = shop.count()
    page = jar.new_page()
    page.goto(shop.url("/login"))
    page.get_by_placeholder("name").fill("ada")
    page.get_by_placeholder("password").fill("guess")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("body")).to_contain_text("That was not it.")
    assert jar.cookies() == []
    assert shop.count() == rows
