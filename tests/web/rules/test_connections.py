"""Rules 11, 14 and 17: an unreachable database, WebSockets, plain HTTP; and shared caches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import DatabaseError, LoadSessionError, SessionId, SessionRecord
from sessionstore_sql.errors import UpdateIfError, for_operation
from sessionstore_sql.testing import MemorySessionStore
from tests.web.rules.conftest import KnownStore, Open
from tests.web.rules.driving import Browser, Driver
from tests.web.stores import Script, ScriptedStore

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]

COOKIE = "sessionstore_id"
SECRET = "a-secret-id"


class Failing(MemorySessionStore):
    """Fails at some operations, as if its database could not be reached."""

    def __init__(self, *operations: type, transient: bool = True) -> None:
        super().__init__()
        self.operations = operations
        self.transient = transient

    async def load_session(self, session_id: Any) -> Any:
        """Fail, or return the session."""
        self._may_fail(LoadSessionError)
        return await super().load_session(session_id)

    async def update_if(self, *args: Any, **kwargs: Any) -> Any:
        """Fail, or store the session."""
        self._may_fail(UpdateIfError)
        return await super().update_if(*args, **kwargs)

    def _may_fail(self, operation: type) -> None:
        if operation in self.operations:
            error = DatabaseError("connection failed", transient=self.transient)
            raise for_operation(operation, error)


class Suspending(ScriptedStore):
    """Lets other tasks run before each operation, as a database does."""

    def __init__(self) -> None:
        super().__init__()
        self.script = _Suspensions()


class _Suspensions(Script):
    async def run(self, operation: str, call: Callable[[], Awaitable[Any]]) -> Any:
        await asyncio.sleep(0)
        return await super().run(operation, call)


# Rule 11: the database is unreachable.


async def test_a_page_without_a_session_needs_no_database(visit: Open) -> None:
    """With and without a cookie, which stays."""
    async with visit(store=Failing(LoadSessionError), https_only=False) as browser:
        for cookies in ({}, {COOKIE: SECRET}):
            answer = await Browser(browser.send, cookies).get("/untouched")
            assert (answer.status, answer.set_cookie) == (200, None)


@pytest.mark.parametrize("page", ["show", "put?color=red", "login?user=ada", "logout", "devices"])
async def test_a_page_that_uses_its_session_is_unavailable(
    visit: Open, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    """503, and when to try again. The log says why, and shows no id."""
    async with visit(store=Failing(LoadSessionError), https_only=False) as browser:
        answer = await Browser(browser.send, {COOKIE: SECRET}).get(f"/{page}")

    assert (answer.status, answer.header("Retry-After")) == (503, "5")
    assert answer.header("Cache-Control") == "no-store"
    assert answer.set_cookie is None
    assert "answered with 503" in caplog.text
    assert SECRET not in caplog.text


async def test_a_session_that_cannot_be_stored_is_unavailable(visit: Open) -> None:
    """The client must not take the change for stored."""
    store = Failing(UpdateIfError)
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({"color": "red"}, timedelta(days=14)))
    async with visit(store=store, https_only=False) as browser:
        answer = await Browser(browser.send, {COOKIE: session_id.value}).get("/put?color=blue")

    assert answer.status == 503


async def test_a_lasting_failure_is_an_error(visit: Open) -> None:
    """To try again does not help."""
    store = Failing(LoadSessionError, transient=False)
    async with visit(store=store, https_only=False) as browser:
        assert (await Browser(browser.send, {COOKIE: SECRET}).get("/show")).status == 500


async def test_excluded_paths_load_nothing(visit: Open) -> None:
    """Each with everything below it."""
    store = Failing(LoadSessionError)
    async with visit(store=store, https_only=False, exclude=["/untouched"]) as browser:
        answer = await Browser(browser.send, {COOKIE: SECRET}).get("/untouched")

    assert answer.status == 200
    assert answer.header("Vary") is None


# Rule 14: WebSockets end with their session.


async def test_a_websocket_ends_with_its_session(
    driver: Driver, visit: Open, store: KnownStore
) -> None:
    """The server closes it with 1008."""
    async with visit() as browser:
        await browser.get("/sign_in?user=ada")
        recheck = timedelta(milliseconds=20)
        async with driver.connect(store, browser.headers, websocket_recheck=recheck) as socket:
            assert await socket.ask() == {"user": "ada"}
            await browser.get("/logout")
            assert await socket.closed() == 1008


async def test_a_websocket_goes_on_with_its_session(
    driver: Driver, visit: Open, store: KnownStore
) -> None:
    """However often it is looked up."""
    loads: list[int] = []

    class Counting(MemorySessionStore):
        async def load(self, session_id: SessionId) -> SessionRecord | None:
            loads.append(1)
            return await super().load(session_id)

    counting = Counting()
    async with visit(store=counting) as browser:
        await browser.get("/put?color=red")
        recheck = timedelta(milliseconds=1)
        async with driver.connect(counting, browser.headers, websocket_recheck=recheck) as socket:
            while len(loads) < 3:
                assert await socket.ask() == {"color": "red"}


# Other methods than GET.


async def test_a_head_request_is_as_get(visit: Open) -> None:
    """It has the same headers, and its changes are stored."""
    async with visit() as browser:
        for path in ("/put?color=red", "/show"):
            answer = await browser.send(path, browser.headers, "HEAD")
            browser.receive(answer)
            assert answer.status == 200
            assert answer.header("Vary") == "Cookie"
            assert answer.header("Cache-Control") == "private, no-cache"

        assert (await browser.get("/show")).json == {"color": "red"}


async def test_an_options_request_needs_no_database(visit: Open) -> None:
    """Browsers send one before requests to other sites. It has no cookie."""
    async with visit(store=Failing(LoadSessionError), https_only=False) as browser:
        for headers in ({}, {"Cookie": f"{COOKIE}={SECRET}"}):
            answer = await browser.send("/untouched", headers, "OPTIONS")
            assert answer.status < 500
            assert answer.set_cookie is None


# Streams, and clients that disconnect.


async def test_a_change_after_the_response_has_started_is_an_error(visit: Open) -> None:
    """It could not be stored. The session is as it was."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        answer = await browser.get("/late")

        assert answer.body == b"first closed"
        assert (await browser.get("/show")).json == {"color": "red"}


@pytest.mark.parametrize("page", ["put", "stream_put"])
async def test_a_change_of_a_client_that_is_gone_is_stored(visit: Open, page: str) -> None:
    """As that of a client that does not receive the response."""
    async with visit(store=Suspending()) as browser:
        await browser.get("/put?color=red")

        await browser.send(f"/{page}?size=large", browser.headers, gone=True)

        assert (await browser.get("/show")).json == {"color": "red", "size": "large"}


@pytest.mark.parametrize("page", ["goodbye", "stream_goodbye"])
async def test_a_logout_of_a_client_that_is_gone_is_done(visit: Open, page: str) -> None:
    """Its session has ended."""
    async with visit(store=Suspending()) as browser:
        await browser.get("/sign_in?user=ada")

        await browser.send(f"/{page}", browser.headers, gone=True)

        assert (await browser.get("/show")).json == {}


# Rule 17: a Secure cookie on plain HTTP, and names.


async def test_a_cookie_without_tls_has_a_name_of_its_own(visit: Open) -> None:
    """Not that of Starlette's sessions, whose cookies would be mistaken for ids."""
    async with visit(https_only=False) as browser:
        answer = await browser.get("/put?color=red")

    assert str(answer.set_cookie).startswith("sessionstore_id=")
    assert "Secure" not in str(answer.set_cookie)


async def test_the_cookie_is_secure_by_default(visit: Open) -> None:
    """Every attribute that protects it is there."""
    async with visit() as browser:
        name_and_id, *attributes = str((await browser.get("/put?a=b")).set_cookie).split("; ")

    assert name_and_id.startswith("__Host-session=")
    assert sorted(attributes) == [
        *("HttpOnly", "Max-Age=1209600", "Path=/", "SameSite=Lax", "Secure")
    ]


# Shared caches.


@pytest.mark.parametrize("path", ["/put?color=blue", "/show", "/logout"])
async def test_a_response_with_a_session_is_private(visit: Open, path: str) -> None:
    """Whether it sets the cookie, removes it, or depends on it."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        answer = await browser.get(path)

    assert answer.header("Vary") == "Cookie"
    assert answer.header("Cache-Control") == "private, no-cache"


async def test_a_response_with_the_cookie_is_not_shared(visit: Open) -> None:
    """Whatever the page says: a cache would give the id to other visitors."""
    async with visit() as browser:
        for page in ("shared_put?color=red", "shared_logout"):
            answer = await browser.get(f"/{page}")
            assert answer.set_cookie is not None
            assert answer.header("Vary") == "Cookie"
            assert answer.header("Cache-Control") == "private"
            assert answer.header("CDN-Cache-Control") is None


async def test_no_secret_is_logged(visit: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an id nor a state."""
    caplog.set_level(logging.DEBUG)
    async with visit() as browser:
        await browser.get("/put?secret=of-ada")
        first_id = browser.session_id.value
        await browser.get("/login?user=ada")
        await browser.get("/put_uuid")
        secrets = (first_id, browser.session_id.value)

    ours = [each for each in caplog.records if each.name.startswith("sessionstore_sql")]
    for record in ours:
        assert not any(secret in record.getMessage() for secret in secrets)


# Cookies that no server of this kind has set.


@pytest.mark.parametrize(
    "values",
    [
        ("x" * 5_000,),
        ("",),
        ('""',),
        ("a b",),
        ("a,b",),
        ("a=b=c",),
        ("%00",),
        ("rotated from 00",),
        tuple(f"id-{number}" for number in range(40)),
    ],
    ids=lambda values: f"{len(values)} of {len(values[0])}",
)
async def test_a_malformed_cookie_is_no_session(visit: Open, values: tuple[str, ...]) -> None:
    """The page responds as to a new visitor, and a change begins a session."""
    async with visit(session_cookie="sid") as browser:
        header = "; ".join([";", "other=1", *(f"sid={value}" for value in values), "=", "sid"])
        shown = await browser.send("/show", {"Cookie": header})
        changed = await browser.send("/put?color=red", {"Cookie": header})

        assert (shown.status, shown.json) == (200, {})
        browser.receive(changed)
        assert (await browser.get("/show")).json == {"color": "red"}
