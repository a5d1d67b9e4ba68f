"""Requests of one visitor in any order, on Flask."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from flask import Response, session, stream_with_context
from flask.testing import FlaskClient

from sessionstore_sql import SerializationError
from sessionstore_sql.flask import invalidate, rotate, set_max_age
from sessionstore_sql.web.errors import SessionClosedError
from tests.flask.conftest import Site, setting


@pytest.fixture
def browser(site: Site) -> FlaskClient:
    """A browser with a cart."""
    client = site.browser()
    site.ask(client, setting(cart=["tea"]))
    return client


def logging_in() -> None:
    """Log the one user in."""
    session["user"] = "ada"


def cookie_in(response: Any) -> str | None:
    """Return the ``Set-Cookie`` of a response; ``None`` if there is none."""
    header: str | None = response.headers.get("Set-Cookie")
    return header


def test_a_login_changes_the_id(site: Site, browser: FlaskClient) -> None:
    """Without any call: the user in the session is noticed."""
    before = site.key(browser)

    site.ask(browser, logging_in)

    assert site.key(browser) != before
    assert site.content(browser) == {"cart": ["tea"], "user": "ada"}
    old = site.browser()
    old.set_cookie("session", before, domain="shop.example", secure=True)
    assert site.content(old) == {}


def test_both_clicks_of_a_double_click_log_in(site: Site, browser: FlaskClient) -> None:
    """Whichever response the browser reads."""
    second = site.in_browser_of(browser)

    def first_click() -> None:
        assert session["cart"] == ["tea"]
        site.ask(second, logging_in)
        logging_in()

    site.ask(browser, first_click)

    for each in (browser, second):
        assert site.content(each) == {"cart": ["tea"], "user": "ada"}


def test_a_request_with_a_rotated_id_starts_nothing(site: Site, browser: FlaskClient) -> None:
    """Its cookie would replace the new one."""
    late = site.in_browser_of(browser)
    site.ask(browser, rotate)

    assert cookie_in(site.ask(late, setting(late=True))) is None

    assert site.content(browser) == {"cart": ["tea"]}


def test_a_change_sends_no_cookie(site: Site, browser: FlaskClient) -> None:
    """A response that arrives late would bring an old id back."""
    assert cookie_in(site.ask(browser, setting(cart=[]))) is None


def test_a_visitor_who_only_looks_has_no_session(site: Site) -> None:
    """Also if the application makes every session permanent."""
    assert cookie_in(site.ask(site.browser(), lambda: session.get("cart"))) is None
    assert cookie_in(site.ask(site.browser(), lambda: setattr(session, "permanent", True))) is None


def test_changes_inside_of_values_are_stored(site: Site, browser: FlaskClient) -> None:
    """``session.modified`` need not be set."""
    site.ask(browser, lambda: session["cart"].append("milk"))

    assert site.content(browser) == {"cart": ["tea", "milk"]}


def test_changes_of_different_keys_are_merged(site: Site, browser: FlaskClient) -> None:
    """Two tabs keep what they stored."""
    other = site.in_browser_of(browser)

    def slow() -> None:
        session["one"] = 1
        site.ask(other, setting(two=2))

    site.ask(browser, slow)

    assert site.content(browser) == {"cart": ["tea"], "one": 1, "two": 2}


@pytest.mark.parametrize(
    "log_out",
    [invalidate, lambda: session.pop("user"), lambda: session.clear()],  # noqa: PLW0108  # a proxy
)
def test_a_logout_stays(site: Site, browser: FlaskClient, log_out: Any) -> None:
    """Whatever a slower request stores."""
    site.ask(browser, logging_in)
    other = site.in_browser_of(browser)

    def slow() -> None:
        session["seen"] = 1
        site.ask(other, log_out)

    site.ask(browser, slow)

    for each in (browser, other):
        assert "user" not in site.content(each)


def test_a_login_that_cannot_be_stored_changes_nothing(site: Site, browser: FlaskClient) -> None:
    """The old id stays valid."""

    def log_in() -> None:
        logging_in()
        session["id"] = object()

    response = site.ask(browser, log_in)

    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert cookie_in(response) is None
    assert site.content(browser) == {"cart": ["tea"]}


def test_a_failing_view_stores_nothing(site: Site) -> None:
    """Nor does the page that reports the error; it is told so."""
    faults: list[Exception] = []

    @site.app.errorhandler(500)
    def report(_error: Exception) -> tuple[str, int]:
        try:
            session["reported"] = True
        except SessionClosedError as error:
            faults.append(error)
        return "", 500

    browser = site.browser()
    site.ask(browser, setting(cart=["tea"]))

    def fail() -> None:
        session["cart"] = []
        raise ZeroDivisionError

    site.ask(browser, fail)

    assert len(faults) == 1
    assert site.content(browser) == {"cart": ["tea"]}


def test_a_session_is_closed_when_the_response_starts(site: Site, browser: FlaskClient) -> None:
    """A change in a streaming response would be lost silently."""

    def view() -> Response:
        def body() -> Any:
            yield str(session["cart"])
            try:
                session["late"] = True
            except SessionClosedError:
                yield "!"

        return Response(stream_with_context(body()))

    assert site.ask(browser, view).text == "['tea']!"


def test_of_two_cookies_the_live_one_counts(site: Site, browser: FlaskClient) -> None:
    """They are for different paths or domains."""
    other = site.browser()
    site.ask(other, setting(cart=["milk"]))
    ids = [site.key(browser), "x" * 43, site.key(other)]

    def cart(*cookies: str) -> Any:
        header = "; ".join(f"session={each}" for each in cookies)
        view = lambda: {"cart": session.get("cart")}  # noqa: E731
        client = site.app.test_client(use_cookies=False)
        return site.ask(client, view, headers={"Cookie": header}).json["cart"]

    assert cart(ids[0], ids[1]) == cart(ids[1], ids[0]) == ["tea"]
    assert cart(ids[0], ids[2]) is None


def test_an_unknown_id_is_not_adopted(site: Site) -> None:
    """A session that is stored gets an id of its own."""
    client = site.browser()
    client.set_cookie("session", "planted", domain="shop.example", secure=True)

    site.ask(client, setting(cart=1))

    assert site.key(client) != "planted"
    assert site.content(client) == {"cart": 1}


def test_copies_are_plain_dicts(site: Site, browser: FlaskClient) -> None:
    """Background tasks get them."""
    copies: list[Any] = []

    def view() -> None:
        this = session._get_current_object()  # type: ignore[attr-defined]
        copies.extend((copy.copy(this), copy.deepcopy(this)))
        copies.append(pickle.loads(pickle.dumps(this)))  # noqa: S301  # made here

    site.ask(browser, view)

    assert [(type(each), each) for each in copies] == [(dict, {"cart": ["tea"]})] * 3


def test_a_large_session_is_rejected(site: Site, browser: FlaskClient) -> None:
    """The limit is 64 KiB."""
    site.app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(SerializationError, match="max_state_bytes"):
        site.ask(browser, setting(blob="x" * 2**16))


def test_shared_caches_keep_no_session(site: Site, browser: FlaskClient) -> None:
    """A response that depends on a session is for its visitor only."""
    used, untouched = site.ask(browser, lambda: session.get("cart")), site.ask(browser, lambda: "")

    assert used.headers["Cache-Control"] == "private, no-cache"
    assert used.headers["Vary"] == "Cookie"
    assert "Cache-Control" not in untouched.headers


def test_a_secure_cookie_on_plain_http_is_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Browsers ignore it silently."""
    site.ask(site.browser(), setting(cart=1))
    assert "Secure cookie" not in caplog.text

    site.ask(site.browser(), setting(cart=1), base_url="http://shop.example")

    assert "SESSION_COOKIE_SECURE=False" in caplog.text


# Lifetimes


def test_a_session_ends_with_the_browser_unless_it_is_permanent(site: Site) -> None:
    """The cookie is sent when that changes."""
    client = site.browser()
    assert "Max-Age" not in (cookie_in(site.ask(client, setting(cart=1))) or "")

    permanent = cookie_in(site.ask(client, lambda: setattr(session, "permanent", True))) or ""
    assert f"Max-Age={31 * 24 * 60 * 60}" in permanent
    assert cookie_in(site.ask(client, setting(cart=2))) is None

    temporary = cookie_in(site.ask(client, lambda: setattr(session, "permanent", False))) or ""
    assert temporary.startswith("session=")
    assert "Max-Age" not in temporary


def test_a_shorter_lifetime_reaches_live_sessions(site: Site) -> None:
    """At the next request."""
    client = site.browser()
    site.ask(client, lambda: session.update(_permanent=True, cart=1))

    site.app.permanent_session_lifetime = timedelta(seconds=60)

    assert "Max-Age=60" in (cookie_in(site.ask(client, lambda: "")) or "")
    assert cookie_in(site.ask(client, lambda: "")) is None


@pytest.mark.parametrize("site", ["memory"], indirect=True)
@pytest.mark.parametrize("refreshes", [True, False])
def test_a_permanent_session_is_renewed(site: Site, refreshes: bool) -> None:
    """By each request when little time remains, or only by those that change it."""
    site.app.config["SESSION_REFRESH_EACH_REQUEST"] = refreshes
    site.app.permanent_session_lifetime = timedelta(days=10)
    client = site.browser()
    site.ask(client, lambda: session.update(_permanent=True, cart=1))
    site.clock.advance(timedelta(days=5))

    assert (cookie_in(site.ask(client, lambda: "")) is not None) == refreshes
    assert (cookie_in(site.ask(client, setting(cart=2))) is None) == refreshes


def test_a_session_can_be_remembered(site: Site, browser: FlaskClient) -> None:
    """An idle time of its own stays with it."""
    view = lambda: set_max_age(timedelta(days=90))  # noqa: E731

    assert f"Max-Age={90 * 24 * 60 * 60}" in (cookie_in(site.ask(browser, view)) or "")
    assert f"Max-Age={90 * 24 * 60 * 60}" in (cookie_in(site.ask(browser, rotate)) or "")


def test_the_warning_about_several_cookies_names_them(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """As the configuration does."""
    site.app.config["SESSION_COOKIE_NAME"] = "sid"
    client = site.app.test_client(use_cookies=False)

    site.ask(
        client, lambda: session.get("cart"), headers={"Cookie": f"sid={'a' * 43}; sid={'b' * 43}"}
    )

    assert "several cookies named sid" in caplog.text


def test_a_change_inside_of_a_value_in_a_stream_is_logged(
    site: Site, browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not stored, and no method of the session could raise."""

    def view() -> Response:
        cart = session["cart"]

        def chunks() -> Any:
            yield "first"
            cart.append("coffee")

        return Response(chunks())

    with site.ask(browser, view) as response:
        assert response.data == b"first"
    assert site.content(browser) == {"cart": ["tea"]}
    assert "the change is lost" in caplog.text


def test_a_stream_that_changes_nothing_logs_nothing(
    site: Site, browser: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """What was changed before it started is stored."""

    def view() -> Response:
        session["cart"].append("coffee")
        return Response(iter(["first"]))

    with site.ask(browser, view) as response:
        assert response.data == b"first"
    assert site.content(browser) == {"cart": ["tea", "coffee"]}
    assert caplog.text == ""
