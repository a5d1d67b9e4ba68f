"""What attackers try on the cookie of an aiohttp session, on every database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp_session import get_session
from sqlalchemy import URL

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.aiohttp import rotate
from sessionstore_sql.litestar import SQLStore
from tests.aiohttp.applications import (
    COOKIE,
    QUIET,
    TTL,
    Answer,
    Browser,
    application,
    browser,
    running,
)
from tests.visited_stores import RecordedStore, count, let_pass

pytestmark = [pytest.mark.anyio, *QUIET]

PLANTED = "x" * 43


async def raw_answer(app: web.Application, path: str, *cookies: bytes) -> bytes:
    """Return all that the server sends for ``Cookie`` headers that no client would send."""
    async with running(app) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        headers = b"".join(b"Cookie: " + cookie + b"\r\n" for cookie in cookies)
        writer.write(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: shop.example\r\n")
        writer.write(headers + b"Connection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize("path", ["/login?user=ada", "/login_anew?user=ada", "/put?color=red"])
async def test_an_invented_id_is_not_adopted(store: SQLSessionStore, path: str) -> None:
    """Fixation: an id that the server did not give out begins no session."""
    async with browser(application(store)) as client:
        client.id = PLANTED

        await client.get(path)

        assert client.id not in {PLANTED, None}
    assert await store.load(SessionId(PLANTED)) is None
    assert await count(store) == 1


async def test_an_invented_id_writes_nothing(store: SQLSessionStore) -> None:
    """A thousand invented ids create no rows."""
    recorded = RecordedStore(store)
    async with browser(application(recorded)) as client:
        client.id = PLANTED

        answer = await client.get("/show")

    assert answer.json == {}
    assert answer.set_cookie is None
    assert recorded.calls == ["load"]


@pytest.mark.parametrize("login", ["/login?user=ada", "/login_anew?user=ada"])
async def test_a_planted_session_is_useless_after_login(store: SQLSessionStore, login: str) -> None:
    """Fixation: the attacker's own live session, planted in a victim's browser, is left behind."""
    async with running(application(store)) as client:
        attacker, victim = Browser(client), Browser(client)
        await attacker.get("/put?color=red")
        victim.id = attacker.id

        await victim.get(login)

        assert (await victim.get("/show")).json["user"] == "ada"
        assert (await attacker.get("/show")).json == {}


async def test_an_expired_id_is_not_adopted(store: SQLSessionStore) -> None:
    """Fixation: an id that was good once does not begin another session."""
    async with browser(application(store)) as client:
        await client.get("/put?name=ada")
        expired = client.session_id
        await let_pass(store, TTL)

        await client.get("/login?user=ada")

        assert client.session_id != expired
    assert await store.load(expired) is None


@pytest.mark.parametrize(
    "end", ["/logout", "/empty", "/switch", "/renew", "/login?user=b", "/login_anew?user=b"]
)
async def test_a_copied_cookie_is_useless_afterwards(store: SQLSessionStore, end: str) -> None:
    """Replay after logging out and after a rotation: neither reading nor writing brings it back."""
    async with running(application(store)) as client:
        owner, thief = Browser(client), Browser(client)
        await owner.get("/login?user=ada")
        copied = thief.id = owner.id
        await owner.get(end)

        assert (await thief.get("/show")).json == {}
        await thief.get("/put?color=red")
        thief.id = copied
        assert (await thief.get("/show")).json == {}


async def test_a_leaked_key_is_no_cookie(store: SQLSessionStore) -> None:
    """The digests in the table do not work as ids."""
    async with browser(application(store)) as client:
        await client.get("/login?user=ada")
        client.id = hashlib.sha256(client.session_id.value.encode()).hexdigest()

        assert (await client.get("/show")).json == {}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b'""',
        b"x" * 1_025,
        b"x" * 8_000,
        b"\xff\xfe",
        b"\xc3\xa9",
        b"a b",
        b"a,b",
        b"%00",
        b'"\\000"',
        b"../../etc/passwd",
        b"' OR 1=1 --",
    ],
    ids=lambda value: repr(value[:20]),
)
async def test_a_malformed_cookie_is_an_anonymous_request(
    store: SQLSessionStore, value: bytes
) -> None:
    """A malformed cookie is no error, and a new session has a generated id."""
    cookie = COOKIE.encode() + b"=" + value

    shown = await raw_answer(application(store), "/show", cookie)
    put = await raw_answer(application(store), "/put?color=red", cookie)

    assert shown.startswith(b"HTTP/1.1 200")
    assert shown.endswith(b"\r\n\r\n{}")
    given = put.partition(COOKIE.encode() + b"=")[2].partition(b";")[0]
    assert len(given) == 43


@pytest.mark.parametrize("value", [b"a\0b", b"x" * 100_000], ids=["nul", "oversized"])
async def test_what_is_no_http_never_comes_as_far(store: SQLSessionStore, value: bytes) -> None:
    """The header is rejected by aiohttp."""
    cookie = COOKIE.encode() + b"=" + value

    answer = await raw_answer(application(store), "/put?color=red", cookie)

    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert await count(store) == 0


@pytest.mark.parametrize("value", [b"x" * 1_025, b"\xff\xfe", b"a b", b'"quoted"'], ids=repr)
async def test_what_is_no_id_is_not_looked_for(store: SQLSessionStore, value: bytes) -> None:
    """It costs no statement."""
    recorded = RecordedStore(store)

    await raw_answer(application(recorded), "/show", COOKIE.encode() + b"=" + value)

    assert recorded.calls == []


@pytest.mark.parametrize("as_headers", [False, True], ids=["one header", "two headers"])
async def test_of_two_cookies_none_is_taken(store: SQLSessionStore, as_headers: bool) -> None:
    """Tossing: which of them another host or path has planted cannot be told."""
    async with running(application(store)) as client:
        attacker, victim = Browser(client), Browser(client)
        await attacker.get("/put?name=eve")
        await victim.get("/put?name=ada")
    both = [f"{COOKIE}={each.id}".encode() for each in (attacker, victim)]

    for order in (both, both[::-1]):
        cookies = order if as_headers else [b"; ".join(order)]
        assert (await raw_answer(application(store), "/show", *cookies)).endswith(b"{}")


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85"])
async def test_a_name_with_other_blanks_is_another_name(
    store: SQLSessionStore, blank: bytes
) -> None:
    """Browsers do not protect a cookie whose name only resembles the prefix."""
    async with browser(application(store)) as client:
        await client.get("/put?name=eve")
    cookie = blank + f"{COOKIE}={client.id}".encode()

    assert (await raw_answer(application(store), "/show", cookie)).endswith(b"{}")


async def test_an_entry_of_a_cache_is_no_session(store: SQLSessionStore, url: URL) -> None:
    """A cached value of Litestar in the same table is never loaded as a session."""
    cache = SQLStore(url, namespace="cache")
    await cache.set("key", b'{"user": "admin"}')
    cookie = f"{COOKIE}={cache.namespace.id_of('key').value}".encode()

    assert (await raw_answer(application(store), "/show", cookie)).endswith(b"{}")
    await cache.aclose()


async def test_each_of_the_logins_at_once_gets_a_session(store: SQLSessionStore) -> None:
    """Whichever response the browser receives last, its visitor is logged in."""
    everyone_has_loaded = asyncio.Barrier(5)

    async def login_together(request: web.Request) -> web.Response:
        session = await get_session(request)
        await everyone_has_loaded.wait()
        await rotate(request)
        session["user"] = "ada"
        return web.Response()

    async with running(application(store, login_together)) as client:
        first = Browser(client)
        await first.get("/put?color=red")
        tabs = [Browser(client, first.id) for _ in range(5)]

        answers = await asyncio.gather(*(tab.get("/login_together") for tab in tabs))

        assert [answer.status for answer in answers] == [200] * 5
        assert len({first.id, *(tab.id for tab in tabs)}) == 6
        assert [(await tab.get("/show")).json["user"] for tab in tabs] == ["ada"] * 5
    assert await count(store) == 6  # the sessions, and the tombstone of the old id


@asynccontextmanager
async def written_beside(
    store: SQLSessionStore, begin: str, meanwhile: str
) -> AsyncIterator[tuple[Browser, Answer]]:
    """Give a browser and the answer to its write, which comes after that to ``meanwhile``."""
    under_way, may_end = asyncio.Event(), asyncio.Event()

    async def write_late(request: web.Request) -> web.Response:
        (await get_session(request))["late"] = "yes"
        under_way.set()
        await may_end.wait()
        return web.Response()

    async with browser(application(store, write_late)) as client:
        await client.get(begin)
        late = asyncio.create_task(client.get("/write_late"))
        await under_way.wait()
        await client.get(meanwhile)
        may_end.set()
        yield client, await late


async def test_a_write_beside_a_login_does_not_remove_the_new_cookie(
    store: SQLSessionStore,
) -> None:
    """A login is kept, even if the response to an overtaken request arrives last."""
    async with written_beside(store, "/put?name=ada", "/login?user=ada") as (client, answer):
        assert answer.status == 200
        assert answer.set_cookie is None
        assert (await client.get("/show")).json == {"name": "ada", "user": "ada"}


async def test_a_write_beside_a_logout_does_not_revive(store: SQLSessionStore) -> None:
    """Whichever of them comes first, the session is gone in the end."""
    async with running(application(store)) as client:
        first = Browser(client)
        await first.get("/login?user=ada")
        tabs = [Browser(client, first.id) for _ in range(11)]
        paths = [*(f"/put?n={n}" for n in range(5)), "/logout", *(f"/put?m={m}" for m in range(5))]

        answers = await asyncio.gather(
            *(tab.get(path) for tab, path in zip(tabs, paths, strict=True))
        )

        assert {answer.status for answer in answers} == {200}
        assert (await first.get("/show")).json == {}


async def test_a_write_that_loses_to_a_logout_removes_the_cookie(store: SQLSessionStore) -> None:
    """Its answer goes out, and what it stored is dropped."""
    async with written_beside(store, "/login?user=ada", "/logout") as (_, answer):
        assert answer.status == 200
        assert "Max-Age=0" in (answer.set_cookie or "")
    assert await count(store) == 0


async def test_anonymous_requests_at_once_get_sessions_of_their_own(
    store: SQLSessionStore,
) -> None:
    """None sees what another one put."""
    async with running(application(store)) as client:
        tabs = [Browser(client) for _ in range(20)]

        await asyncio.gather(*(tab.get(f"/put?n={n}") for n, tab in enumerate(tabs)))

        shown = [(await tab.get("/show")).json for tab in tabs]
    assert shown == [{"n": str(n)} for n in range(20)]
    assert await count(store) == 20
