"""What becomes of requests while the database cannot be reached, or fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import httpx2 as httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from sessionstore_sql import CreateError, DatabaseError, LoadSessionError, SQLSessionStore
from sessionstore_sql.errors import for_operation
from tests.leaks import logged
from tests.starlette.applications import COOKIE, application, browser
from tests.web.stores import ScriptedStore

pytestmark = pytest.mark.anyio

SECRET = "a-secret-id"
HEADERS = {"cookie": f"{COOKIE}={SECRET}"}


def unreachable(operation: type = LoadSessionError, *, transient: bool = True) -> DatabaseError:
    """Return the error of a store whose database cannot be reached."""
    return for_operation(operation, DatabaseError("connection failed", transient=transient))


class Unreachable(ScriptedStore):
    """Fails to load every session."""

    def __init__(self, *, transient: bool = True) -> None:
        super().__init__()
        self.transient = transient

    async def load_session(self, session_id: Any) -> Any:
        """Fail."""
        raise unreachable(transient=self.transient)


async def access_directly(request: Request) -> Response:
    """Use the session past ``request.session``."""
    return JSONResponse(dict(request.scope["session"]))


async def write_directly(request: Request) -> Response:
    """Change the session past ``request.session``."""
    request.scope["session"]["a"] = 1
    return Response()


async def test_a_request_that_does_not_use_its_session_succeeds() -> None:
    """A static file needs no database. The cookie stays."""
    async with browser(application(Unreachable())) as client:
        response = await client.get("/untouched", headers=HEADERS)

    assert response.status_code == httpx.codes.OK
    assert "set-cookie" not in response.headers


async def test_a_visitor_without_a_session_needs_no_database() -> None:
    """Until there is something to store."""
    async with browser(application(Unreachable())) as client:
        assert (await client.get("/show")).json() == {}


@pytest.mark.parametrize(
    "path", ["/show", "/put?a=1", "/renew", "/logout", "/access_directly", "/write_directly"]
)
async def test_a_request_that_uses_its_session_gets_503(path: str) -> None:
    """With ``Retry-After``. The log says what failed."""
    app = application(Unreachable(), access_directly, write_directly)
    with logged("sessionstore_sql.lifecycle") as log:
        async with browser(app) as client:
            response = await client.get(path, headers=HEADERS)

    assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert response.headers["retry-after"] == "5"
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert "connection failed" in log.text
    assert SECRET not in log.text


async def test_an_application_can_answer_itself() -> None:
    """The error passes its handlers first."""

    async def sorry(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("Please come back later.", status_code=503)

    app = application(Unreachable())
    app.add_exception_handler(DatabaseError, sorry)
    async with browser(app) as client:
        assert (await client.get("/show", headers=HEADERS)).text == "Please come back later."


async def test_a_request_that_can_do_without_goes_on() -> None:
    """An application may catch the error and show the page to a stranger."""

    async def greet(request: Request) -> Response:
        try:
            return PlainTextResponse(request.session["user"])
        except DatabaseError:
            return PlainTextResponse("Hello, stranger.")

    async with browser(application(Unreachable(), greet)) as client:
        response = await client.get("/greet", headers=HEADERS)

    assert response.text == "Hello, stranger."
    assert "set-cookie" not in response.headers


async def test_what_an_operator_has_to_fix_is_an_error() -> None:
    """A missing table is not temporary: trying again does not help."""
    async with browser(application(Unreachable(transient=False))) as client:
        with pytest.raises(DatabaseError):
            await client.get("/show", headers=HEADERS)


async def test_a_session_that_cannot_be_stored_gets_503() -> None:
    """Nothing of the response goes out as if it had been stored."""
    store = ScriptedStore()

    async def fail() -> None:
        raise unreachable(CreateError)

    async with browser(application(store)) as client:
        store.script.before["create"] = [fail]
        response = await client.get("/put?a=1")
        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE

        assert (await client.get("/put?a=1")).status_code == httpx.codes.OK


@pytest.mark.parametrize("can_respond", [True, False])
@pytest.mark.parametrize("accepted", [True, False])
async def test_a_websocket_is_told_to_try_again(can_respond: bool, accepted: bool) -> None:
    """With a response, if the server can send one, or with the code for it."""

    async def chat(websocket: WebSocket) -> None:
        if accepted:
            await websocket.accept()
        await websocket.send_json(dict(websocket.session))

    app = application(Unreachable())
    app.router.routes.append(WebSocketRoute("/chat", chat))
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "websocket",
        "path": "/chat",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"cookie", f"{COOKIE}={SECRET}".encode())],
        "extensions": {"websocket.http.response": {}} if can_respond else {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    if accepted:
        with pytest.raises(DatabaseError):
            await app(scope, receive, send)
        assert [message["type"] for message in sent] == ["websocket.accept"]
        return
    await app(scope, receive, send)
    if can_respond:
        assert [message["type"] for message in sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert sent[0]["status"] == httpx.codes.SERVICE_UNAVAILABLE
    else:
        assert sent == [{"type": "websocket.close", "code": 1013}]


async def test_a_database_that_is_not_there() -> None:
    """The same with a real store and nothing that listens."""
    async with (
        SQLSessionStore("postgresql://app:secret@127.0.0.1:1/shop") as store,
        browser(application(store)) as client,
    ):
        untouched = await client.get("/untouched", headers=HEADERS)
        shown = await client.get("/show", headers=HEADERS)

    assert untouched.status_code == httpx.codes.OK
    assert shown.status_code == httpx.codes.SERVICE_UNAVAILABLE


def own_variables(traceback: TracebackType | None) -> Iterator[str]:
    """Yield the variables of this package's frames, as an error tracker would show them."""
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__", "").startswith("sessionstore_sql"):
            for name, value in frame.f_locals.items():
                yield f"{frame.f_code.co_name}.{name}: {value!r}"
        traceback = traceback.tb_next


@pytest.mark.parametrize("transport", ["cookie", "bearer"])
async def test_no_variable_in_a_traceback_shows_an_id(transport: str) -> None:
    """Error trackers show the variables of every frame."""
    from sessionstore_sql.starlette import BearerToken

    options = {"bearer": BearerToken()} if transport == "bearer" else {}
    app = application(Unreachable(transient=False), **options)
    headers = {"cookie": f"{COOKIE}={SECRET}", "authorization": f"Bearer {SECRET}"}
    async with browser(app) as client:
        with pytest.raises(DatabaseError) as caught:
            await client.get("/show", headers=headers)

    shown = list(own_variables(caught.tb))
    assert shown != []
    assert [each for each in shown if SECRET in each] == []


async def test_an_unreachable_session_can_be_printed() -> None:
    """A debugger that shows the scope does not fail."""

    async def page(request: Request) -> Response:
        return PlainTextResponse(json.dumps(repr(request.scope["session"])))

    async with browser(application(Unreachable(), page)) as client:
        assert (await client.get("/page", headers=HEADERS)).json() == "UnavailableSession()"
