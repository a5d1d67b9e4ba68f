"""Rules 1 to 3 and 6 to 8: which id a browser has, whatever order its responses arrive in."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web import tombstones
from tests.web.rules.conftest import KnownStore, Later, Open, row_count
from tests.web.rules.driving import Browser, Driver
from tests.web.rules.pages import PAGES, Meanwhile

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

DAY = timedelta(days=1)


# Rule 1: a request that asked for a new id gets one.


@pytest.mark.parametrize("page", ["login", "sign_in"])
async def test_a_double_click_on_log_in_logs_in(
    visit: Open, meanwhile: Meanwhile, page: str
) -> None:
    """The browser drops the response of the first click, and keeps that of the second."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        dropped = browser.copy()
        meanwhile.event = lambda: dropped.get(f"/{page}?user=ada")

        answer = await browser.get(f"/slow_{page}?user=ada")

        assert answer.status == 200
        assert browser.session_id != dropped.session_id
        assert (await browser.get("/show")).json == {"cart": "tea", "user": "ada"}


async def test_a_login_whose_response_was_lost_can_be_repeated(visit: Open) -> None:
    """The browser still has the id from before the login."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        await browser.copy().get("/login?user=ada")

        await browser.get("/login?user=ada")

        assert (await browser.get("/show")).json == {"user": "ada"}


async def test_a_sign_in_survives_the_end_of_the_old_session(
    visit: Open, meanwhile: Meanwhile
) -> None:
    """The request itself authenticated its visitor."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/logout")

        await browser.get("/slow_sign_in?user=ada")

        assert (await browser.get("/show")).json["user"] == "ada"


async def test_a_rotation_does_not_revive_a_logged_out_session(
    visit: Open, meanwhile: Meanwhile
) -> None:
    """Its state may belong to a user who has logged out."""
    async with visit() as browser:
        await browser.get("/put?secret=of+ada")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/logout")

        await browser.get("/slow_login?user=bob")

        assert browser.cookies == {}


# Rule 2: a request that arrives with a rotated id starts nothing.


async def test_a_late_request_does_not_replace_a_login(visit: Open, store: KnownStore) -> None:
    """It was sent before the browser received the new id."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        late = browser.copy()
        await browser.get("/login?user=ada")
        rows = await row_count(store)

        answer = await late.get("/put?color=blue")

        assert answer.set_cookie is None
        assert await row_count(store) == rows


async def test_an_unknown_id_is_never_used(visit: Open) -> None:
    """A visitor with an invented or expired id gets an id of the server's."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        name = next(iter(browser.cookies))
        attacked = Browser(browser.send, {name: "planted-by-an-attacker"})

        await attacked.get("/put?color=blue")

        assert attacked.session_id.value != "planted-by-an-attacker"


# Rule 3: the cookie is sent when it changes.


async def test_a_change_alone_sends_no_cookie(visit: Open, store: KnownStore, later: Later) -> None:
    """The deadline of the row and that of the cookie stay the same."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        await later(DAY)

        assert (await browser.get("/put?color=blue")).set_cookie is None
        record = await store.load(browser.session_id)
        assert record is not None
        assert record.ttl <= timedelta(days=13)


@pytest.mark.parametrize("path", ["/show", "/put?color=blue"])
async def test_a_session_in_use_is_renewed_with_its_cookie(
    visit: Open, store: KnownStore, later: Later, path: str
) -> None:
    """When less than the threshold remains."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        await later(5 * DAY)

        cookie = (await browser.get(path)).set_cookie

        assert cookie is not None
        assert "Max-Age=1209600" in cookie
        record = await store.load(browser.session_id)
        assert record is not None
        assert record.ttl > timedelta(days=13)


async def test_an_anonymous_request_costs_nothing(visit: Open, store: KnownStore) -> None:
    """It writes no row, and sets no cookie."""
    async with visit() as browser:
        for path in ("/show", "/untouched", "/logout"):
            assert (await browser.get(path)).set_cookie is None
        assert await row_count(store) == 0


# Rule 6: tombstones outlive requests.


async def test_a_long_upload_beside_a_login_leaves_the_new_cookie(
    visit: Open, meanwhile: Meanwhile, later: Later
) -> None:
    """It ends hours after the id was rotated."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        uploading = browser.copy()

        async def log_in() -> None:
            await browser.get("/login?user=ada")
            await later(timedelta(hours=6))

        meanwhile.event = log_in
        answer = await uploading.get("/slow_put?upload=done")

        assert answer.set_cookie is None


async def test_no_client_can_present_a_tombstone(visit: Open) -> None:
    """What a tombstone is stored under is no session, quoted or not."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        name, old_id = next(iter(browser.cookies)), browser.session_id
        await browser.get("/login?user=ada")
        for key in (tombstones._tombstone_of(old_id), tombstones._announcement_of(old_id)):
            for value in (key.value, f'"{key.value}"', key.value.rstrip(".")):
                answer = await browser.send("/show", {"Cookie": f"{name}={value}"})
                assert answer.json == {}


# Rule 7: several cookies of one name.


async def test_of_two_cookies_the_live_one_counts(visit: Open) -> None:
    """One of them is left from before the cookie's domain or path was changed."""
    async with visit() as browser:
        await browser.get("/login?user=ada")
        name, value = next(iter(browser.cookies.items()))
        for pair in ((value, "x" * 43), ("x" * 43, value)):
            header = "; ".join(f"{name}={each}" for each in pair)
            answer = await browser.send("/show", {"Cookie": header})
            assert answer.json == {"user": "ada"}


async def test_of_two_live_cookies_none_counts(
    visit: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Which of them another host has planted cannot be told; a warning names the cookie."""
    caplog.set_level(logging.WARNING)
    async with visit(session_cookie="sid") as browser:
        await browser.get("/login?user=ada")
        other = Browser(browser.send)
        await other.get("/login?user=eve")
        header = f"sid={browser.cookies['sid']}; sid={other.cookies['sid']}"

        answer = await browser.send("/show", {"Cookie": header})

        assert answer.json == {}
        assert "several cookies named sid" in caplog.text
        assert browser.cookies["sid"] not in caplog.text


# Rule 8: the middleware twice.


async def test_a_middleware_inside_of_another_uses_its_session(
    driver: Driver, store: KnownStore
) -> None:
    """One session, one cookie."""
    async with driver.serve_nested(store, store, PAGES) as send:
        browser = Browser(send)
        await browser.get("/put?color=red")
        await browser.get("/inner/login?user=ada")

        assert (await browser.get("/show")).json == {"color": "red", "user": "ada"}
        assert (await browser.get("/inner/show")).json == {"color": "red", "user": "ada"}


async def test_another_store_under_the_same_name_is_an_error(
    driver: Driver, store: KnownStore, caplog: pytest.LogCaptureFixture
) -> None:
    """At the first request, and not as a login that is lost."""
    async with driver.serve_nested(store, MemorySessionStore(), PAGES) as send:
        assert (await Browser(send).get("/show")).status == 200
        assert (await Browser(send).get("/inner/show")).status == 500
