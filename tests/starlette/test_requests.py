"""What a request does to its session, on every database."""

from __future__ import annotations

from datetime import timedelta

import httpx2 as httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from sessionstore_sql import SQLSessionStore
from tests.starlette.applications import COOKIE, DUE, TTL, application, browser, id_in
from tests.visited_stores import EndedMeanwhile, RecordedStore, count, let_pass

pytestmark = pytest.mark.anyio


@pytest.fixture
def recorded(store: SQLSessionStore) -> RecordedStore:
    """The store, and which of its operations were called."""
    return RecordedStore(store)


async def test_what_one_request_stores_the_next_one_finds(recorded: RecordedStore) -> None:
    """A new session is created, and loaded with the cookie that was set for it."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")

        assert (await client.get("/show")).json() == {"name": "ada"}
    assert recorded.calls == ["create", "load"]


async def test_an_anonymous_read_writes_nothing(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """Who has no session gets none for looking: no row, no cookie, no statement."""
    async with browser(application(recorded)) as client:
        response = await client.get("/show")

    assert response.json() == {}
    assert "set-cookie" not in response.headers
    assert recorded.calls == []
    assert await count(store) == 0


async def test_an_emptied_session_that_never_was_writes_nothing(recorded: RecordedStore) -> None:
    """Clearing an empty session, or logging out without one, executes no statement."""
    async with browser(application(recorded)) as client:
        responses = [await client.get("/clear"), await client.get("/logout")]

    assert ["set-cookie" in response.headers for response in responses] == [False, False]
    assert recorded.calls == []


async def test_a_session_that_is_only_read_is_not_written(recorded: RecordedStore) -> None:
    """Reading costs one statement, and no cookie."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        recorded.calls.clear()

        response = await client.get("/show")

    assert "set-cookie" not in response.headers
    assert recorded.calls == ["load"]


async def test_a_change_is_one_update(recorded: RecordedStore, store: SQLSessionStore) -> None:
    """A changed session is updated under its id. It keeps its deadline, and the cookie too."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        session_id = id_in(client)
        await let_pass(store, timedelta(hours=1))
        recorded.calls.clear()

        response = await client.get("/put?name=grace")

    assert recorded.calls == ["load", "update"]
    assert "set-cookie" not in response.headers
    record = await store.load(session_id)
    assert record is not None
    assert record.state == {"name": "grace"}
    assert TTL - timedelta(minutes=65) < record.ttl < TTL - timedelta(minutes=55)


async def test_nested_changes_are_seen(recorded: RecordedStore) -> None:
    """What is changed inside a value of the session is stored like the rest."""
    async with browser(application(recorded)) as client:
        await client.get("/add?item=tea")
        await client.get("/add?item=scones")

        assert (await client.get("/show")).json() == {"cart": ["tea", "scones"]}


async def test_a_change_that_equality_does_not_see_is_seen(store: SQLSessionStore) -> None:
    """``True`` in place of ``1`` is a change: they are not the same in JSON."""

    async def enable(request: Request) -> Response:
        request.session["flag"] = True
        return Response()

    async def disable(request: Request) -> Response:
        request.session["flag"] = 1
        return Response()

    async with browser(application(store, enable, disable)) as client:
        await client.get("/disable")
        await client.get("/enable")

        assert (await client.get("/show")).text == '{"flag":true}'


async def test_what_is_put_back_as_it_was_is_no_change(recorded: RecordedStore) -> None:
    """A session that is the same in the end is not written."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        recorded.calls.clear()

        await client.get("/put?name=ada")

    assert recorded.calls == ["load"]


async def test_a_session_is_extended_when_too_little_of_its_life_remains(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """Below the threshold a request extends the session and its cookie, and writes no state."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        await let_pass(store, DUE)
        recorded.calls.clear()

        response = await client.get("/show")

        assert recorded.calls == ["load", "update_ttl"]
        assert f"Max-Age={TTL.total_seconds():.0f}" in response.headers["set-cookie"]
        assert response.cookies[COOKIE] == id_in(client).value
        record = await store.load(id_in(client))
    assert record is not None
    assert record.ttl > TTL - timedelta(minutes=5)
    assert record.state == {"name": "ada"}


async def test_a_session_is_extended_by_requests_that_do_not_ask_for_it(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """An active user stays logged in on every page."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        await let_pass(store, DUE)
        recorded.calls.clear()

        await client.get("/untouched")

    assert recorded.calls == ["load", "update_ttl"]


async def test_the_threshold_is_an_option(recorded: RecordedStore, store: SQLSessionStore) -> None:
    """With a threshold of zero, a session ends when it was to end."""
    async with browser(application(recorded, renewal_threshold=0)) as client:
        await client.get("/put?name=ada")
        await let_pass(store, DUE)
        recorded.calls.clear()

        await client.get("/show")

    assert recorded.calls == ["load"]


async def test_a_session_that_was_emptied_is_deleted(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """As with Starlette's own sessions, clearing one removes its cookie; its row goes too."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        recorded.calls.clear()

        response = await client.get("/clear")

        assert COOKIE not in client.cookies
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert recorded.calls == ["load", "delete"]
    assert await count(store) == 0


async def test_invalidate_deletes_the_session(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """A logout leaves neither a row nor a cookie."""
    async with browser(application(recorded)) as client:
        await client.get("/login?user=ada")
        recorded.calls.clear()

        response = await client.get("/logout")

        assert COOKIE not in client.cookies
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert recorded.calls == ["load", "delete"]
    assert await count(store) == 0


async def test_what_follows_invalidate_is_another_session(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """A message after a logout is in a session with another id."""
    async with browser(application(recorded)) as client:
        await client.get("/login?user=ada")
        old_id = id_in(client)
        recorded.calls.clear()

        await client.get("/switch")

        # The new session comes first: if its state cannot be stored, the old one remains.
        assert recorded.calls == ["load", "create", "create", "delete"]
        assert (await client.get("/show")).json() == {"message": "you are logged out"}
    assert await store.load(old_id) is None
    assert await count(store) == 2  # the session, and the tombstone of the old id


async def test_rotate_changes_the_id_and_keeps_the_rest(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """A rotation without a change writes no state. Its tombstone is announced, then completed."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        old_id = id_in(client)
        recorded.calls.clear()

        await client.get("/renew")

        assert recorded.calls == ["load", "create", "change_id", "change_id"]
        assert id_in(client) != old_id
        assert (await client.get("/show")).json() == {"name": "ada"}
    assert await store.load(old_id) is None


async def test_login_rotates_before_it_stores(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """The state after a login is never stored under the old id."""
    async with browser(application(recorded)) as client:
        await client.get("/add?item=tea")
        recorded.calls.clear()

        await client.get("/login?user=ada")

        assert recorded.calls == ["load", "create", "change_id", "update", "change_id"]
        assert (await client.get("/show")).json() == {"cart": ["tea"], "user": "ada"}
    assert await count(store) == 2  # the session, and the tombstone of the old id


async def test_an_expired_session_is_an_unknown_one(
    recorded: RecordedStore, store: SQLSessionStore
) -> None:
    """Its state is gone, and what is stored next is under an id of its own."""
    async with browser(application(recorded)) as client:
        await client.get("/put?name=ada")
        old_id = id_in(client)
        await let_pass(store, TTL)

        assert (await client.get("/show")).json() == {}
        await client.get("/put?color=red")

        assert (await client.get("/show")).json() == {"color": "red"}
        assert id_in(client) != old_id
    assert await store.load(old_id) is None


@pytest.mark.parametrize("path", ["/put?name=grace", "/renew", "/login?user=ada"])
async def test_a_session_logged_out_meanwhile_is_not_revived(
    store: SQLSessionStore, path: str
) -> None:
    """The response goes out, nothing is stored, and the cookie is removed."""
    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        cookies = client.cookies
    async with browser(application(EndedMeanwhile(store))) as client:
        client.cookies = cookies
        response = await client.get(path)

    assert response.status_code == httpx.codes.OK
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert await count(store) == 0


async def test_an_extension_revives_no_session(store: SQLSessionStore) -> None:
    """A session that ended before it could be extended has ended."""
    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        cookies = client.cookies
    await let_pass(store, DUE)
    async with browser(application(EndedMeanwhile(store))) as client:
        client.cookies = cookies
        response = await client.get("/show")

    assert response.json() == {"name": "ada"}
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert await count(store) == 0
