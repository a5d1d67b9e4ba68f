"""The typed session of FastAPI: passed on, rejected with 401, and stored if it changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import httpx2 as httpx
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
)

from sessionstore_sql import SerializationError, SessionStorageBackend, SQLSessionStore
from sessionstore_sql.fastapi import (
    SessionClosedError,
    SessionMiddleware,
    invalidate,
    rotate,
    typed_session,
)
from tests.starlette.applications import COOKIE, browser
from tests.visited_stores import RecordedStore, count

pytestmark = pytest.mark.anyio

ADA = UUID("00000000-0000-0000-0000-0000000000ad")


class Login(BaseModel):
    """The session of a logged-in user."""

    user: UUID
    since: datetime
    cart: list[str] = []


LoggedIn = Annotated[Login, Depends(typed_session(Login))]


def shop(store: SessionStorageBackend) -> FastAPI:
    """Return an application with a few typed endpoints."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, store=store)

    @app.post("/login")
    async def login(request: Request) -> None:
        rotate(request)
        request.session["user"] = str(ADA)
        request.session["since"] = datetime(2030, 1, 1, tzinfo=UTC).isoformat()

    @app.post("/logout")
    async def logout(request: Request, login: LoggedIn) -> None:
        login.cart.append("too late")
        invalidate(request)

    @app.get("/me")
    async def me(login: LoggedIn) -> Login:
        return login

    @app.get("/me/sync")
    def me_in_a_thread(login: LoggedIn) -> Login:
        return login

    @app.post("/cart")
    async def add(item: str, login: LoggedIn) -> None:
        login.cart.append(item)

    @app.get("/raw")
    async def raw(request: Request) -> dict[str, Any]:
        return dict(request.session)

    @app.post("/raw")
    async def put(request: Request, state: dict[str, Any]) -> None:
        request.session.update(state)

    return app


async def test_the_session_is_given_as_a_model(sqlite_store: SQLSessionStore) -> None:
    """Its values have the types that the model says."""
    async with browser(shop(sqlite_store)) as client:
        await client.post("/login")

        me = (await client.get("/me")).json()

        assert me == {"user": str(ADA), "since": "2030-01-01T00:00:00Z", "cart": []}
        assert (await client.get("/me/sync")).json() == me


async def test_who_is_not_logged_in_is_answered_401(sqlite_store: SQLSessionStore) -> None:
    """The answer names a challenge, depends on the cookie, and begins no session."""
    async with browser(shop(sqlite_store)) as client:
        response = await client.get("/me")

    assert response.status_code == httpx.codes.UNAUTHORIZED
    assert response.json() == {"detail": "Not authenticated"}
    assert response.headers["www-authenticate"] == "Cookie"
    assert response.headers["vary"] == "Cookie"
    assert "set-cookie" not in response.headers
    assert await count(sqlite_store) == 0


@pytest.mark.parametrize(
    "state", [{"cart": []}, {"user": "ada", "since": 0}, {"user": str(ADA), "since": None}], ids=str
)
async def test_what_the_model_does_not_accept_is_answered_401(
    sqlite_store: SQLSessionStore, state: dict[str, Any]
) -> None:
    """A session that is missing something, or was stored by another version, is no login."""
    async with browser(shop(sqlite_store)) as client:
        await client.post("/raw", json=state)

        response = await client.get("/me")

        assert response.status_code == httpx.codes.UNAUTHORIZED
        assert response.json() == {"detail": "Not authenticated"}
        assert (await client.get("/raw")).json() == state


async def test_reading_a_typed_session_writes_nothing(sqlite_store: SQLSessionStore) -> None:
    """Neither a default nor another spelling of a value is a change."""
    store = RecordedStore(sqlite_store)
    async with browser(shop(store)) as client:
        await client.post("/login")
        store.calls.clear()

        await client.get("/me")

        assert store.calls == ["load"]
        assert "cart" not in (await client.get("/raw")).json()


async def test_changes_of_the_model_are_stored(sqlite_store: SQLSessionStore) -> None:
    """A nested change too; what the model does not know stays as it is."""
    async with browser(shop(sqlite_store)) as client:
        await client.post("/login")
        await client.post("/raw", json={"other": {"is": "kept"}})
        before = (await client.get("/raw")).json()

        await client.post("/cart?item=tea")
        await client.post("/cart?item=scones")

        assert (await client.get("/raw")).json() == before | {"cart": ["tea", "scones"]}


async def test_a_model_is_not_stored_after_invalidate(sqlite_store: SQLSessionStore) -> None:
    """The model of a session that was ended does not start a new one."""
    async with browser(shop(sqlite_store)) as client:
        await client.post("/login")

        await client.post("/logout")

        assert COOKIE not in client.cookies
    assert await count(sqlite_store) == 0


def with_model(store: SessionStorageBackend, model: type[BaseModel], change: Any) -> FastAPI:
    """Return the shop with an endpoint that changes ``model``."""
    app = shop(store)
    dependency = Depends(typed_session(model))

    @app.post("/change")
    async def change_it(session: Any = dependency) -> None:
        change(session)

    return app


class Loose(BaseModel):
    """A model that is not what it seems."""

    model_config = ConfigDict(extra="allow")

    number: int = 0
    flag: int | bool = 1
    aliased: int = Field(0, alias="theAlias")
    secret: SecretStr = SecretStr("")
    elsewhere: int = Field(0, validation_alias=AliasChoices("there"))
    anything: Any = None
    excluded: int = Field(0, exclude=True)
    _private: int = PrivateAttr(0)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        """Twice the number."""
        return 2 * self.number


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("number", 7, {"number": 7}),
        ("flag", True, {"flag": True}),
        ("aliased", 7, {"theAlias": 7}),
        ("anything", {"a": [1]}, {"anything": {"a": [1]}}),
        ("another", "extra", {"another": "extra"}),
        ("excluded", 7, {}),
        ("_private", 7, {}),
    ],
)
async def test_a_changed_field_is_stored_as_the_model_reads_it(
    sqlite_store: SQLSessionStore, field: str, value: Any, stored: dict[str, Any]
) -> None:
    """Under its alias, with its type, and without what the model computes or excludes."""
    app = with_model(sqlite_store, Loose, lambda session: setattr(session, field, value))
    async with browser(app) as client:
        await client.post("/raw", json={"kept": 1})

        await client.post("/change")

        assert (await client.get("/raw")).text == httpx.Response(
            200, json={"kept": 1} | stored
        ).text


async def test_a_field_that_was_removed_is_removed(sqlite_store: SQLSessionStore) -> None:
    """A model with room for more can lose some of it."""
    app = with_model(sqlite_store, Loose, lambda session: delattr(session, "old"))
    async with browser(app) as client:
        await client.post("/raw", json={"kept": 1, "old": 2})

        await client.post("/change")

        assert (await client.get("/raw")).json() == {"kept": 1}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "seven"),
        ("secret", SecretStr("hidden")),
        ("elsewhere", 7),
        ("anything", object()),
        ("anything", (1, 2)),
    ],
    ids=["of another type", "secret", "read from elsewhere", "unknown", "tuple"],
)
async def test_a_field_that_would_not_come_back_equal_is_rejected(
    sqlite_store: SQLSessionStore, field: str, value: Any
) -> None:
    """It is an error that names the model, and shows no value; nothing is stored."""
    app = with_model(sqlite_store, Loose, lambda session: setattr(session, field, value))
    async with browser(app) as client:
        await client.post("/raw", json={"kept": 1})

        with pytest.raises(SerializationError, match="Loose") as caught:
            await client.post("/change")

        assert "seven" not in str(caught.value)
        assert caught.value.__context__ is None
        assert (await client.get("/raw")).json() == {"kept": 1}


async def test_a_model_that_is_changed_too_late_is_reported(sqlite_store: SQLSessionStore) -> None:
    """As with the session itself, a change after the response has started is an error."""
    app = shop(sqlite_store)

    @app.get("/stream")
    async def stream(login: LoggedIn) -> StreamingResponse:
        async def chunks() -> Any:
            yield "first"
            login.cart.append("late")

        return StreamingResponse(chunks())

    async with browser(app) as client:
        await client.post("/login")
        with pytest.raises(SessionClosedError):
            await client.get("/stream")

        assert (await client.get("/me")).json()["cart"] == []


async def test_a_strict_model_reads_what_json_says(sqlite_store: SQLSessionStore) -> None:
    """A strict model accepts a date that was stored as a JSON string."""

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        user: UUID
        since: datetime

    app = with_model(sqlite_store, Strict, lambda session: None)
    async with browser(app) as client:
        await client.post("/login")

        assert (await client.post("/change")).status_code == httpx.codes.OK


async def test_a_websocket_can_depend_on_the_session(sqlite_store: SQLSessionStore) -> None:
    """A visitor who is not logged in gets no WebSocket."""
    app = shop(sqlite_store)
    reached: list[Login] = []

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, login: LoggedIn) -> None:
        reached.append(login)

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/ws",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)

    assert reached == []
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == httpx.codes.UNAUTHORIZED


async def test_without_the_middleware_there_is_no_session(sqlite_store: SQLSessionStore) -> None:
    """A forgotten middleware is not taken for a visitor who has not logged in."""
    app = FastAPI()

    @app.get("/me")
    async def me(login: LoggedIn) -> None:
        return None

    async with browser(app) as client:
        with pytest.raises(RuntimeError, match="no SessionMiddleware"):
            await client.get("/me")
