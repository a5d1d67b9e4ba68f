"""What attackers try on the cookie of a Litestar session, on every database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from litestar import Litestar, get
from sqlalchemy import URL

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.litestar import SQLSessionConfig, SQLStore, rotate
from tests.litestar.applications import (
    COOKIE,
    HANDLERS,
    TTL,
    AnyRequest,
    application,
    browser,
    id_in,
)
from tests.visited_stores import RecordedStore, count, let_pass

pytestmark = pytest.mark.anyio

PLANTED = "x" * 43


async def with_cookies(store: SQLSessionStore, header: bytes, path: str) -> httpx.Response:
    """Visit ``path`` with the cookies in ``header``, as it is."""
    async with browser(application(store)) as client:
        return await client.get(path, headers=[(b"cookie", header)])


def cookie_of(client: httpx.AsyncClient) -> bytes:
    """Return what the client would send now."""
    return f"{COOKIE}={id_in(client).value}".encode()


@pytest.mark.parametrize("path", ["/login?user=ada", "/put?color=red"])
async def test_an_invented_id_is_not_adopted(store: SQLSessionStore, path: str) -> None:
    """Fixation: an id that the server did not give out begins no session."""
    response = await with_cookies(store, f"{COOKIE}={PLANTED}".encode(), path)

    assert response.cookies[COOKIE] != PLANTED
    assert await store.load(SessionId(PLANTED)) is None
    assert await count(store) == 1


async def test_an_invented_id_writes_nothing(store: SQLSessionStore) -> None:
    """A thousand invented ids create no rows."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        response = await client.get("/show", headers={"cookie": f"{COOKIE}={PLANTED}"})

    assert response.json() == {}
    assert recorded.calls == ["load"]
    assert "set-cookie" not in response.headers
    assert await count(store) == 0


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


@pytest.mark.parametrize("end", ["/logout", "/clear", "/empty", "/renew", "/login?user=bob"])
async def test_a_copied_cookie_is_useless_afterwards(store: SQLSessionStore, end: str) -> None:
    """Replay after logging out and after a rotation: neither reading nor writing brings it back."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        copied = cookie_of(client)
        await client.get(end)

    shown = await with_cookies(store, copied, "/show")
    await with_cookies(store, copied, "/put?color=red")

    assert shown.json() == {}
    assert (await with_cookies(store, copied, "/show")).json() == {}


async def test_a_leaked_key_is_no_cookie(store: SQLSessionStore) -> None:
    """The digests in the table do not work as ids."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        digest = hashlib.sha256(id_in(client).value.encode()).hexdigest()

    response = await with_cookies(store, f"{COOKIE}={digest}".encode(), "/show")

    assert response.json() == {}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b'""',
        b" ",
        b"x" * 1_025,
        b"x" * 100_000,
        b"\xff\xfe",
        b"\xc3\xa9",
        b"a\0b",
        b"a b",
        b"a,b",
        b"%00",
        b'"\\000"',
        b"../../etc/passwd",
        b"' OR 1=1 --",
    ],
    ids=repr,
)
async def test_a_malformed_cookie_is_an_anonymous_request(
    store: SQLSessionStore, value: bytes
) -> None:
    """A malformed cookie is no error, and a new session has a generated id."""
    cookie = COOKIE.encode() + b"=" + value

    shown = await with_cookies(store, cookie, "/show")
    put = await with_cookies(store, cookie, "/put?color=red")

    assert shown.status_code == 200
    assert shown.json() == {}
    assert len(put.cookies[COOKIE]) == 43


@pytest.mark.parametrize("value", [b"x" * 1_025, b"\xff\xfe", b"a b", b'"quoted"'], ids=repr)
async def test_what_is_no_id_is_not_looked_for(store: SQLSessionStore, value: bytes) -> None:
    """It costs no statement."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        await client.get("/show", headers=[(b"cookie", COOKIE.encode() + b"=" + value)])

    assert recorded.calls == []


@pytest.mark.parametrize("as_headers", [False, True], ids=["one header", "two headers"])
async def test_of_two_cookies_none_is_taken(store: SQLSessionStore, as_headers: bool) -> None:
    """Tossing: which of them another host or path has planted cannot be told."""
    app = application(store)
    async with browser(app) as attacker, browser(app) as victim:
        await attacker.get("/put?name=eve")
        await victim.get("/put?name=ada")
        both = [cookie_of(attacker), cookie_of(victim)]

    async with browser(app) as client:
        for order in (both, both[::-1]):
            cookies = order if as_headers else [b"; ".join(order)]
            response = await client.get("/show", headers=[(b"cookie", each) for each in cookies])
            assert response.json() == {}


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\x1f", b"\x0c"])
async def test_a_name_with_other_blanks_is_another_name(
    store: SQLSessionStore, blank: bytes
) -> None:
    """Browsers do not protect a cookie whose name only resembles the prefix."""
    async with browser(application(store)) as client:
        await client.get("/put?name=eve")
        header = blank + cookie_of(client)

    assert (await with_cookies(store, header, "/show")).json() == {}


async def test_an_entry_of_a_cache_is_no_session(store: SQLSessionStore, url: URL) -> None:
    """A cached value in the same table is never loaded as a session."""
    cache = SQLStore(url, namespace="cache")
    await cache.set("key", b'{"user": "admin"}')
    header = f"{COOKIE}={cache.namespace.id_of('key').value}".encode()

    response = await with_cookies(store, header, "/show")

    assert response.json() == {}
    await cache.aclose()


async def test_each_of_the_logins_at_once_gets_a_session(store: SQLSessionStore) -> None:
    """Whichever response the browser receives last, its visitor is logged in."""
    app = application(store)
    async with browser(app) as client:
        await client.get("/put?color=red")
        copied = cookie_of(client)
    everyone_has_loaded = asyncio.Barrier(5)

    @get("/login-together")
    async def login_together(request: AnyRequest) -> None:
        await everyone_has_loaded.wait()
        rotate(request)
        request.session["user"] = "ada"

    app = application(store, login_together)
    async with browser(app) as client:
        responses = await asyncio.gather(
            *(client.get("/login-together", headers=[(b"cookie", copied)]) for _ in range(5))
        )

    assert [response.status_code for response in responses] == [200] * 5
    records = [await store.load(SessionId(each.cookies[COOKIE])) for each in responses]
    states = [record.state for record in records if record is not None]
    assert states == [{"color": "red", "user": "ada"}] * 5
    assert await count(store) == 6  # the sessions, and the tombstone of the old id


@asynccontextmanager
async def written_beside(
    store: SQLSessionStore, begin: str, meanwhile: str
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.Response]]:
    """Give a browser and the response to its write, which comes after that to ``meanwhile``."""
    under_way, may_end = asyncio.Event(), asyncio.Event()

    @get("/write-late")
    async def write_late(request: AnyRequest) -> None:
        request.session["late"] = True
        under_way.set()
        await may_end.wait()

    async with browser(application(store, write_late)) as client:
        await client.get(begin)
        late = asyncio.create_task(client.get("/write-late"))
        await under_way.wait()
        await client.get(meanwhile)
        may_end.set()
        yield client, await late


async def test_a_write_beside_a_login_does_not_remove_the_new_cookie(
    store: SQLSessionStore,
) -> None:
    """A login is kept, even if the response to an overtaken request arrives last."""
    async with written_beside(store, "/put?name=ada", "/login?user=ada") as (client, response):
        assert response.status_code == 200
        assert "set-cookie" not in response.headers
        assert (await client.get("/show")).json() == {"name": "ada", "user": "ada"}


async def test_a_write_beside_a_logout_does_not_revive(store: SQLSessionStore) -> None:
    """Whichever of them comes first, the session is gone in the end."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        copied = [(b"cookie", cookie_of(client))]

    async with browser(application(store)) as client:
        responses = await asyncio.gather(
            *(client.get(f"/put?n={n}", headers=copied) for n in range(5)),
            client.get("/logout", headers=copied),
            *(client.get(f"/put?m={m}", headers=copied) for m in range(5)),
        )

    assert {response.status_code for response in responses} == {200}
    assert (await with_cookies(store, copied[0][1], "/show")).json() == {}


async def test_a_write_that_loses_to_a_logout_removes_the_cookie(store: SQLSessionStore) -> None:
    """Its answer goes out, and what it stored is dropped."""
    async with written_beside(store, "/login?user=ada", "/logout") as (_, response):
        assert response.status_code == 200
        assert "Max-Age=0" in response.headers["set-cookie"]
    assert await count(store) == 0


async def test_anonymous_requests_at_once_get_sessions_of_their_own(
    store: SQLSessionStore,
) -> None:
    """None sees what another one put."""
    app = application(store)
    async with browser(app) as client:
        responses = await asyncio.gather(*(client.get(f"/put?n={n}") for n in range(20)))

    ids = {response.cookies[COOKIE] for response in responses}
    assert len(ids) == 20
    assert await count(store) == 20


async def test_a_cached_response_gives_nobodys_cookie_away(
    store: SQLSessionStore, url: URL
) -> None:
    """Litestar keeps the messages of a response: before the cookie is written, and not after."""

    @get("/cached", cache=True)
    async def cached(request: AnyRequest) -> str:
        request.session["seen"] = True
        return "answer"

    config = SQLSessionConfig(store=store)
    cache = SQLStore(url, namespace="responses")
    app = Litestar(
        [cached, *HANDLERS], middleware=[config.middleware], stores={"response_cache": cache}
    )
    async with app.lifespan(), browser(app) as first, browser(app) as second:
        await first.get("/cached")

        response = await second.get("/cached")

        assert response.text == "answer"
        assert "set-cookie" not in response.headers
        assert (await first.get("/show")).json() == {"seen": True}
        assert (await second.get("/show")).json() == {}
