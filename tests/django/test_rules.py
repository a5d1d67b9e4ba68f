"""Requests of one visitor in any order, through Django's own middleware."""

from __future__ import annotations

import copy
import pickle
import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.test.utils import override_settings

from sessionstore_sql import ConflictError, SerializationError
from sessionstore_sql.django import SessionStore, close, middleware
from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web.errors import SessionClosedError
from tests.django.scripted_site import (
    ask,
    content_of,
    in_browser_of,
    key_in,
    logging_in,
    setting,
    user_of,
)

MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"

pytestmark = pytest.mark.usefixtures("account_sessions", "user")


@pytest.fixture(autouse=True)
def scripted() -> Any:
    """The views are those of the tests."""
    with override_settings(ROOT_URLCONF="tests.django.scripted_site"):
        yield


@pytest.fixture
def browser() -> Client:
    """A browser with a cart."""
    client = Client(raise_request_exception=False)
    ask(client, setting(cart=["tea"]))
    return client


def cookie_in(response: HttpResponse) -> str | None:
    """Return what the response says about the cookie; ``None`` if nothing."""
    morsel = response.cookies.get("sessionid")
    return None if morsel is None else morsel.value


# Logins


def test_both_clicks_of_a_double_click_log_in(browser: Client) -> None:
    """Whichever response the browser reads, the visitor is logged in and has the cart."""
    second = in_browser_of(browser)

    def first_click(request: HttpRequest) -> None:
        assert request.session["cart"] == ["tea"]
        assert ask(second, logging_in).status_code == HTTPStatus.OK
        logging_in(request)

    assert ask(browser, first_click).status_code == HTTPStatus.OK

    for each in (browser, second):
        assert user_of(each) == "ada"
        assert content_of(each) == {"cart": ["tea"]}
    assert key_in(browser) != key_in(second)


def test_a_login_keeps_a_purchase_beside_it(browser: Client) -> None:
    """It was acknowledged before the login was stored."""
    other = in_browser_of(browser)

    def log_in(request: HttpRequest) -> None:
        request.session.get("cart")
        ask(other, setting(cart=["tea", "milk"]))
        logging_in(request)

    ask(browser, log_in)

    assert content_of(browser) == {"cart": ["tea", "milk"]}


def test_a_login_that_cannot_be_stored_changes_nothing(browser: Client) -> None:
    """The old key stays valid, with everything in it."""

    def log_in(request: HttpRequest) -> None:
        logging_in(request)
        request.session["id"] = uuid.uuid4()

    response = ask(browser, log_in)

    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert cookie_in(response) is None
    assert content_of(browser) == {"cart": ["tea"]}


def test_a_login_in_a_view_that_fails_changes_nothing(browser: Client) -> None:
    """As Django stores nothing with an error of the server."""

    def log_in(request: HttpRequest) -> HttpResponse:
        logging_in(request)
        return HttpResponse(status=500)

    assert cookie_in(ask(browser, log_in)) is None

    assert content_of(browser) == {"cart": ["tea"]}
    assert user_of(browser) == ""


def test_a_key_is_known_before_the_response(browser: Client) -> None:
    """Applications store it beside their own data."""

    def view(request: HttpRequest) -> Any:
        logging_in(request)
        return request.session.session_key

    response = ask(browser, view)

    assert key_in(browser) == response.json()
    assert user_of(browser) == "ada"


@pytest.mark.parametrize("change", [logging_in, lambda request: request.session.cycle_key()])
def test_a_rotation_is_lost_if_the_session_was_logged_out(browser: Client, change: Any) -> None:
    """Only a login creates a session then: it has authenticated the visitor itself."""
    ask(browser, logging_in)
    other = in_browser_of(browser)

    def rotate(request: HttpRequest) -> None:
        request.session.get("cart")
        ask(other, logout)
        change(request)

    response = ask(browser, rotate)

    logs_in = change is logging_in
    assert response.status_code == (HTTPStatus.OK if logs_in else HTTPStatus.BAD_REQUEST)
    assert user_of(browser) == ("ada" if logs_in else "")


def test_the_same_user_can_log_in_again(browser: Client) -> None:
    """That is a new key for the same session."""
    ask(browser, logging_in)
    before = key_in(browser)

    ask(browser, logging_in)

    assert key_in(browser) != before
    assert content_of(browser) == {"cart": ["tea"]}
    assert not SessionStore().exists(before)


# Old keys


def test_a_request_with_a_rotated_key_starts_nothing(browser: Client) -> None:
    """It was sent before the browser had the new key, whose cookie it would replace."""
    late = in_browser_of(browser)
    ask(browser, logging_in)

    response = ask(late, setting(late=True))

    assert response.status_code == HTTPStatus.OK
    assert cookie_in(response) is None
    assert content_of(browser) == {"cart": ["tea"]}


@pytest.mark.parametrize("store", ["create", "save"])
def test_a_request_with_a_rotated_key_cannot_store_a_session(browser: Client, store: str) -> None:
    """Also if the view asks for a key at once."""
    late = in_browser_of(browser)
    ask(browser, logging_in)

    response = ask(late, lambda request: getattr(request.session, store)())

    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert cookie_in(response) is None


def test_a_change_sends_no_cookie(browser: Client) -> None:
    """A response that arrives late would bring an old key back."""
    response = ask(browser, setting(cart=["tea", "milk"]))

    assert cookie_in(response) is None
    assert content_of(browser) == {"cart": ["tea", "milk"]}


def test_an_unknown_key_is_not_adopted(browser: Client) -> None:
    """A session that is stored gets a key of its own."""
    browser.cookies["sessionid"] = "planted-by-an-attacker"

    ask(browser, setting(cart=["milk"]))

    assert key_in(browser) != "planted-by-an-attacker"
    assert content_of(browser) == {"cart": ["milk"]}


# Concurrent changes


def test_changes_of_different_keys_are_merged(browser: Client) -> None:
    """Two tabs keep what they stored."""
    other = in_browser_of(browser)

    def slow(request: HttpRequest) -> None:
        request.session["one"] = 1
        ask(other, setting(two=2))

    ask(browser, slow)

    assert content_of(browser) == {"cart": ["tea"], "one": 1, "two": 2}


def test_a_conflict_can_be_an_error() -> None:
    """By the option ``on_conflict``."""
    store = MemorySessionStore()
    with override_settings(SESSIONSTORE_SQL={"store": lambda: store, "on_conflict": "error"}):
        close()
        browser = Client()
        ask(browser, setting(cart=["tea"]))
        other = in_browser_of(browser)

        def slow(request: HttpRequest) -> None:
            request.session["one"] = 1
            ask(other, setting(two=2))

        with pytest.raises(ConflictError):
            ask(browser, slow)

        assert content_of(browser) == {"cart": ["tea"], "two": 2}


@pytest.mark.parametrize(
    "log_out",
    [logout, lambda request: request.session.pop("_auth_user_id"), lambda r: r.session.clear()],
)
def test_a_logout_stays(browser: Client, log_out: Any) -> None:
    """However it is done, and whatever a slower request stores."""
    ask(browser, logging_in)
    other = in_browser_of(browser)

    def slow(request: HttpRequest) -> None:
        request.session["seen"] = 1
        ask(other, log_out)

    ask(browser, slow)

    for each in (browser, other):
        assert user_of(each) == ""


def test_a_logout_stays_if_its_view_fails(browser: Client) -> None:
    """The visitor sees an error, but is logged out."""
    ask(browser, logging_in)
    kept = in_browser_of(browser)

    def log_out(request: HttpRequest) -> HttpResponse:
        logout(request)
        request.session["flash"] = "Goodbye."
        return HttpResponse(status=500)

    assert cookie_in(ask(browser, log_out)) == ""

    assert user_of(kept) == ""


def test_something_can_be_stored_after_a_logout(browser: Client) -> None:
    """In a new session."""
    ask(browser, logging_in)
    before = in_browser_of(browser)

    def log_out(request: HttpRequest) -> None:
        logout(request)
        request.session["flash"] = "Goodbye."

    ask(browser, log_out)

    assert content_of(browser) == {"flash": "Goodbye."}
    assert key_in(browser) != key_in(before)
    assert content_of(before) == {}


# Saving in a view


def test_what_a_view_saves_is_stored_at_once(browser: Client) -> None:
    """And what it changes afterwards is stored with the response."""
    other = in_browser_of(browser)

    def view(request: HttpRequest) -> Any:
        request.session["step"] = 1
        request.session.save()
        seen = content_of(other)
        ask(other, setting(beside=True))
        request.session["step"] = 2
        return seen

    assert ask(browser, view).json() == {"cart": ["tea"], "step": 1}

    assert content_of(browser) == {"cart": ["tea"], "step": 2, "beside": True}


def test_a_view_can_create_a_session_to_have_a_key() -> None:
    """Carts of guests are found by it; nothing else has to be in the session."""
    client = Client()

    def view(request: HttpRequest) -> Any:
        request.session.create()
        return request.session.session_key

    key = ask(client, view).json()

    assert key_in(client) == key
    assert ask(client, lambda request: (dict(request.session.items()), request.session.session_key))
    assert SessionStore().exists(key)


def test_a_session_saved_by_a_view_is_not_revived(browser: Client) -> None:
    """It was logged out after the view had saved it."""
    ask(browser, logging_in)
    other = in_browser_of(browser)

    def view(request: HttpRequest) -> None:
        request.session["step"] = 1
        request.session.save()
        ask(other, logout)
        request.session["step"] = 2

    assert ask(browser, view).status_code == HTTPStatus.BAD_REQUEST

    assert user_of(browser) == ""


@pytest.mark.parametrize("has_session", [True, False])
def test_a_view_can_replace_the_session(browser: Client, has_session: bool) -> None:
    """By another object with the same key, after it was saved; django-allauth does so."""
    client = browser if has_session else Client()

    def view(request: HttpRequest) -> None:
        request.session["step"] = 1
        request.session.save()
        request.session = type(request.session)(request.session.session_key)
        request.session.modified = True

    response = ask(client, view)

    assert (cookie_in(response) is None) == has_session
    assert content_of(client)["step"] == 1


def test_a_view_can_give_the_client_another_session(browser: Client) -> None:
    """One that it found by other means, such as a header."""
    other = Client()
    ask(other, setting(cart=["milk"]))

    def view(request: HttpRequest) -> None:
        request.session = SessionStore(key_in(other))
        request.session["cart"] = ["milk", "tea"]

    assert cookie_in(ask(browser, view)) == key_in(other)

    assert content_of(browser) == {"cart": ["milk", "tea"]}


# The rest of a request


def test_of_two_cookies_the_live_one_counts(browser: Client) -> None:
    """They are for different paths or domains; an expired one is no reason for a new login."""
    header = f"sessionid={'x' * 32}; sessionid={key_in(browser)}"

    for cookies in (header, "; ".join(reversed(header.split("; ")))):
        client = Client(headers={"cookie": cookies})
        assert ask(client, lambda request: request.session.get("cart")).json() == ["tea"]


def test_of_two_live_cookies_none_counts(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    """It is not known whose the request is."""
    other = Client()
    ask(other, setting(cart=["milk"]))
    client = Client(headers={"cookie": f"sessionid={key_in(browser)}; sessionid={key_in(other)}"})

    assert ask(client, lambda request: {"cart": request.session.get("cart")}).json() == {
        "cart": None
    }
    assert "several cookies named sessionid" in caplog.text


def test_the_middleware_can_be_there_twice(browser: Client) -> None:
    """The inner one passes the request on."""
    from django.conf import settings

    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, MIDDLEWARE]):
        client = in_browser_of(browser)
        response = ask(client, logging_in)
        assert len(response.cookies) == 1
        assert user_of(client) == "ada"


def test_a_session_is_closed_when_the_response_starts(browser: Client) -> None:
    """A change in the body of a streaming response would be lost silently."""
    faults: list[Exception] = []

    def view(request: HttpRequest) -> StreamingHttpResponse:
        def body() -> Any:
            yield str(request.session["cart"])
            try:
                request.session["late"] = True
            except SessionClosedError as error:
                faults.append(error)
                yield "!"

        return StreamingHttpResponse(body())

    response = ask(browser, view)

    assert b"".join(response.streaming_content) == b"['tea']!"
    assert len(faults) == 1


def test_copies_are_plain_dicts(browser: Client) -> None:
    """Background tasks get them."""
    copies: list[Any] = []

    def view(request: HttpRequest) -> None:
        session = request.session
        copies.extend((copy.copy(session), copy.deepcopy(session)))
        copies.append(pickle.loads(pickle.dumps(session)))  # noqa: S301  # made here

    ask(browser, view)

    assert [(type(each), each) for each in copies] == [(dict, {"cart": ["tea"]})] * 3


def test_tuples_become_lists(browser: Client) -> None:
    """Packages of Django's ecosystem store them."""
    ask(browser, setting(state=("a", {"b": (1, 2)})))

    assert content_of(browser)["state"] == ["a", {"b": [1, 2]}]


def test_a_large_session_is_rejected(browser: Client) -> None:
    """The limit is 64 KiB."""
    browser.raise_request_exception = True

    with pytest.raises(SerializationError, match="max_state_bytes"):
        ask(browser, setting(blob="x" * 2**16))

    assert content_of(browser) == {"cart": ["tea"]}


def test_shared_caches_keep_no_session(browser: Client) -> None:
    """A response that depends on a session is for its visitor only."""
    used, untouched = ask(browser, lambda r: r.session.get("cart")), ask(browser, lambda _: None)

    assert used["Cache-Control"] == "private, no-cache"
    assert used["Vary"] == "Cookie"
    assert "Cache-Control" not in untouched


@override_settings(SESSION_COOKIE_SECURE=True)
def test_a_secure_cookie_on_plain_http_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Browsers ignore it silently. It is logged once a minute."""
    monkeypatch.setattr(middleware._plain_http, "_silent_until", 0.0)
    ask(Client(), setting(cart=1), secure=True)
    assert "Secure cookie" not in caplog.text

    ask(Client(), setting(cart=1))

    assert "SESSION_COOKIE_SECURE = False" in caplog.text


# Lifetimes


def max_age_in(response: HttpResponse) -> int | None:
    """Return the age of the cookie in a response; ``None`` if it ends with the browser."""
    age = response.cookies["sessionid"]["max-age"]
    return None if age == "" else int(age)


def test_a_shorter_age_reaches_live_sessions(browser: Client) -> None:
    """At the next request that uses them."""
    with override_settings(SESSION_COOKIE_AGE=60):
        assert max_age_in(ask(browser, lambda request: request.session.get("cart"))) == 60
        assert cookie_in(ask(browser, lambda request: request.session.get("cart"))) is None


def test_an_age_of_its_own_stays_with_a_session(browser: Client) -> None:
    """Also if another request changes the session, or the user logs in."""
    assert max_age_in(ask(browser, lambda request: request.session.set_expiry(300))) == 300

    assert cookie_in(ask(browser, setting(cart=[]))) is None
    assert max_age_in(ask(browser, logging_in)) == 300


def test_a_session_can_end_with_the_browser(browser: Client) -> None:
    """``set_expiry(0)`` replaces a cookie that outlives it, once."""
    assert max_age_in(ask(browser, lambda request: request.session.set_expiry(0))) is None

    assert cookie_in(ask(browser, setting(cart=[]))) is None


def test_a_fixed_end_is_not_renewed(browser: Client) -> None:
    """No later request sends a cookie again."""
    end = timedelta(hours=1)
    age = max_age_in(ask(browser, lambda request: request.session.set_expiry(end)))
    assert age is not None
    assert 3_500 < age <= 3_600

    assert cookie_in(ask(browser, lambda request: request.session.get("cart"))) is None
    assert cookie_in(ask(browser, setting(cart=[]))) is None
    later = max_age_in(ask(browser, logging_in))
    assert later is not None
    assert later <= 3_600


@override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True)
def test_a_session_can_outlive_the_browser_by_choice() -> None:
    """The visitor ticked "remember me", where other sessions end with the browser."""
    client = Client()
    assert max_age_in(ask(client, setting(cart=1))) is None

    assert max_age_in(ask(client, lambda request: request.session.set_expiry(300))) == 300
