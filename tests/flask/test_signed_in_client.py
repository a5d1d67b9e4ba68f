"""Flask's test client, signed in without a login page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, jsonify, session

from sessionstore_sql.flask import BearerToken, SQLSessionInterface, sessions_of
from sessionstore_sql.testing import ManualClock, MemorySessionStore, signed_in_client

STATE = {"user": "ada"}


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock) -> Iterator[Flask]:
    """An application that finds its user in the session."""
    app = Flask(__name__)
    app.config.update(SESSION_COOKIE_SECURE=True)
    interface = SQLSessionInterface(
        MemorySessionStore(clock=clock), subject_of=lambda state: state.get("user")
    )
    interface.init_app(app)

    @app.get("/")
    def show() -> Any:
        return jsonify(state=dict(session), devices=[each.about for each in sessions_of()])

    yield app
    interface.close()


def test_a_user_is_signed_in(app: Flask) -> None:
    """The application finds the user, and the session among the user's devices."""
    client = signed_in_client(app.test_client(), "ada", state=STATE, about={"device": "phone"})

    found = client.get("/").json

    assert found == {"state": STATE, "devices": [{"device": "phone"}]}


def test_an_earlier_session_is_left_behind(app: Flask) -> None:
    """Its content is not the user's."""
    client = app.test_client()
    with client.session_transaction() as before:
        before["cart"] = ["tea"]

    signed_in_client(client, "ada", state=STATE)

    found = client.get("/").json
    assert found is not None
    assert found["state"] == STATE


def test_an_idle_time_of_its_own(app: Flask, clock: ManualClock) -> None:
    """As after "remember me", the session outlives the application's idle time."""
    client = signed_in_client(app.test_client(), "ada", state=STATE, max_age=timedelta(days=90))

    clock.advance(timedelta(days=60))

    found = client.get("/").json
    assert found is not None
    assert found["state"] == STATE


def test_a_state_without_the_user(app: Flask) -> None:
    """``subject_of`` has to find the user, as after a login."""
    with pytest.raises(ValueError, match="subject_of"):
        signed_in_client(app.test_client(), "ada", state={"cart": []})


def test_an_application_with_other_sessions() -> None:
    """The error says what is missing."""
    app = Flask(__name__)
    app.secret_key = "not used"

    with pytest.raises(TypeError, match="SQLSessionInterface"):
        signed_in_client(app.test_client(), "ada", state=STATE)


def test_the_client_knows_its_application(app: Flask) -> None:
    """Options without an effect are errors."""
    with pytest.raises(TypeError, match="not for the client of Flask"):
        signed_in_client(app.test_client(), "ada", state=STATE, app=app)


def test_a_bearer_token() -> None:
    """The client sends it in a header, and no cookie."""
    app = Flask(__name__)
    interface = SQLSessionInterface(MemorySessionStore(), bearer=BearerToken())
    interface.init_app(app)
    app.add_url_rule("/", view_func=lambda: jsonify(dict(session)))

    client = signed_in_client(app.test_client(), "ada", state=STATE)

    response = client.get("/")
    assert (response.json, response.request.cookies) == (STATE, {})
    interface.close()
