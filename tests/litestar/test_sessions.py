"""``request.session`` of Litestar, from request to request, on every database."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from litestar import get

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.testing.support import record
from tests.litestar.applications import (
    COOKIE,
    DUE,
    TTL,
    AnyRequest,
    application,
    browser,
    id_in,
)
from tests.visited_stores import EndedMeanwhile, RecordedStore, count, let_pass

pytestmark = pytest.mark.anyio


async def test_what_was_put_is_there_at_the_next_request(store: SQLSessionStore) -> None:
    """The state is in the database, the cookie holds an id."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")

        assert (await client.get("/show")).json() == {"color": "red"}

        loaded = await store.load(id_in(client))
        assert loaded is not None
        assert loaded.state == {"color": "red"}


async def test_browsers_are_apart(store: SQLSessionStore) -> None:
    """Each has a session of its own."""
    app = application(store)
    async with browser(app) as one, browser(app) as other:
        await one.get("/put?name=ada")
        await other.get("/put?name=bob")

        assert (await one.get("/show")).json() == {"name": "ada"}
        assert (await other.get("/show")).json() == {"name": "bob"}


async def test_an_anonymous_request_costs_nothing(store: SQLSessionStore) -> None:
    """It reads its empty session; nothing is asked of the store, and no cookie is set."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        response = await client.get("/show")

    assert response.json() == {}
    assert "set-cookie" not in response.headers
    assert recorded.calls == []
    assert await count(store) == 0


async def test_a_request_that_only_reads_writes_nothing(store: SQLSessionStore) -> None:
    """One statement, and no cookie."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        response = await client.get("/show")

    assert recorded.calls == ["load"]
    assert "set-cookie" not in response.headers


async def test_a_change_is_an_update(store: SQLSessionStore) -> None:
    """The cookie is left alone: its id and its lifetime are the same."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        response = await client.get("/put?color=blue")

        assert recorded.calls == ["load", "update"]
        assert "set-cookie" not in response.headers
        assert (await client.get("/show")).json() == {"color": "blue"}


async def test_a_change_inside_a_value_is_seen(store: SQLSessionStore) -> None:
    """Changes are noticed without marking the session as modified."""
    async with browser(application(store)) as client:
        await client.get("/add?item=one")
        await client.get("/add?item=two")

        assert (await client.get("/show")).json() == {"cart": ["one", "two"]}


@pytest.mark.parametrize("path", ["/show", "/untouched"])
async def test_a_session_in_use_lives_on(store: SQLSessionStore, path: str) -> None:
    """Once less than the threshold remains, its life and its cookie are renewed."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        await let_pass(store, DUE)
        recorded.calls.clear()

        response = await client.get(path)

        assert recorded.calls == ["load", "update_ttl"]
        assert f"Max-Age={TTL.total_seconds():.0f}" in response.headers["set-cookie"]
        loaded = await store.load(id_in(client))
        assert loaded is not None
        assert loaded.ttl > TTL - DUE


async def test_an_expired_session_is_gone(store: SQLSessionStore) -> None:
    """The next one begins empty."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        await let_pass(store, TTL)

        assert (await client.get("/show")).json() == {}


async def test_rotation_changes_the_id_and_keeps_the_state(store: SQLSessionStore) -> None:
    """What an anonymous visitor had in the cart is there after the login."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        old_id = id_in(client)
        recorded.calls.clear()

        await client.get("/login?user=ada")

        assert recorded.calls == ["load", "create", "change_id", "update", "change_id"]
        assert id_in(client) != old_id
        assert await store.load(old_id) is None
        assert (await client.get("/show")).json() == {"color": "red", "user": "ada"}
    assert await count(store) == 2  # the session, and the tombstone of the old id


async def test_rotation_alone_writes_no_state(store: SQLSessionStore) -> None:
    """It writes a tombstone of the old id, before and after."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        await client.get("/renew")

        assert recorded.calls == ["load", "create", "change_id", "change_id"]
        assert (await client.get("/show")).json() == {"color": "red"}


@pytest.mark.parametrize("path", ["/logout", "/empty", "/clear"])
async def test_logging_out_deletes_the_session_and_its_cookie(
    store: SQLSessionStore, path: str
) -> None:
    """However the application says it."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")

        response = await client.get(path)

        assert "Max-Age=0" in response.headers["set-cookie"]
        assert COOKIE not in client.cookies
        assert (await client.get("/show")).json() == {}
    assert await count(store) == 0


@pytest.mark.parametrize("path", ["/switch", "/clear-and-set"])
async def test_what_is_put_after_the_end_is_another_session(
    store: SQLSessionStore, path: str
) -> None:
    """It has an id of its own, and nothing of what the other one held."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        old_id = id_in(client)

        await client.get(path)

        assert id_in(client) != old_id
        assert (await client.get("/show")).json() == {"message": "you are logged out"}
    assert await store.load(old_id) is None
    assert await count(store) == 2  # the session, and the tombstone of the old id


@pytest.mark.parametrize("path", ["/put?color=blue", "/renew", "/login?user=eve"])
async def test_a_session_that_ended_meanwhile_is_not_revived(
    store: SQLSessionStore, path: str
) -> None:
    """The response goes out, the cookie is removed, and nothing is stored."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        ended = f"{COOKIE}={id_in(client).value}"
    async with browser(application(EndedMeanwhile(store))) as client:
        response = await client.get(path, headers={"cookie": ended})

    assert response.status_code == 200
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert await count(store) == 0


async def test_logging_out_twice_at_once_is_no_failure(store: SQLSessionStore) -> None:
    """The one who comes second finds it done."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        ended = f"{COOKIE}={id_in(client).value}"
    async with browser(application(EndedMeanwhile(store))) as client:
        response = await client.get("/logout", headers={"cookie": ended})

    assert response.status_code == 200
    assert "Max-Age=0" in response.headers["set-cookie"]


async def test_a_state_that_cannot_be_decoded_is_an_unknown_one(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is not locked out, and the log says what happened, but not whose."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    cookie = {"cookie": f"{COOKIE}={session_id.value}"}
    async with (
        SQLSessionStore(store.engine, codec=BrokenCodec()) as broken,
        browser(application(broken)) as client,
    ):
        response = await client.get("/show", headers=cookie)

    assert response.json() == {}
    assert "cannot be decoded" in caplog.text
    assert session_id.value not in caplog.text
    assert await store.load(session_id) is not None


class BrokenCodec:
    """Cannot read what it finds."""

    def encode(self, state: dict[str, Any]) -> bytes:
        """Never called."""
        raise NotImplementedError

    def decode(self, data: bytes) -> dict[str, Any]:
        """Fail as a codec may."""
        from sessionstore_sql import DeserializationError

        raise DeserializationError("wrong key")


async def test_a_state_that_json_would_change_is_rejected(store: SQLSessionStore) -> None:
    """The response does not pretend that it was stored; and the error names its path."""

    @get("/store-a-set")
    async def store_a_set(request: AnyRequest) -> None:
        request.session["tags"] = {"a"}

    async with browser(application(store, store_a_set), raise_app_exceptions=False) as client:
        response = await client.get("/store-a-set")

    assert response.status_code == 500
    assert "set-cookie" not in response.headers
    assert await count(store) == 0


async def test_a_failing_database_fails_the_request(store: SQLSessionStore) -> None:
    """No cookie is set for a session that is not there."""
    missing = SQLSessionStore(store.engine, table="no_such_table")
    async with browser(application(missing), raise_app_exceptions=False) as client:
        response = await client.get("/put?color=red")

    assert isinstance(response, httpx.Response)
    assert response.status_code == 500
    assert "set-cookie" not in response.headers
