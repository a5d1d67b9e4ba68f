"""Rules 12 and 13: lifetimes, and the sessions of a user."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql.web.bearer import BearerToken
from tests.unit.memory_backend import MemoryBackend
from tests.web.rules.conftest import KnownStore, Later, Open
from tests.web.rules.driving import Browser, Driver

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

DAY = timedelta(days=1)


def user_of(state: dict[str, Any]) -> Any:
    """Return the user of a state."""
    return state.get("user")


# Rule 12: lifetimes.


async def test_a_session_that_is_remembered_keeps_its_idle_time(
    visit: Open, store: KnownStore, later: Later
) -> None:
    """After other writes, a rotation, a renewal and a sign-in."""
    async with visit() as browser:
        await browser.get("/sign_in?user=ada")
        answer = await browser.get("/remember")
        assert "Max-Age=7776000" in str(answer.set_cookie)
        for path in ("/put?color=red", "/login?user=ada", "/show", "/sign_in?user=ada"):
            await later(20 * DAY)
            answer = await browser.get(path)
            record = await store.load(browser.session_id)
            assert record is not None
            assert record.ttl > timedelta(days=49)
            assert answer.set_cookie is None or "Max-Age=7776000" in answer.set_cookie


async def test_a_shorter_max_age_reaches_living_sessions(visit: Open, store: KnownStore) -> None:
    """At their next request."""
    async with visit(max_age=14 * DAY) as browser:
        await browser.get("/put?color=red")
    async with visit(max_age=timedelta(minutes=30)) as later:
        answer = await Browser(later.send, browser.cookies).get("/show")

    assert "Max-Age=1800" in str(answer.set_cookie)
    record = await store.load(browser.session_id)
    assert record is not None
    assert record.ttl <= timedelta(minutes=30)


async def test_seconds_are_as_good_as_a_timedelta(visit: Open) -> None:
    """On every adapter."""
    async with visit(max_age=90) as browser:
        assert "Max-Age=90" in str((await browser.get("/put?color=red")).set_cookie)


async def test_a_cookie_can_end_with_the_browser(visit: Open) -> None:
    """Except that of a session that is remembered."""
    async with visit(persistent=False) as browser:
        assert "Max-Age" not in str((await browser.get("/put?color=red")).set_cookie)
        assert "Max-Age=7776000" in str((await browser.get("/remember")).set_cookie)


async def test_anonymous_sessions_can_be_shorter(visit: Open) -> None:
    """Until their visitor signs in."""
    async with visit(anonymous_max_age=timedelta(hours=1)) as browser:
        assert "Max-Age=3600" in str((await browser.get("/put?color=red")).set_cookie)
        assert "Max-Age=1209600" in str((await browser.get("/sign_in?user=ada")).set_cookie)


async def test_a_lifetime_ends_a_session_in_use(visit: Open, later: Later) -> None:
    """Counted from the sign-in."""
    async with visit(lifetime=timedelta(hours=8)) as browser:
        answer = await browser.get("/sign_in?user=ada")
        assert "Max-Age=28800" in str(answer.set_cookie)
        for _ in range(7):
            await later(timedelta(hours=1))
            assert (await browser.get("/show")).json == {"user": "ada"}
        await later(timedelta(hours=1))
        assert (await browser.get("/show")).json == {}


# Rule 13: sign-in is noticed.


async def test_a_change_of_the_user_is_a_sign_in(visit: Open, store: KnownStore) -> None:
    """The session gets a new id, and belongs to the user."""
    async with visit(subject_of=user_of) as browser:
        await browser.get("/put?cart=tea")
        old_id = browser.session_id
        await browser.get("/put?user=ada")

        assert browser.session_id != old_id
        assert await store.load(old_id) is None
        assert len(await store.sessions_of("ada")) == 1


async def test_a_user_who_disappears_has_logged_out(visit: Open, store: KnownStore) -> None:
    """The rest of the state begins another session."""
    async with visit(subject_of=user_of) as browser:
        await browser.get("/put?user=ada&cart=tea")
        old_id = browser.session_id
        await browser.get("/drop?key=user")

        assert await store.sessions_of("ada") == []
        assert await store.load(old_id) is None
        assert (await browser.get("/show")).json == {"cart": "tea"}


async def test_a_user_sees_and_ends_their_sessions(visit: Open, store: KnownStore) -> None:
    """Those of other users stay."""
    async with visit() as phone:
        laptop, other = Browser(phone.send), Browser(phone.send)
        await phone.get("/sign_in?user=ada&device=phone")
        await laptop.get("/sign_in?user=ada&device=laptop")
        await other.get("/sign_in?user=bob&device=phone")

        listed = (await laptop.get("/devices")).json
        assert {(each["about"]["device"], each["this"]) for each in listed} == {
            ("phone", False),
            ("laptop", True),
        }
        (of_bob,) = (await other.get("/devices")).json
        assert (await laptop.get(f"/revoke?handle={of_bob['handle']}")).json is False
        (of_phone,) = (each["handle"] for each in listed if not each["this"])
        assert (await laptop.get(f"/revoke?handle={of_phone}")).json is True

        assert (await phone.get("/show")).json == {}
        assert (await laptop.get("/show")).json == {"user": "ada"}
        assert (await other.get("/show")).json == {"user": "bob"}


async def test_a_form_without_a_handle_ends_nothing(visit: Open) -> None:
    """To the store, no handle means all sessions of the user."""
    async with visit() as phone:
        laptop = Browser(phone.send)
        await phone.get("/sign_in?user=ada")
        await laptop.get("/sign_in?user=ada")

        rejected = (await laptop.get("/revoke")).json

        assert rejected == {"rejected": "a handle is a SessionHandle or its text, not NoneType"}
        assert (await phone.get("/show")).json == {"user": "ada"}
        assert (await laptop.get("/show")).json == {"user": "ada"}


@pytest.mark.parametrize(("query", "ended", "left"), [("?keep", 1, {"user": "ada"}), ("", 2, {})])
async def test_a_user_signs_out_everywhere(
    visit: Open, query: str, ended: int, left: dict[str, str]
) -> None:
    """With or without the session of the request."""
    async with visit() as phone:
        laptop = Browser(phone.send)
        await phone.get("/sign_in?user=ada")
        await laptop.get("/sign_in?user=ada")

        assert (await laptop.get(f"/everywhere{query}")).json == ended

        assert (await phone.get("/show")).json == {}
        assert (await laptop.get("/show")).json == left


async def test_the_oldest_sessions_end_above_the_limit(visit: Open) -> None:
    """After the sign-in, which always succeeds."""
    async with visit(max_sessions=2) as first:
        others = [Browser(first.send), Browser(first.send)]
        for browser in (first, *others):
            await browser.get("/sign_in?user=ada")

        assert (await first.get("/show")).json == {}
        assert [(await each.get("/show")).json for each in others] == [{"user": "ada"}] * 2


async def test_a_page_can_require_a_fresh_sign_in(visit: Open, later: Later) -> None:
    """401 without a user; 403 with a reason that a program can read if it was too long ago."""
    async with visit() as browser:
        anonymous = await browser.get("/fresh")
        await browser.get("/sign_in?user=ada")
        fresh = await browser.get("/fresh")
        await later(timedelta(minutes=11))
        stale = await browser.get("/fresh")
        await browser.get("/sign_in?user=ada")
        again = await browser.get("/fresh")

    assert (anonymous.status, anonymous.header("WWW-Authenticate")) == (401, "Cookie")
    assert (fresh.status, stale.status, again.status) == (200, 403, 200)
    assert b"reauthentication_required" in stale.body


async def test_a_stream_can_load_its_session_again(visit: Open) -> None:
    """It finds what other requests stored, and whether the session has ended."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        assert (await browser.get("/reload")).json == [True, {"color": "red"}]


@pytest.mark.parametrize("option", ["subject_of", "max_sessions", "lifetime"])
async def test_options_that_need_accounts_are_not_ignored(driver: Driver, option: str) -> None:
    """A store with the seven operations only is rejected with them."""
    value: Any = {"subject_of": user_of, "max_sessions": 3, "lifetime": DAY}[option]
    with pytest.raises(TypeError, match=option):
        async with driver.serve(MemoryBackend(), {}, **{option: value}) as send:
            await send("/show", {})


# Bearer tokens.


async def test_an_id_can_be_sent_in_headers(visit: Open) -> None:
    """For clients that are not browsers."""
    async with visit(bearer=BearerToken()) as client:
        answer = await client.get("/put?color=red")
        token = answer.header("Session-Token")
        headers = {"Authorization": f"Bearer {token}"}
        shown = await client.send("/show", headers)
        renewed = await client.send("/login?user=ada", headers)
        gone = await client.send("/show", headers)
        new = {"Authorization": f"bearer  {renewed.header('Session-Token')}"}
        ended = await client.send("/logout", new)

    assert answer.set_cookie is None
    assert (ended.set_cookie, ended.header("Session-Token")) == (None, "")
    assert (answer.header("Cache-Control"), shown.header("Vary")) == ("no-store", "Authorization")
    assert shown.json == {"color": "red"}
    assert renewed.header("Session-Token") not in {None, token}
    assert gone.json == {}


async def test_only_a_bearer_token_presents_an_id(visit: Open) -> None:
    """Neither a cookie nor another scheme does."""
    async with visit(bearer=BearerToken(name="X-Session"), session_cookie="sid") as client:
        token = (await client.get("/put?color=red")).header("X-Session")
        assert token is not None
        schemes = [token, f"Basic {token}", f"Bearer {token} {token}", f"Bearer{token}"]
        others = [{"Authorization": each} for each in schemes] + [{"Cookie": f"sid={token}"}]
        for headers in others:
            assert (await client.send("/show", headers)).json == {}


async def test_a_client_without_a_token_is_challenged(visit: Open) -> None:
    """With the scheme that it has to use."""
    async with visit(bearer=BearerToken()) as client:
        answer = await client.get("/fresh")

    assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")
