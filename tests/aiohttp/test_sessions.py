"""Sessions of aiohttp-session, from request to request, on every database."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp_session import get_session

from sessionstore_sql import DeserializationError, SessionId, SQLSessionStore
from sessionstore_sql.testing.support import record
from tests.aiohttp.applications import (
    COOKIE,
    DUE,
    QUIET,
    TTL,
    Browser,
    application,
    browser,
    running,
)
from tests.visited_stores import EndedMeanwhile, RecordedStore, count, let_pass

pytestmark = [pytest.mark.anyio, *QUIET]


async def test_what_was_put_is_there_at_the_next_request(store: SQLSessionStore) -> None:
    """The state is in the database, the cookie holds an id."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")

        assert (await client.get("/show")).json == {"color": "red"}

        loaded = await store.load(client.session_id)
        assert loaded is not None
        assert loaded.state["color"] == "red"


async def test_browsers_are_apart(store: SQLSessionStore) -> None:
    """Each has a session of its own."""
    async with running(application(store)) as client:
        one, other = Browser(client), Browser(client)
        await one.get("/put?name=ada")
        await other.get("/put?name=bob")

        assert (await one.get("/show")).json == {"name": "ada"}
        assert (await other.get("/show")).json == {"name": "bob"}


@pytest.mark.parametrize("path", ["/show", "/untouched"])
async def test_an_anonymous_request_costs_nothing(store: SQLSessionStore, path: str) -> None:
    """It may read its empty session; nothing is asked of the store, and no cookie is set."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        answer = await client.get(path)

    assert answer.set_cookie is None
    assert recorded.calls == []
    assert await count(store) == 0


async def test_a_request_that_only_reads_writes_nothing(store: SQLSessionStore) -> None:
    """One statement, and no cookie."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        answer = await client.get("/show")

    assert recorded.calls == ["load"]
    assert answer.set_cookie is None


async def test_a_request_that_does_not_look_loads_nothing(store: SQLSessionStore) -> None:
    """A session that is not used costs no statement."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        await client.get("/untouched")

    assert recorded.calls == []


async def test_a_change_is_an_update(store: SQLSessionStore) -> None:
    """The cookie is left alone: its id and its lifetime are the same."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        before = client.id
        recorded.calls.clear()

        answer = await client.get("/put?color=blue")

        assert recorded.calls == ["load", "update"]
        assert answer.set_cookie is None
        assert client.id == before
        assert (await client.get("/show")).json == {"color": "blue"}


async def test_the_same_value_again_is_no_change(store: SQLSessionStore) -> None:
    """Although aiohttp-session takes it for one."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        await client.get("/put?color=red")

    assert recorded.calls == ["load"]


async def test_a_change_inside_a_value_is_seen(store: SQLSessionStore) -> None:
    """Changes are noticed without calling ``changed()``."""
    async with browser(application(store)) as client:
        await client.get("/add?item=one")
        await client.get("/add?item=two")

        assert (await client.get("/show")).json == {"cart": ["one", "two"]}


async def test_a_session_in_use_lives_on(store: SQLSessionStore) -> None:
    """Once less than the threshold remains, its life and its cookie are renewed."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        await let_pass(store, DUE)
        recorded.calls.clear()

        answer = await client.get("/show")

        assert recorded.calls == ["load", "update_ttl"]
        assert f"Max-Age={TTL.total_seconds():.0f}" in (answer.set_cookie or "")
        loaded = await store.load(client.session_id)
        assert loaded is not None
        assert loaded.ttl > TTL - DUE


async def test_an_expired_session_is_gone(store: SQLSessionStore) -> None:
    """The next one begins empty."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        await let_pass(store, TTL)

        assert (await client.get("/show")).json == {}


async def test_rotation_changes_the_id_and_keeps_the_state(store: SQLSessionStore) -> None:
    """What an anonymous visitor had in the cart is there after the login."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        old_id = client.session_id
        recorded.calls.clear()

        await client.get("/login?user=ada")

        assert recorded.calls == ["load", "create", "change_id", "update", "change_id"]
        assert client.session_id != old_id
        assert await store.load(old_id) is None
        assert (await client.get("/show")).json == {"color": "red", "user": "ada"}
    assert await count(store) == 2  # the session, and the tombstone of the old id


async def test_rotation_alone_writes_no_state(store: SQLSessionStore) -> None:
    """It writes a tombstone of the old id, before and after."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/put?color=red")
        recorded.calls.clear()

        await client.get("/renew")

        assert recorded.calls == ["load", "create", "change_id", "change_id"]
        assert (await client.get("/show")).json == {"color": "red"}


async def test_a_new_session_ends_the_old_one(store: SQLSessionStore) -> None:
    """``new_session`` keeps nothing of it, and leaves nothing behind."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        old_id = client.session_id

        await client.get("/login_anew?user=ada")

        assert client.session_id != old_id
        assert await store.load(old_id) is None
        assert (await client.get("/show")).json == {"user": "ada"}
    assert await count(store) == 2  # the session, and the tombstone of the old id


@pytest.mark.parametrize("path", ["/logout", "/empty"])
async def test_logging_out_deletes_the_session_and_its_cookie(
    store: SQLSessionStore, path: str
) -> None:
    """However the application says it."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")

        answer = await client.get(path)

        assert "Max-Age=0" in (answer.set_cookie or "")
        assert (await client.get("/show")).json == {}
    assert await count(store) == 0


async def test_what_is_put_after_the_end_is_another_session(store: SQLSessionStore) -> None:
    """It has an id of its own, and nothing of what the other one held."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        old_id = client.session_id

        await client.get("/switch")

        assert client.session_id != old_id
        assert (await client.get("/show")).json == {"message": "you are logged out"}
    assert await store.load(old_id) is None
    assert await count(store) == 2  # the session, and the tombstone of the old id


@pytest.mark.parametrize("path", ["/put?color=blue", "/renew", "/login?user=eve"])
async def test_a_session_that_ended_meanwhile_is_not_revived(
    store: SQLSessionStore, path: str
) -> None:
    """The response goes out, the cookie is removed, and nothing is stored."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        ended = client.id
    async with browser(application(EndedMeanwhile(store))) as client:
        client.id = ended

        answer = await client.get(path)

    assert answer.status == 200
    assert "Max-Age=0" in (answer.set_cookie or "")
    assert await count(store) == 0


async def test_logging_out_twice_at_once_is_no_failure(store: SQLSessionStore) -> None:
    """The one who comes second finds it done."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        ended = client.id
    async with browser(application(EndedMeanwhile(store))) as client:
        client.id = ended

        answer = await client.get("/logout")

    assert answer.status == 200
    assert "Max-Age=0" in (answer.set_cookie or "")


async def test_a_session_keeps_when_it_began(store: SQLSessionStore) -> None:
    """``created`` is the same however often the session changes or is extended."""
    moments = []

    async def created(request: web.Request) -> web.Response:
        moments.append((await get_session(request)).created)
        return web.Response()

    async with browser(application(store, created)) as client:
        await client.get("/put?color=red")
        await client.get("/created")
        session_id = client.session_id
        loaded = await store.load(session_id)
        assert loaded is not None
        began = moments.pop()
        loaded.state["aiohttp_session.created"] = began - 1_000
        await store.update(session_id, loaded)

        await client.get("/put?color=blue")
        await client.get("/renew")
        await client.get("/created")

    assert moments == [began - 1_000]


async def test_what_begins_after_the_end_begins_then(store: SQLSessionStore) -> None:
    """The age of a session after a logout is counted from its own creation."""
    async with browser(application(store)) as client:
        await client.get("/put?color=red")
        old = await store.load(client.session_id)
        assert old is not None
        old.state["aiohttp_session.created"] = 1_000
        await store.update(client.session_id, old)

        await client.get("/switch")

        new = await store.load(client.session_id)
    assert new is not None
    created = new.state["aiohttp_session.created"]
    assert isinstance(created, int)
    assert created > 1_000


async def test_a_session_of_another_framework_is_taken_as_it_is(store: SQLSessionStore) -> None:
    """Reading it changes nothing about it."""
    session_id = SessionId.generate()
    await store.create(session_id, record(TTL, user="ada"))
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        client.id = session_id.value

        assert (await client.get("/show")).json == {"user": "ada"}

        assert recorded.calls == ["load"]
        await client.get("/put?color=red")
    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == {"user": "ada", "color": "red"}


@pytest.mark.parametrize("seconds", [60, 40 * 24 * 60 * 60])
async def test_a_session_can_have_a_life_of_its_own(store: SQLSessionStore, seconds: int) -> None:
    """Shorter than the storage's, or longer."""

    async def remember(request: web.Request) -> web.Response:
        (await get_session(request)).max_age = seconds
        return web.Response()

    async with browser(application(store, remember)) as client:
        await client.get("/put?color=red")

        answer = await client.get("/remember")

        assert f"Max-Age={seconds};" in (answer.set_cookie or "")
        loaded = await store.load(client.session_id)
        assert loaded is not None
        assert timedelta(seconds=seconds - 30) < loaded.ttl <= timedelta(seconds=seconds)


async def test_a_cookie_can_end_with_the_browser(store: SQLSessionStore) -> None:
    """The session has the lifetime of the storage, because every row must expire."""

    async def forget(request: web.Request) -> web.Response:
        (await get_session(request)).max_age = None
        return web.Response()

    async with browser(application(store, forget)) as client:
        await client.get("/put?color=red")

        answer = await client.get("/forget")

        assert answer.set_cookie is not None
        assert "Max-Age" not in answer.set_cookie
        loaded = await store.load(client.session_id)
        assert loaded is not None
        assert TTL - timedelta(minutes=1) < loaded.ttl <= TTL


class BrokenCodec:
    """Cannot read what it finds."""

    def encode(self, state: dict[str, Any]) -> bytes:
        """Never called."""
        raise NotImplementedError

    def decode(self, data: bytes) -> dict[str, Any]:
        """Fail as a codec may."""
        raise DeserializationError("wrong key")


async def test_a_state_that_cannot_be_decoded_is_an_unknown_one(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is not locked out, and the log says what happened, but not whose."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    async with (
        SQLSessionStore(store.engine, codec=BrokenCodec()) as broken,
        browser(application(broken)) as client,
    ):
        client.id = session_id.value

        answer = await client.get("/show")

    assert answer.json == {}
    assert "cannot be decoded" in caplog.text
    assert session_id.value not in caplog.text


async def test_a_state_that_json_would_change_is_rejected(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The response does not pretend that it was stored; and the error names its path."""

    async def store_a_set(request: web.Request) -> web.Response:
        (await get_session(request))["tags"] = {"a"}
        return web.Response()

    async with browser(application(store, store_a_set)) as client:
        answer = await client.get("/store_a_set")

    assert answer.status == 500
    assert answer.set_cookie is None
    assert "state['tags']: set is not a JSON value" in caplog.text
    assert await count(store) == 0


async def test_a_failing_database_fails_the_request(
    store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """No cookie is set for a session that is not there."""
    caplog.set_level(logging.CRITICAL)
    missing = SQLSessionStore(store.engine, table="no_such_table")
    async with browser(application(missing)) as client:
        answer = await client.get("/put?color=red")

    assert answer.status == 500
    assert answer.set_cookie is None


def test_the_cookie_of_these_tests_is_the_default() -> None:
    """The browsers here look for no other."""
    from sessionstore_sql.aiohttp import SQLStorage
    from tests.unit.memory_backend import MemoryBackend

    assert SQLStorage(MemoryBackend()).cookie_name == COOKIE
