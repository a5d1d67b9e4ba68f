"""Signs a user in for clients of ASGI applications."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any
from urllib.request import Request

from sessionstore_sql.testing.clients.applications import setup_of
from sessionstore_sql.testing.clients.login import Login, require_user
from sessionstore_sql.web.presented import Presented
from sessionstore_sql.web.storage import AccountStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.web.setup import SessionSetup


async def _stored(setup: SessionSetup, login: Login) -> list[tuple[str, str]]:
    """Store the session of a login, and return the headers that tell its id."""
    session = await setup.sessions.begin(Presented())
    session.require_loaded()
    if isinstance(setup.sessions.storage, AccountStorage):
        login.ask(session)
    require_user(setup.sessions.options, login.state)
    outcome = await session.finish(dict(login.state))
    return setup.transport.headers_after(outcome)


class _Response:
    """A response, as ``http.cookiejar`` reads it."""

    def __init__(self, cookies: list[str]) -> None:
        self._message = Message()
        for each in cookies:
            self._message["Set-Cookie"] = each

    def info(self) -> Message:
        """Return the headers."""
        return self._message


def sign_in(client: Any, login: Login, app: object) -> Any:
    """Sign a user in for a client without ``async``, and return the client."""
    setup = _checked_setup(client, app)
    headers = _result_of(client, lambda: _stored(setup, login))
    _give(client, setup, headers)
    return client


async def sign_in_later(client: Any, login: Login, app: object) -> Any:
    """Sign a user in for an ``AsyncClient``, in its event loop, and return the client."""
    setup = _checked_setup(client, app)
    _give(client, setup, await _stored(setup, login))
    return client


def _checked_setup(client: Any, app: object) -> SessionSetup:
    """Return what the sessions of the application go by.

    Raises:
        TypeError: It is no client, or its application is unknown or has no sessions.
        ValueError: The client would not send the cookie.
    """
    if not isinstance(getattr(getattr(client, "cookies", None), "jar", None), CookieJar):
        raise TypeError(f"{type(client).__name__} is no test client that is known here")
    if app is None:
        app = getattr(client, "app", None) or getattr(
            getattr(client, "_transport", None), "app", None
        )
    if app is None:
        raise TypeError("the client does not know its application: pass app=..")
    setup = setup_of(app)
    if setup is None:
        raise TypeError("the application has no session middleware of sessionstore_sql")
    if setup.transport.is_for_tls_only and client.base_url.scheme != "https":
        raise ValueError(
            "the client would not send the Secure cookie: give it base_url='https://testserver'"
        )
    return setup


def _result_of(client: Any, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in the event loop in which the client runs the application."""
    portal = getattr(client, "portal", None)
    if portal is not None:  # Starlette's client, inside of its ``with`` block.
        return portal.call(make)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    # A loop runs in this thread, and cannot run another one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, make()).result()


def _give(client: Any, setup: SessionSetup, headers: list[tuple[str, str]]) -> None:
    """Make the client send the id, as if it had received the headers in a response."""
    cookies = [value for name, value in headers if name == "Set-Cookie"]
    tokens = [value for name, value in headers if name == setup.transport.name]
    if tokens:
        client.headers["Authorization"] = f"Bearer {tokens[0]}"
        return
    for each in list(client.cookies.jar):
        if each.name == setup.transport.name:
            client.cookies.jar.clear(each.domain, each.path, each.name)
    request = Request(str(client.base_url))  # noqa: S310  # nothing is sent
    client.cookies.jar.extract_cookies(_Response(cookies), request)
