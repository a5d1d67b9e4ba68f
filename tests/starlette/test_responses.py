"""When a session is stored, what becomes of a response, and what comes too late."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sessionstore_sql import (
    DatabaseError,
    SerializationError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UpdateError,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.starlette import (
    SessionClosedError,
    SessionMiddleware,
    invalidate,
    rotate,
)
from tests.starlette.applications import COOKIE, DUE, TTL, application, browser, id_in
from tests.unit.memory_backend import MemoryBackend
from tests.visited_stores import RecordedStore, count, let_pass

pytestmark = pytest.mark.anyio


async def test_the_session_is_stored_before_the_response_starts(
    sqlite_store: SQLSessionStore,
) -> None:
    """When the first byte can reach the client, the session is committed."""
    found: list[SessionRecord | None] = []

    async def look_it_up(message: Message) -> None:
        if message["type"] == "http.response.start":
            (cookie,) = [value for name, value in message["headers"] if name == b"set-cookie"]
            session_id = cookie.decode().partition(";")[0].partition("=")[2]
            found.append(await sqlite_store.load(SessionId(session_id)))

    await run(application(sqlite_store), "/put", look_it_up, query=b"name=ada")

    (record,) = found
    assert record is not None
    assert record.state == {"name": "ada"}


async def run(app: Any, path: str, send: Send, *, query: bytes = b"") -> None:
    """Send one request to ``app``."""
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": query,
        "headers": [],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)


class FailingStore(RecordedStore):
    """Cannot update."""

    async def update(self, session_id: SessionId, record: SessionRecord) -> None:
        """Fail."""
        raise for_operation(UpdateError, DatabaseError("the database is down"))


async def test_a_session_that_cannot_be_stored_is_an_error(sqlite_store: SQLSessionStore) -> None:
    """No response goes out as if its session had been saved."""
    app = application(FailingStore(sqlite_store))
    async with browser(app, raise_app_exceptions=False) as client:
        await client.get("/put?name=ada")

        response = await client.get("/put?name=grace")

        assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        assert "set-cookie" not in response.headers
        assert (await client.get("/show")).json() == {"name": "ada"}


async def test_a_value_that_is_not_json_is_rejected(sqlite_store: SQLSessionStore) -> None:
    """The error names the place, and nothing is stored."""

    async def put_a_set(request: Request) -> Response:
        request.session["cart"] = {"items": {1, 2}}
        return Response()

    async with browser(application(sqlite_store, put_a_set)) as client:
        with pytest.raises(SerializationError, match=r"state\['cart'\]\['items'\]: set"):
            await client.get("/put_a_set")
    assert await count(sqlite_store) == 0


async def test_a_session_is_stored_once(sqlite_store: SQLSessionStore) -> None:
    """An application that starts a second response, after the first one failed, saves nothing."""
    store = FailingStore(sqlite_store)

    async def insist(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["name"] = "grace"
        with pytest.raises(DatabaseError):
            await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.start", "status": 503})
        await send({"type": "http.response.body"})

    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        cookies = client.cookies
    async with browser(SessionMiddleware(insist, store)) as client:
        client.cookies = cookies
        response = await client.get("/")

    assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "set-cookie" not in response.headers


async def test_an_unhandled_exception_stores_nothing(sqlite_store: SQLSessionStore) -> None:
    """What a request did before it failed is not kept."""

    async def fail(request: Request) -> Response:
        request.session["name"] = "grace"
        raise LookupError

    app = application(sqlite_store, fail)
    async with browser(app, raise_app_exceptions=False) as client:
        await client.get("/put?name=ada")

        response = await client.get("/fail")

        assert response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        assert "set-cookie" not in response.headers
        assert (await client.get("/show")).json() == {"name": "ada"}


async def test_the_exception_of_the_application_is_the_one_that_is_raised(
    sqlite_store: SQLSessionStore,
) -> None:
    """A session that is not stored because of an exception does not hide it."""

    async def fail(request: Request) -> Response:
        request.session["name"] = "grace"
        raise LookupError

    async with browser(application(sqlite_store, fail)) as client:
        with pytest.raises(LookupError):
            await client.get("/fail")


async def test_a_handled_exception_is_a_response(sqlite_store: SQLSessionStore) -> None:
    """An application that answers with an error has answered: its session is stored."""

    async def fail(request: Request) -> Response:
        request.session["attempts"] = request.session.get("attempts", 0) + 1
        raise HTTPException(403)

    async with browser(application(sqlite_store, fail)) as client:
        await client.get("/fail")
        response = await client.get("/fail")

        assert response.status_code == httpx.codes.FORBIDDEN
        assert (await client.get("/show")).json() == {"attempts": 2}


async def test_not_modified_carries_the_session(sqlite_store: SQLSessionStore) -> None:
    """A 304 stores a change and sets the cookie as any other response does."""

    async def not_modified(request: Request) -> Response:
        request.session["seen"] = True
        return Response(status_code=304)

    async with browser(application(sqlite_store, not_modified)) as client:
        response = await client.get("/not_modified")

        assert response.headers["vary"] == "Cookie"
        assert (await client.get("/show")).json() == {"seen": True}


async def test_a_streamed_response_carries_the_session(sqlite_store: SQLSessionStore) -> None:
    """What was changed before the first chunk is stored; the chunks can read it."""

    async def stream(request: Request) -> Response:
        request.session["name"] = "ada"

        async def chunks() -> AsyncIterator[str]:
            yield "hello "
            yield request.session["name"]

        return StreamingResponse(chunks())

    async with browser(application(sqlite_store, stream)) as client:
        assert (await client.get("/stream")).text == "hello ada"
        assert (await client.get("/show")).json() == {"name": "ada"}


CHANGES = {
    "set": lambda session: session.__setitem__("name", "late"),
    "delete": lambda session: session.__delitem__("name"),
    "clear": lambda session: session.clear(),
    "pop": lambda session: session.pop("name"),
    "popitem": lambda session: session.popitem(),
    "setdefault": lambda session: session.setdefault("other", "late"),
    "update": lambda session: session.update(name="late"),
    "or": lambda session: session.__ior__({"name": "late"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_after_the_response_started_is_rejected(
    sqlite_store: SQLSessionStore, change: Any
) -> None:
    """It cannot be stored any more, and says so where it is made."""
    refused: list[SessionClosedError] = []

    async def stream(request: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            yield "first"
            with pytest.raises(SessionClosedError) as caught:
                change(request.session)
            refused.append(caught.value)

        return StreamingResponse(chunks())

    async with browser(application(sqlite_store, stream)) as client:
        await client.get("/put?name=ada")
        await client.get("/stream")

        assert len(refused) == 1
        assert (await client.get("/show")).json() == {"name": "ada"}


@pytest.mark.parametrize("request_change", [rotate, invalidate])
async def test_a_request_for_another_id_can_come_too_late(
    sqlite_store: SQLSessionStore, request_change: Any
) -> None:
    """Once the response has started, no cookie can be changed any more."""

    async def too_late(request: Request) -> Response:
        return Response(background=BackgroundTask(request_change, request))

    async with browser(application(sqlite_store, too_late)) as client:
        await client.get("/put?name=ada")
        with pytest.raises(SessionClosedError):
            await client.get("/too_late")

        assert (await client.get("/show")).json() == {"name": "ada"}


async def test_a_nested_change_that_came_too_late_is_reported(
    sqlite_store: SQLSessionStore,
) -> None:
    """A late change inside a value raises when the response ends."""

    async def too_late(request: Request) -> Response:
        cart = request.session["cart"]
        return Response(background=BackgroundTask(cart.append, "late"))

    async with browser(application(sqlite_store, too_late)) as client:
        await client.get("/add?item=tea")
        with pytest.raises(SessionClosedError, match="lost"):
            await client.get("/too_late")

        assert (await client.get("/show")).json() == {"cart": ["tea"]}


async def test_a_background_task_can_read_the_session(sqlite_store: SQLSessionStore) -> None:
    """What was stored with the response is there for what runs after it."""
    read: list[str] = []

    async def later(request: Request) -> Response:
        request.session["name"] = "ada"
        return Response(background=BackgroundTask(lambda: read.append(request.session["name"])))

    async with browser(application(sqlite_store, later)) as client:
        await client.get("/later")

    assert read == ["ada"]


async def test_where_a_session_was_used_no_cache_is_shared(sqlite_store: SQLSessionStore) -> None:
    """A response that depends on a session is for its client alone, even without a session."""
    async with browser(application(sqlite_store)) as client:
        response = await client.get("/show")

    assert response.headers["vary"] == "Cookie"
    assert response.headers["cache-control"] == "private, no-cache"


async def test_where_no_session_was_used_caches_are_left_alone(
    sqlite_store: SQLSessionStore,
) -> None:
    """A response that did not use the session can be cached."""
    async with browser(application(sqlite_store)) as client:
        await client.get("/put?name=ada")

        response = await client.get("/untouched")

    assert "vary" not in response.headers
    assert "cache-control" not in response.headers


@pytest.mark.parametrize("path", ["/public_renewed", "/public_logout"])
async def test_no_shared_cache_keeps_a_cookie(sqlite_store: SQLSessionStore, path: str) -> None:
    """A response with the session cookie is private."""

    async def public_renewed(request: Request) -> Response:
        return Response(headers={"cache-control": "public, max-age=60"})

    async def public_logout(request: Request) -> Response:
        invalidate(request)
        return Response(headers={"cache-control": "public, max-age=60"})

    app = application(sqlite_store, public_renewed, public_logout)
    async with browser(app) as client:
        await client.get("/put?name=ada")
        await let_pass(sqlite_store, DUE)

        response = await client.get(path)

    assert "set-cookie" in response.headers
    assert response.headers["vary"] == "Cookie"
    assert response.headers["cache-control"] == "private, max-age=60"


async def test_logging_out_with_an_unknown_id_removes_its_cookie(
    sqlite_store: SQLSessionStore,
) -> None:
    """After two logouts in two tabs, the cookie is removed."""
    async with browser(application(sqlite_store)) as client:
        response = await client.get("/logout", headers={"cookie": f"{COOKIE}=unknown"})

    assert "Max-Age=0" in response.headers["set-cookie"]
    assert "private" in response.headers["cache-control"]


async def test_a_file_is_sent_as_ever(sqlite_store: SQLSessionStore) -> None:
    """A response that is a file keeps its own headers beside the session's."""

    async def download(request: Request) -> Response:
        request.session["downloads"] = 1
        return FileResponse(__file__)

    async with browser(application(sqlite_store, download)) as client:
        response = await client.get("/download")

    assert response.headers["etag"] != ""
    assert COOKIE in response.cookies


async def test_cookies_of_the_application_are_kept(sqlite_store: SQLSessionStore) -> None:
    """The session's cookie is one among others."""

    async def taste(request: Request) -> Response:
        request.session["name"] = "ada"
        response = Response()
        response.set_cookie("taste", "vanilla")
        return response

    async with browser(application(sqlite_store, taste)) as client:
        response = await client.get("/taste")

    assert response.cookies.keys() == {"taste", COOKIE}


async def test_a_start_without_headers_gets_some(sqlite_store: SQLSessionStore) -> None:
    """ASGI lets an application leave its headers out."""

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["name"] = "ada"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async with browser(SessionMiddleware(bare, sqlite_store)) as client:
        response = await client.get("/")

    assert COOKIE in response.cookies


async def test_a_session_that_cannot_be_decoded_is_an_unknown_one(
    sqlite_store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The client can log in again; the row is kept, and the log says that there is one."""
    async with browser(application(sqlite_store)) as client:
        await client.get("/put?name=ada")
        session_id = id_in(client)
        async with sqlite_store.engine.begin() as connection:
            await connection.execute(text("UPDATE sessionstore_sessions SET state = x'00'"))

        with caplog.at_level(logging.ERROR):
            response = await client.get("/show")
        await client.get("/login?user=ada")

        assert response.json() == {}
        assert (await client.get("/show")).json() == {"user": "ada"}
    assert "cannot be decoded" in caplog.text
    assert session_id.value not in caplog.text
    assert await count(sqlite_store) == 2


async def test_what_cannot_be_compared_is_stored() -> None:
    """With a store that accepts more than JSON, no change is lost."""

    class SetsOfItems(RecordedStore):
        async def load(self, session_id: SessionId) -> SessionRecord:
            return SessionRecord({"items": {1, 2}}, TTL)  # type: ignore[dict-item]

        async def update(self, session_id: SessionId, record: SessionRecord) -> None:
            self.calls.append(f"update {record.state}")

    async def add_an_item(request: Request) -> Response:
        request.session["items"].add(3)
        return Response()

    store = SetsOfItems(MemoryBackend())
    async with browser(application(store, add_an_item)) as client:
        await client.get("/add_an_item", headers={"cookie": f"{COOKIE}=known"})

    assert store.calls == ["update {'items': {1, 2, 3}}"]


async def test_a_lifespan_has_no_session(sqlite_store: SQLSessionStore) -> None:
    """What is neither a request nor a WebSocket goes through as it is."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*arguments: Any) -> Any:
        raise AssertionError

    await SessionMiddleware(app, sqlite_store)({"type": "lifespan"}, nothing, nothing)

    assert seen == [{"type": "lifespan"}]


@pytest.mark.parametrize("request_change", [rotate, invalidate])
async def test_without_the_middleware_there_is_nothing_to_rotate(request_change: Any) -> None:
    """A forgotten middleware is found at the first login, and not at the first theft."""

    async def login(request: Request) -> Response:
        request_change(request)
        return Response()

    app = Starlette(routes=[Route("/login", login)])
    async with browser(app) as client:
        with pytest.raises(RuntimeError, match="no SessionMiddleware"):
            await client.get("/login")


@pytest.mark.parametrize("max_age", [3600, timedelta(hours=1)])
async def test_max_age_is_seconds_or_a_timedelta(
    sqlite_store: SQLSessionStore, max_age: timedelta | int
) -> None:
    """As Starlette has it, or as the rest of this package has it."""
    async with browser(application(sqlite_store, max_age=max_age)) as client:
        response = await client.get("/put?name=ada")
        record = await sqlite_store.load(id_in(client))

    assert "Max-Age=3600;" in response.headers["set-cookie"]
    assert record is not None
    assert timedelta(minutes=55) < record.ttl <= timedelta(hours=1)


async def test_two_sessions_with_different_cookies_live_side_by_side(
    sqlite_store: SQLSessionStore,
) -> None:
    """A mounted application can have sessions of its own."""

    async def inner(request: Request) -> Response:
        request.session["where"] = "inside"
        return JSONResponse(dict(request.session))

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["where"] = "outside"
        await SessionMiddleware(
            application(sqlite_store, inner, session_cookie="inner"),
            sqlite_store,
            session_cookie="unused",
        )(scope, receive, send)

    async with browser(SessionMiddleware(outer, sqlite_store, max_age=TTL)) as client:
        await client.get("/inner")

        assert client.cookies.keys() == {COOKIE, "inner"}
        record = await sqlite_store.load(id_in(client))
    assert record is not None
    assert record.state == {"where": "outside"}
