"""The example on Flask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from flask_app import create_app

from sessionstore_sql.flask import SQLSessionInterface
from sessionstore_sql.testing import MemorySessionStore


@pytest.fixture
def browsers() -> Iterator[tuple[FlaskClient, FlaskClient]]:
    """A phone and a laptop."""
    sessions = SQLSessionInterface(MemorySessionStore(), subject_of=lambda state: state.get("user"))
    app = create_app(sessions)
    yield app.test_client(), app.test_client()
    sessions.close()


def test_a_user_sees_and_ends_sessions(browsers: tuple[FlaskClient, FlaskClient]) -> None:
    """From another device."""
    phone, laptop = browsers
    phone.post("/buy")
    for each in browsers:
        assert each.post("/login", data={"user": "ada", "remember": "on"}).text == "Welcome.\n"
    assert phone.get("/").text == "ada: ['tea']\n"

    listed = laptop.get("/devices").json
    assert listed is not None
    (other,) = [each["handle"] for each in listed if not each["this"]]
    assert laptop.post(f"/devices/{other}/end").text == "Ended.\n"

    assert phone.get("/").text == "guest: []\n"
    assert laptop.post("/password").text == "Changed. 0 other sessions have ended.\n"
    laptop.post("/logout")
    assert laptop.get("/").text == "guest: []\n"
