"""The adapter of docs/guides/your-framework.md, which is built on public names only."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import falcon
import falcon.asgi
import httpx2 as httpx
import pytest
from falcon_adapter import falcon_sessions
from falcon_adapter.falcon_sessions import SessionRequest, add_sessions

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, web
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from sessionstore_sql.web import SessionOptions
from tests.docs.pages import ROOT, blocks_of

pytestmark = pytest.mark.anyio

COOKIE = "__Host-session"
OPTIONS = SessionOptions(subject_of=lambda state: state.get("user"))
Response = falcon.asgi.Response


class Session:
    """What an application does to a session."""

    async def on_get(self, req: SessionRequest, resp: Response) -> None:
        """Show it."""
        resp.media = dict(req.session)

    async def on_post(self, req: SessionRequest, resp: Response) -> None:
        """Store the query."""
        resp.append_header("Set-Cookie", "theme=dark")
        req.session.update(req.params)

    async def on_delete(self, req: SessionRequest, resp: Response) -> None:
        """End it, with a response that is an error of the application's choice."""
        req.session.invalidate()
        raise falcon.HTTPNotFound


class Broken:
    """An application that fails after it changed its session."""

    async def on_get(self, req: SessionRequest, resp: Response) -> None:
        """Fail."""
        req.session["half"] = "done"
        raise ValueError


class Unstorable:
    """An application that stores what is no JSON."""

    async def on_get(self, req: SessionRequest, resp: Response) -> None:
        """Store it."""
        req.session["when"] = timedelta(0)
        resp.text = "stored"


class Plain:
    """A page without a session."""

    async def on_get(self, req: SessionRequest, resp: Response) -> None:
        """Answer."""
        resp.set_header("Cache-Control", "public, max-age=60")
        resp.text = "the same for all"


def application(
    store: MemorySessionStore | SQLSessionStore, options: SessionOptions
) -> Any:  # httpx and Falcon type ASGI in different ways
    """Return an application with the resources above."""
    app = falcon.asgi.App(request_type=SessionRequest)
    add_sessions(app, store, options)
    app.add_route("/session", Session())
    app.add_route("/broken", Broken())
    app.add_route("/unstorable", Unstorable())
    app.add_route("/plain", Plain())
    return app


def client_of(
    store: MemorySessionStore | SQLSessionStore, options: SessionOptions = OPTIONS
) -> httpx.AsyncClient:
    """Return a browser that visits the application."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application(store, options)), base_url="https://shop.example"
    )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that a test moves."""
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemorySessionStore:
    """A store that knows users."""
    return MemorySessionStore(clock=clock)


@pytest.fixture
async def browser(store: MemorySessionStore) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that visits the application."""
    async with client_of(store) as client:
        yield client


def test_the_page_shows_the_file() -> None:
    """The adapter on the page is the one that is tested here."""
    (block,) = [
        each
        for each in blocks_of(ROOT / "docs" / "guides" / "your-framework.md")
        if each.title == "falcon_sessions.py"
    ]

    assert block.code.strip() == Path(falcon_sessions.__file__).read_text(encoding="utf-8").strip()


def test_the_adapter_uses_public_names_only() -> None:
    """Everything that it imports from the package is exported there."""
    tree = ast.parse(Path(falcon_sessions.__file__).read_text(encoding="utf-8"))
    imported = {
        node.module: {each.name for each in node.names}
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sessionstore_sql")
    }

    assert imported.keys() == {"sessionstore_sql", "sessionstore_sql.web"}
    assert imported["sessionstore_sql.web"] <= set(web.__all__)


async def test_reading_leaves_no_cookie(browser: httpx.AsyncClient) -> None:
    """A visitor who only reads gets no session, and a response that no other visitor gets."""
    response = await browser.get("/session")

    assert response.json() == {}
    assert "set-cookie" not in response.headers
    assert response.headers["vary"] == "Cookie"
    assert response.headers["cache-control"] == "private, no-cache"


async def test_a_page_without_a_session_stays_cacheable(browser: httpx.AsyncClient) -> None:
    """A response that does not depend on the session is not changed."""
    await browser.post("/session", params={"cart": "tea"})

    response = await browser.get("/plain")

    assert response.headers["cache-control"] == "public, max-age=60"
    assert "vary" not in response.headers


async def test_a_renewal_on_a_page_without_a_session_is_private(
    browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    """A response that carries the cookie is not shared, whether it used the session or not."""
    await browser.post("/session", params={"cart": "tea"})
    clock.advance(timedelta(days=7))

    response = await browser.get("/plain")

    assert response.headers["set-cookie"].startswith(f"{COOKIE}=")
    assert response.headers["cache-control"] == "private, max-age=60"


async def test_other_cookies_are_kept(browser: httpx.AsyncClient) -> None:
    """The application's own ``Set-Cookie`` is sent beside the one of the session."""
    response = await browser.post("/session", params={"cart": "tea"})

    assert {each.partition("=")[0] for each in response.headers.get_list("set-cookie")} == {
        "theme",
        COOKIE,
    }


async def test_a_login_gets_a_new_id(browser: httpx.AsyncClient, store: MemorySessionStore) -> None:
    """The content stays, the old id is useless, and the session is the user's."""
    await browser.post("/session", params={"cart": "tea"})
    before = browser.cookies[COOKIE]

    await browser.post("/session", params={"user": "ada"})

    assert browser.cookies[COOKIE] != before
    assert (await browser.get("/session")).json() == {"cart": "tea", "user": "ada"}
    assert await store.load(SessionId(before)) is None
    assert len(await store.sessions_of("ada")) == 1


class Guard:
    """A middleware that rejects requests before they have a session."""

    async def process_request(self, req: SessionRequest, resp: Response) -> None:
        """Reject."""
        raise falcon.HTTPForbidden


async def test_a_request_that_is_rejected_before_has_no_session(store: MemorySessionStore) -> None:
    """Falcon calls ``process_response`` of each middleware all the same."""
    app = falcon.asgi.App(request_type=SessionRequest, middleware=[Guard()])
    add_sessions(app, store)
    transport: Any = httpx.ASGITransport(app)  # type: ignore[arg-type]

    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        assert (await client.get("/session")).status_code == 403


async def test_a_chosen_error_stores_the_session(browser: httpx.AsyncClient) -> None:
    """A 404 that the application raises ends the session as a page would."""
    await browser.post("/session", params={"user": "ada"})

    response = await browser.delete("/session")

    assert response.status_code == 404
    assert COOKIE not in browser.cookies


async def test_a_failure_stores_nothing(browser: httpx.AsyncClient) -> None:
    """What an application changed before an unexpected error is dropped."""
    await browser.post("/session", params={"cart": "tea"})

    assert (await browser.get("/broken")).status_code == 500
    assert (await browser.get("/session")).json() == {"cart": "tea"}


async def test_an_unstorable_value_is_an_error(browser: httpx.AsyncClient) -> None:
    """The client does not receive the page that says it was stored."""
    response = await browser.get("/unstorable")

    assert response.status_code == 500
    assert "stored" not in response.text
    assert "set-cookie" not in response.headers


async def test_an_invented_id_is_not_adopted(browser: httpx.AsyncClient) -> None:
    """A new session gets an id of its own."""
    browser.cookies.set(COOKIE, "invented", domain="shop.example")

    await browser.post("/session", params={"cart": "tea"})

    assert [each.value for each in browser.cookies.jar if each.name == COOKIE] != ["invented"]


async def test_of_two_cookies_the_live_one_counts(store: MemorySessionStore) -> None:
    """A browser can send several cookies of one name."""
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({"cart": "tea"}, timedelta(days=14)))
    header = f"{COOKIE}=stale; {COOKIE}={session_id.value}"

    async with client_of(store) as client:
        response = await client.get("/session", headers={"cookie": header})

    assert response.json() == {"cart": "tea"}


async def test_an_unreachable_database_fails_pages_with_a_session_only() -> None:
    """They are answered with 503 and ``Retry-After``."""
    store = SQLSessionStore("postgresql://shop@127.0.0.1:1/none")
    headers = {"cookie": f"{COOKIE}={'x' * 43}"}
    async with store, client_of(store, SessionOptions()) as client:
        plain = await client.get("/plain", headers=headers)
        response = await client.get("/session", headers=headers)

    assert plain.status_code == 200
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
