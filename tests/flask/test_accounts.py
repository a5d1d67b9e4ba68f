"""Functions for users, on Flask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient

from sessionstore_sql.flask import (
    SQLSessionInterface,
    current_handle,
    fresh_required,
    invalidate,
    reload,
    require_fresh,
    revoke,
    sessions_of,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.testing import MemorySessionStore
from tests.flask.conftest import Site, setting

HOUR = timedelta(hours=1)


def logged_in(site: Site, user: str = "ada") -> FlaskClient:
    """Return a browser whose visitor has logged in."""
    client = site.browser()
    site.ask(client, setting(user=user))
    return client


def handle_of(site: Site, client: FlaskClient) -> str:
    """Return the handle of the session of a browser."""

    def view() -> Any:
        handle = current_handle()
        return {"handle": None if handle is None else handle.value}

    handle: str = site.ask(client, view).json["handle"]
    return handle


def handles_of(site: Site, client: FlaskClient) -> list[str]:
    """Return the handles in the list of the user's sessions."""
    handles: list[str] = site.ask(
        client, lambda: {"all": [each.handle.value for each in sessions_of()]}
    ).json["all"]
    return handles


def test_logins_are_listed(site: Site) -> None:
    """Those of the same user."""
    phone, laptop, bobs = logged_in(site), logged_in(site), logged_in(site, "bob")

    found = handles_of(site, phone)

    assert sorted(found) == sorted([handle_of(site, phone), handle_of(site, laptop)])
    assert handles_of(site, bobs) == [handle_of(site, bobs)]
    assert handles_of(site, site.browser()) == []


def test_a_login_can_say_more(site: Site) -> None:
    """What the list shows about the device."""
    client = site.browser()

    def view() -> None:
        sign_in("ada", about={"device": "phone"}, lifetime=60, max_sessions=1)
        session["user"] = "ada"

    site.ask(client, view)

    found = site.ask(client, lambda: {"all": [each.about for each in sessions_of()]}).json
    assert found == {"all": [{"device": "phone"}]}


def test_a_session_can_be_ended_elsewhere(site: Site) -> None:
    """The other browser is logged out, this one is not."""
    phone, laptop = logged_in(site), logged_in(site)
    handle = handle_of(site, phone)

    assert site.ask(laptop, lambda: {"ended": revoke(handle)}).json == {"ended": True}

    assert site.content(phone) == {}
    assert site.content(laptop) == {"user": "ada"}


@pytest.mark.parametrize(
    "end",
    [
        lambda: revoke(current_handle() or ""),
        lambda: sign_out_everywhere(keep_this=False),
        invalidate,
    ],
)
def test_a_session_can_end_itself(site: Site, end: Callable[[], object]) -> None:
    """The response removes the cookie."""
    client = logged_in(site)
    kept = site.in_browser_of(client)

    site.ask(client, lambda: {"done": bool(end())})

    assert site.key(client) == ""
    assert site.content(kept) == {}


def test_signing_out_everywhere_keeps_this_session(site: Site) -> None:
    """All others are ended."""
    browsers = [logged_in(site) for _ in range(3)]

    ended = site.ask(browsers[0], lambda: {"ended": sign_out_everywhere()})

    assert ended.json == {"ended": 2}
    assert [site.content(each) for each in browsers] == [{"user": "ada"}, {}, {}]


@fresh_required(HOUR)
def delete_account() -> None:
    """Do what only the user may do."""


def test_a_fresh_login_is_required(site: Site) -> None:
    """The response says whether another login helps."""
    client = site.browser()
    response = site.ask(client, delete_account)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert response.json["reason"] == "not_authenticated"
    assert response.headers["WWW-Authenticate"] == "Cookie"
    client = logged_in(site)
    assert site.ask(client, delete_account).status_code == HTTPStatus.OK


@pytest.mark.parametrize("site", ["memory"], indirect=True)
def test_an_old_login_is_not_fresh(site: Site) -> None:
    """Signing in again helps."""
    client = logged_in(site)
    site.clock.advance(2 * HOUR)

    response = site.ask(client, delete_account)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert response.json["reason"] == "reauthentication_required"
    assert response.json["within_seconds"] == 3600

    site.ask(client, lambda: sign_in("ada"))
    assert site.ask(client, delete_account).status_code == HTTPStatus.OK


def test_a_session_can_be_loaded_again(site: Site) -> None:
    """For responses that go on for long."""
    client = logged_in(site)
    other = site.in_browser_of(client)

    def view() -> Any:
        site.ask(other, setting(cart=1))
        return {"live": reload(), "cart": session.get("cart")}

    assert site.ask(client, view).json == {"live": True, "cart": 1}


def test_changes_are_not_lost_by_loading_again(site: Site) -> None:
    """It is an error to have some."""
    faults: list[Exception] = []

    def view() -> None:
        session["cart"] = 1
        try:
            reload()
        except RuntimeError as error:
            faults.append(error)

    site.ask(logged_in(site), view)

    assert "not stored yet" in str(faults)


def test_a_function_needs_these_sessions() -> None:
    """The message says what is missing."""
    app = Flask(__name__)
    app.secret_key = "not a secret here"

    with app.test_request_context(), pytest.raises(RuntimeError, match="SQLSessionInterface"):
        require_fresh(within=HOUR)


def test_the_interface_of_flask_session_is_there(site: Site) -> None:
    """``regenerate`` is its function against session fixation."""
    client = logged_in(site)
    before = site.key(client)

    site.ask(client, lambda: site.interface.regenerate(session))

    assert site.key(client) != before
    assert site.content(client) == {"user": "ada"}


@pytest.mark.parametrize(
    ("store", "options"),
    [
        (5, {}),
        (MemorySessionStore, {"renewal_threshold": 2}),
        (MemorySessionStore, {"on_conflict": "shrug"}),
        (MemorySessionStore, {"lifetime": 0}),
        (MemorySessionStore, {"max_state_bytes": 0}),
        (MemorySessionStore, {"exclude": "static"}),
        ("oracle://host/db", {}),
    ],
)
def test_wrong_options_are_errors_at_once(store: Any, options: dict[str, Any]) -> None:
    """Not with the first request."""
    with pytest.raises((TypeError, ValueError)):
        SQLSessionInterface(store, **options)
