"""Flask applications whose views are written by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, jsonify, session
from flask.testing import FlaskClient

from sessionstore_sql.flask import SQLSessionInterface
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.stores import empty
from tests.web.knowing_users import KNOWING_USERS, url_for


class Site:
    """An application, and browsers that visit it."""

    def __init__(self, store: Any, clock: ManualClock, **options: Any) -> None:
        options = {"subject_of": lambda state: state.get("user")} | options
        self.clock = clock
        self.app = Flask(__name__)
        self.app.config.update(SESSION_COOKIE_SECURE=True, PROPAGATE_EXCEPTIONS=False)
        self.interface = SQLSessionInterface(store, **options)
        self.interface.init_app(self.app)
        self._views: list[Callable[[], Any]] = []
        self.app.add_url_rule("/", view_func=self._run)

    def browser(self) -> FlaskClient:
        """Return a new browser."""
        return self.app.test_client()

    def ask(self, client: FlaskClient, view: Callable[[], Any], **options: Any) -> Any:
        """Send a request that a view answers; what is not a response becomes JSON."""
        self._views.append(view)
        return client.get("/", **{"base_url": "https://shop.example"} | options)

    def content(self, client: FlaskClient) -> dict[str, Any]:
        """Return what the next request finds in the session."""
        found: dict[str, Any] = self.ask(client, lambda: dict(session)).json
        return found

    def in_browser_of(self, client: FlaskClient) -> FlaskClient:
        """Return another client with the same cookie: a request beside others."""
        other = self.browser()
        if self.key(client):
            other.set_cookie("session", self.key(client), domain="shop.example", secure=True)
        return other

    def key(self, client: FlaskClient) -> str:
        """Return the id in the cookies of a client."""
        cookie = client.get_cookie("session", domain="shop.example")
        return "" if cookie is None else cookie.value

    def _run(self) -> Any:
        result = self._views.pop()()
        if result is None:
            return ""
        return (
            result if isinstance(result, tuple) or hasattr(result, "headers") else jsonify(result)
        )


@pytest.fixture(params=KNOWING_USERS, ids=str)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site with a store that knows users."""
    clock = ManualClock()
    url = url_for(request)
    site = Site(MemorySessionStore(clock=clock) if url is None else url, clock)
    if url is not None:
        site.interface._background.run(_empty)
    yield site
    site.interface.close()


async def _empty(opened: Any) -> None:
    await empty(opened._store)


def setting(**values: Any) -> Callable[[], None]:
    """Return a view that sets values."""
    return lambda: session.update(values)
