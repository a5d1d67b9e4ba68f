"""Quart applications whose views are written by the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from quart import Quart, jsonify, session
from quart.typing import TestClientProtocol as Client
from sqlalchemy import URL

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.quart import SQLSessionInterface
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.stores import empty
from tests.web.knowing_users import KNOWING_USERS, url_for

View = Callable[[], Awaitable[Any]]


class Site:
    """An application, and browsers that visit it."""

    def __init__(self, store: Any, clock: ManualClock, **options: Any) -> None:
        options = {"subject_of": lambda state: state.get("user")} | options
        self.clock = clock
        self.app = Quart(__name__)
        self.app.config.update(SESSION_COOKIE_SECURE=True, PROPAGATE_EXCEPTIONS=False)
        self.interface = SQLSessionInterface(store, **options)
        self.interface.init_app(self.app)
        self._views: list[View] = []
        self.app.add_url_rule("/", view_func=self._run)

    def browser(self) -> Client:
        """Return a new browser."""
        return self.app.test_client()

    async def ask(self, client: Client, view: View, **options: Any) -> Any:
        """Send a request that a view answers; what is not a response becomes JSON."""
        self._views.append(view)
        return await client.get("/", scheme="https", **options)

    async def content(self, client: Client) -> dict[str, Any]:
        """Return what the next request finds in the session."""

        async def view() -> Any:
            return dict(session)

        return await (await self.ask(client, view)).get_json()  # type: ignore[no-any-return]

    def in_browser_of(self, client: Client) -> Client:
        """Return another client with the same cookie: a request beside others."""
        other = self.browser()
        if self.key(client):
            other.set_cookie("localhost", "session", self.key(client), secure=True)
        return other

    def key(self, client: Client) -> str:
        """Return the id in the cookies of a client."""
        found = [each.value for each in client.cookie_jar or () if each.name == "session"]
        return (found or [""])[0] or ""

    async def _run(self) -> Any:
        result = await self._views.pop()()
        if result is None:
            return ""
        is_response = isinstance(result, tuple) or hasattr(result, "headers")
        return result if is_response else jsonify(result)


@pytest.fixture(params=KNOWING_USERS, ids=str)
def known_url(request: pytest.FixtureRequest) -> URL | None:
    """Each store that knows users. Not async: to create a database, an event loop is started."""
    return url_for(request)


@pytest.fixture
async def site(known_url: URL | None) -> AsyncIterator[Site]:
    """A site with a store that knows users."""
    clock = ManualClock()
    options = {"websocket_recheck": timedelta(milliseconds=20)}
    if known_url is None:
        yield Site(MemorySessionStore(clock=clock), clock, **options)
        return
    async with SQLSessionStore(known_url) as store:
        await empty(store)
        yield Site(store, clock, **options)


def setting(**values: Any) -> View:
    """Return a view that sets values."""

    async def view() -> None:
        session.update(values)

    return view
