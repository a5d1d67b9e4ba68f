"""What Flask and Flask-Session promise about sessions, as far as it concerns a server's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, flash, get_flashed_messages, session
from markupsafe import Markup
from sqlalchemy import URL

from sessionstore_sql import DatabaseError, LoadSessionError, SQLSessionStore
from sessionstore_sql.errors import for_operation
from sessionstore_sql.flask import SQLSessionInterface
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.flask.conftest import Site, setting

ROOT = Path(__file__).parents[2]

SPECIAL = {
    "tuple": (1, (2, "three")),
    "bytes": b"\xff\x00",
    "markup": Markup("<b>Hello</b>"),
    "uuid": UUID("6c2b7f1e-8a2d-4b0f-9d4e-0d6b6c1f2a3b"),
    "datetime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "list": [1, (2,), {"a": b"b"}],
    "dict": {" t": "not a tuple", "b": {"c": (1,)}},
    "false": False,
}


@pytest.mark.parametrize("key", SPECIAL)
def test_values_of_flasks_types_come_back(site: Site, key: str) -> None:
    """As with its own sessions."""
    client = site.browser()
    site.ask(client, setting(value=SPECIAL[key]))
    seen: list[Any] = []

    site.ask(client, lambda: seen.append(session["value"]))

    assert repr(seen) == repr([SPECIAL[key]])


def test_flashed_messages_are_shown_once(site: Site) -> None:
    """With their categories."""
    client = site.browser()
    site.ask(client, lambda: flash(Markup("<b>Saved</b>"), "info"))
    seen: list[Any] = []

    for _ in range(2):
        site.ask(client, lambda: seen.append(get_flashed_messages(with_categories=True)))

    assert seen == [[("info", Markup("<b>Saved</b>"))], []]


def test_the_test_client_can_change_a_session(site: Site) -> None:
    """``session_transaction`` works as with Flask's own sessions."""
    client = site.browser()
    with client.session_transaction(base_url="https://shop.example") as stored:
        stored["cart"] = 1

    assert site.content(client) == {"cart": 1}
    with client.session_transaction(base_url="https://shop.example") as stored:
        assert stored["cart"] == 1
        assert not stored.new
        assert not stored.modified


def test_a_cookie_has_the_configured_attributes(site: Site) -> None:
    """When it is set and when it is removed."""
    site.app.config.update(
        SESSION_COOKIE_NAME="id",
        SESSION_COOKIE_DOMAIN="shop.example",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PARTITIONED=True,
    )
    client = site.browser()

    made = site.ask(client, setting(cart=1)).headers["Set-Cookie"]
    removed = site.ask(client, lambda: session.clear()).headers["Set-Cookie"]  # noqa: PLW0108

    for header in (made, removed):
        attributes = set(header.split("; ")[1:])
        assert {"Domain=shop.example", "Path=/", "Secure", "SameSite=Strict", "Partitioned"} <= (
            attributes
        )
        assert "HttpOnly" not in attributes
    assert removed.startswith("id=;")


def test_no_secret_key_is_needed(site: Site) -> None:
    """The cookie holds a random id, and nothing that has to be signed."""
    assert site.app.secret_key is None
    client = site.browser()

    site.ask(client, setting(cart=1))

    assert len(site.key(client)) == 43


def test_paths_can_be_excluded() -> None:
    """Their requests have no session, and say so."""
    interface = SQLSessionInterface(MemorySessionStore(), exclude="/health")
    app = Flask(__name__)
    interface.init_app(app)
    faults: list[Exception] = []

    @app.get("/health")
    def health() -> str:
        try:
            session["a"] = 1
        except RuntimeError as error:
            faults.append(error)
        return str(session.get("a"))

    assert app.test_client().get("/health").text == "None"
    assert "exclude" in str(faults)
    interface.close()


class Unreachable(MemorySessionStore):
    """A store whose database cannot be reached."""

    transient = True

    async def load_session(self, session_id: Any) -> Any:
        """Fail."""
        raise for_operation(LoadSessionError, DatabaseError("gone", transient=self.transient))

    async def create(self, session_id: Any, record: Any) -> None:
        """Fail."""
        raise for_operation(LoadSessionError, DatabaseError("gone", transient=self.transient))


class Broken(Unreachable):
    """A store whose table is missing."""

    transient = False


@pytest.fixture(params=[Unreachable, Broken])
def failing(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site whose database fails."""
    site = Site(request.param(), ManualClock())
    yield site
    site.interface.close()


def test_only_requests_that_use_their_session_fail(failing: Site) -> None:
    """With 503 if trying again may help. The cookie stays."""
    store_is_broken = failing.interface._setup.store.__class__ is Broken
    expected = (
        HTTPStatus.INTERNAL_SERVER_ERROR if store_is_broken else HTTPStatus.SERVICE_UNAVAILABLE
    )
    client = failing.browser()
    client.set_cookie("session", "x" * 43, domain="shop.example", secure=True)

    untouched = failing.ask(client, lambda: "")
    loading = failing.ask(client, lambda: session.get("cart"))
    storing = failing.ask(failing.browser(), setting(cart=1))

    assert untouched.status_code == HTTPStatus.OK
    assert loading.status_code == storing.status_code == expected
    for each in (untouched, loading, storing):
        assert "Set-Cookie" not in each.headers
    if not store_is_broken:
        assert loading.headers["Retry-After"] == storing.headers["Retry-After"] == "5"


def test_a_store_of_the_application_is_rejected() -> None:
    """It would be used in two event loops, and by the children of a process."""
    with pytest.raises(TypeError, match="thread of its own"):
        SQLSessionInterface(SQLSessionStore("sqlite://"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_has_a_store_of_its_own(url: URL) -> None:
    """A server can load the application before it forks, and after a request as well."""
    script = f"""
import os
from flask import Flask, session
from sessionstore_sql.flask import SQLSessionInterface
app = Flask("app")
SQLSessionInterface({url.render_as_string(hide_password=False)!r}).init_app(app)
@app.get("/")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])
client = app.test_client()
def visit():
    return client.get("/").text
visit()
child = os.fork()
if child == 0:
    os._exit(0 if visit() == "2" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), visit())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout == "0 3\n", done.stderr
