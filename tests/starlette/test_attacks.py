"""What attackers try on a session's cookie, on every database."""

from __future__ import annotations

import asyncio
import hashlib

import httpx2 as httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.starlette import rotate
from tests.starlette.applications import COOKIE, TTL, application, browser, id_in
from tests.visited_stores import RecordedStore, count, let_pass

pytestmark = pytest.mark.anyio

PLANTED = "x" * 43


async def with_cookies(store: SQLSessionStore, header: str | bytes, path: str) -> httpx.Response:
    """Visit ``path`` with the cookies in ``header``, as it is."""
    async with browser(application(store)) as client:
        return await client.get(path, headers=[(b"cookie", _bytes(header))])


def _bytes(header: str | bytes) -> bytes:
    return header.encode() if isinstance(header, str) else header


async def test_an_invented_id_is_not_adopted(store: SQLSessionStore) -> None:
    """Fixation: an id that the server did not give out begins no session."""
    response = await with_cookies(store, f"{COOKIE}={PLANTED}", "/login?user=ada")

    assert response.cookies[COOKIE] != PLANTED
    assert await store.load(SessionId(PLANTED)) is None
    assert await count(store) == 1


async def test_a_planted_session_is_useless_after_login(store: SQLSessionStore) -> None:
    """Fixation: the attacker's own live session, planted in a victim's browser, is left behind."""
    app = application(store)
    async with browser(app) as attacker, browser(app) as victim:
        await attacker.get("/put?color=red")
        victim.cookies = httpx.Cookies(attacker.cookies)

        await victim.get("/login?user=ada")

        assert (await victim.get("/show")).json()["user"] == "ada"
        assert (await attacker.get("/show")).json() == {}


async def test_an_expired_id_is_not_adopted(store: SQLSessionStore) -> None:
    """Fixation: an id that was good once does not begin another session."""
    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        expired = id_in(client)
        await let_pass(store, TTL)

        await client.get("/login?user=ada")

        assert id_in(client) != expired
    assert await store.load(expired) is None


async def test_replay_after_logout(store: SQLSessionStore) -> None:
    """A copy of the cookie is useless after the logout."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        copied = f"{COOKIE}={id_in(client).value}"
        await client.get("/logout")

    assert (await with_cookies(store, copied, "/show")).json() == {}


async def test_replay_after_rotation(store: SQLSessionStore) -> None:
    """A copy of the cookie is useless after the id was rotated."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        copied = f"{COOKIE}={id_in(client).value}"
        await client.get("/renew")

    assert (await with_cookies(store, copied, "/show")).json() == {}


async def test_writing_with_a_replayed_cookie_stores_nothing(store: SQLSessionStore) -> None:
    """An old id gives neither the session back, nor access to the one that follows it."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        copied = f"{COOKIE}={id_in(client).value}"
        await client.get("/renew")

        response = await with_cookies(store, copied, "/put?user=mallory")

        assert (await client.get("/show")).json() == {"user": "ada"}
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["tossed-last", "tossed-first"])
@pytest.mark.parametrize("apart", [False, True], ids=["one-header", "two-headers"])
async def test_tossed_cookies_are_not_accepted(
    store: SQLSessionStore, order: tuple[int, int], apart: bool
) -> None:
    """If two cookies have the name, one is from an attacker, so there is no session."""
    app = application(store)
    async with browser(app) as attacker, browser(app) as victim:
        await attacker.get("/login?user=mallory")
        await victim.get("/login?user=ada")
        pairs = [f"{COOKIE}={id_in(victim).value}", f"{COOKIE}={id_in(attacker).value}"]
    cookies = [pairs[index].encode() for index in order]
    headers = [(b"cookie", each) for each in (cookies if apart else [b"; ".join(cookies)])]

    async with browser(app) as client:
        response = await client.get("/show", headers=headers)

    assert response.json() == {}


@pytest.mark.parametrize(
    "header",
    [
        f'{COOKIE}="{{id}}"',
        f"{COOKIE}={{id}} x",
        f"{COOKIE}= {{id}}",
        f"{COOKIE}={{id}}\\",
        f"{COOKIE}={{id}},",
        f"{COOKIE}={{id}}é",
        f"{COOKIE}=",
        f"{COOKIE}",
        f"{COOKIE}={'{id}' * 24}",
        f"{COOKIE.lower()}={{id}}",
        # What str.strip takes for a blank, browsers take for the first letter of a name
        # without a prefix, which any host of the domain can set.
        f"\u2000{COOKIE}={{id}}",
        f"\x0b{COOKIE}={{id}}",
    ],
)
async def test_malformed_cookies_are_unknown_sessions(store: SQLSessionStore, header: str) -> None:
    """What is not exactly the cookie that was set is not looked up, however much it is like it."""
    recorded = RecordedStore(store)
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        cookie = header.format(id=id_in(client).value)

    async with browser(application(recorded)) as client:
        response = await client.get("/show", headers=[(b"cookie", cookie.encode())])

    assert response.json() == {}
    assert recorded.calls == []
    assert "set-cookie" not in response.headers


async def test_only_the_cookie_header_holds_cookies(store: SQLSessionStore) -> None:
    """What another header holds is no session."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        cookie = f"{COOKIE}={id_in(client).value}"
        client.cookies.clear()

        response = await client.get("/show", headers={"x-cookie": cookie})

    assert response.json() == {}


async def test_the_longest_id_is_looked_up_and_no_longer_one(store: SQLSessionStore) -> None:
    """The longest id there can be is found; of one character more, nothing is asked."""
    longest = "i" * 1024
    await store.create(SessionId(longest), SessionRecord({"name": "ada"}, TTL))

    found = await with_cookies(store, f"{COOKIE}={longest}", "/show")
    refused = await with_cookies(store, f"{COOKIE}={longest}i", "/show")

    assert found.json() == {"name": "ada"}
    assert refused.json() == {}


async def test_a_cookie_of_many_kilobytes_is_an_unknown_session(store: SQLSessionStore) -> None:
    """An oversized cookie costs no statement, and the request is answered."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        response = await client.get(
            "/put?name=ada", headers=[(b"cookie", f"{COOKIE}={'x' * 65_536}".encode())]
        )

    assert response.status_code == httpx.codes.OK
    assert recorded.calls == ["create"]


async def test_a_leaked_table_holds_no_cookies(store: SQLSessionStore) -> None:
    """What the database knows of an id, shown as a cookie, is an unknown id."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        digest = hashlib.sha256(id_in(client).value.encode()).hexdigest()

    assert (await with_cookies(store, f"{COOKIE}={digest}", "/show")).json() == {}


async def test_parallel_first_requests_get_a_session_each(store: SQLSessionStore) -> None:
    """Many requests without a cookie at once are many visitors, none of whom sees another."""
    async with browser(application(store)) as client:
        responses = await asyncio.gather(*(client.get(f"/put?n={n}") for n in range(20)))

    assert len({response.cookies[COOKIE] for response in responses}) == 20
    assert await count(store) == 20


async def test_each_of_parallel_rotations_gets_an_id(store: SQLSessionStore) -> None:
    """Whichever response the browser receives last, its id belongs to a live session."""
    waiting = asyncio.Barrier(10)

    async def renew_together(request: Request) -> Response:
        rotate(request)
        await waiting.wait()
        return Response()

    async with browser(application(store, renew_together)) as client:
        await client.get("/login?user=ada")
        header = {"cookie": f"{COOKIE}={id_in(client).value}"}
        client.cookies.clear()
        responses = await asyncio.gather(
            *(client.get("/renew_together", headers=header) for _ in range(10))
        )

    ids = {SessionId(response.cookies[COOKIE]) for response in responses}
    records = [await store.load(session_id) for session_id in ids]
    assert [response.status_code for response in responses] == [httpx.codes.OK] * 10
    assert len(ids) == 10
    assert [record.state for record in records if record is not None] == [{"user": "ada"}] * 10
    assert await count(store) == 11  # the sessions, and the tombstone of the old id


async def test_parallel_writes_do_not_undo_a_logout(store: SQLSessionStore) -> None:
    """Requests that were running at a logout do not revive the session."""
    waiting = asyncio.Barrier(10)
    logged_out = asyncio.Event()

    async def write_late(request: Request) -> Response:
        request.session["name"] = "late"
        await waiting.wait()
        await logged_out.wait()
        return Response()

    async with browser(application(store, write_late)) as client:
        await client.get("/login?user=ada")
        late = [asyncio.create_task(client.get("/write_late")) for _ in range(9)]
        await waiting.wait()
        await client.get("/logout")
        logged_out.set()
        responses = await asyncio.gather(*late)

    assert [response.status_code for response in responses] == [httpx.codes.OK] * 9
    assert all("Max-Age=0" in response.headers["set-cookie"] for response in responses)
    assert await count(store) == 0


async def test_an_old_id_beside_a_login_does_not_remove_the_new_cookie(
    store: SQLSessionStore,
) -> None:
    """A request that comes with the id from before a login leaves the browser's cookie alone."""
    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        before = f"{COOKIE}={id_in(client).value}"
        await client.get("/login?user=ada")

    response = await with_cookies(store, before, "/show")

    assert response.json() == {}
    assert "set-cookie" not in response.headers


async def test_a_write_beside_a_login_does_not_remove_the_new_cookie(
    store: SQLSessionStore,
) -> None:
    """A login is kept, even if the response to an overtaken request arrives last."""
    under_way, logged_in = asyncio.Event(), asyncio.Event()

    async def write_late(request: Request) -> Response:
        request.session["late"] = True
        under_way.set()
        await logged_in.wait()
        return Response()

    async with browser(application(store, write_late)) as client:
        await client.get("/put?name=ada")
        late = asyncio.create_task(client.get("/write_late"))
        await under_way.wait()
        await client.get("/login?user=ada")
        logged_in.set()
        response = await late

        assert response.status_code == httpx.codes.OK
        assert "set-cookie" not in response.headers
        assert (await client.get("/show")).json() == {"name": "ada", "user": "ada"}
