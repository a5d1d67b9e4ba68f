"""Bad session cookies, for applications on Starlette, Litestar and aiohttp."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import strategies as st

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.aiohttp import SQLStorage
from sessionstore_sql.web.cookie import SessionCookie
from tests.aiohttp.applications import QUIET
from tests.fuzz import values
from tests.fuzz.documented import attempt, require_secrets_kept
from tests.fuzz.exploring import explore
from tests.fuzz.hostile import SECRET
from tests.fuzz.worlds import World
from tests.leaks import logged
from tests.litestar.applications import application as litestar_application
from tests.starlette.applications import application as starlette_application

pytestmark = QUIET

NAME = b"__Host-session"
VALUE = f"live-{SECRET}"
_ATTRIBUTES = {"Path", "Max-Age", "HttpOnly", "SameSite", "Secure", "Domain", "Partitioned"}

USER = "a-secret-user"

_otherwise = st.one_of(
    st.binary(max_size=20),
    values.pieces.map(lambda each: each.encode("utf-8", "surrogatepass")),
    st.sampled_from([VALUE.encode(), f'"{VALUE}"'.encode(), b"x" * 1_025, b"", b" ", b"a=b"]),
)
_bytes = values.mostly(st.just(VALUE.encode()), _otherwise, 1)
_pairs = st.builds(
    lambda name, equals, value: name + equals + value,
    st.sampled_from([NAME, NAME, NAME, b"__host-session", b" " + NAME, NAME + b"\xa0", b"", b"x"]),
    st.sampled_from([b"=", b"=", b"=", b"", b" = ", b"=="]),
    _bytes,
)
cookies = st.lists(st.lists(_pairs, max_size=3).map(b"; ".join), max_size=2)


def test_options_of_a_cookie() -> None:
    """Options give a cookie whose header has one line, or an error about an option."""

    def check(name: Any, path: Any, same_site: Any, domain: Any, secure: bool) -> None:
        options = {"name": name, "path": path, "same_site": same_site, "domain": domain}
        made = attempt(lambda: SessionCookie(**options, secure=secure))
        if made.error is None:
            header = made.value.set_header(SessionId("id"), timedelta(hours=1))
            attributes = [each.strip().partition("=")[0] for each in header.split(";")]
            assert header.isascii()
            assert header.isprintable()
            assert attributes[0] == name
            assert set(attributes[1:]) <= _ATTRIBUTES
            assert len(set(attributes[1:])) == len(attributes) - 1

    explore(
        check,
        values.mostly(st.sampled_from(["session", "__Host-s", "__Secure-s"]), values.texts),
        values.mostly(st.just("/"), values.texts.map(lambda each: "/" + each), 1),
        values.mostly(st.sampled_from(["lax", "strict", "none"]), values.texts),
        values.mostly(st.none(), values.texts),
        st.booleans(),
        examples=150,
    )


@pytest.mark.parametrize("application", [starlette_application, litestar_application])
def test_what_clients_present(world: World, application: Callable[..., Any]) -> None:
    """No client gets a session without its id, nothing fails, and reading changes nothing."""
    _require_file(world)
    app = application(world.store)

    async def ask(headers: list[bytes]) -> bytes:
        status, body = await _answer(app, headers)
        assert status < 500, body
        return body

    _explore_headers(world, ask)


def test_what_clients_present_to_aiohttp(world: World) -> None:
    """The storage of aiohttp-session behaves in the same way."""
    _require_file(world)
    storage = SQLStorage(world.store)

    async def ask(headers: list[bytes]) -> bytes:
        request = make_mocked_request("GET", "/")
        raw_headers = tuple((b"Cookie", each) for each in headers)
        request._message = request._message._replace(raw_headers=raw_headers)
        return repr(dict(await storage.load_session(request))).encode()

    _explore_headers(world, ask)


def _explore_headers(world: World, ask: Callable[[list[bytes]], Awaitable[bytes]]) -> None:
    session_id = SessionId(VALUE)

    async def check(headers: list[bytes], damage: bytes | None) -> None:
        await world.reset()
        await world.alone.create(session_id, SessionRecord({"user": USER}, timedelta(hours=9)))
        if damage is not None:
            await world.write(session_id, state=world.bytes(damage))
        before = await world.snapshot()
        with logged() as log:
            body = await ask(headers)

        assert await world.snapshot() == before
        require_secrets_kept(None, log.text)
        pairs = [pair.partition(b"=") for each in headers for pair in each.split(b";")]
        presented = [value for name, _, value in pairs if name.strip(b" \t") == NAME]
        if damage is None:
            # Other ids beside it are not live.
            assert (USER.encode() in body) == (VALUE.encode() in presented)

    explore(
        lambda *drawn: world.run(check(*drawn)),
        values.mostly(cookies, st.just([NAME + b"=" + VALUE.encode()])),
        values.mostly(st.none(), values.stored_states, 2),
        examples=world.share(60),
    )


async def _answer(app: Any, cookies: list[bytes]) -> tuple[int, bytes]:
    """Send ``GET /show`` without an HTTP parser, which would reject some headers."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/show",
        "raw_path": b"/show",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"shop.example"), *((b"cookie", each) for each in cookies)],
        "client": ("127.0.0.1", 1),
        "server": ("shop.example", 443),
        "extensions": {},
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


def _require_file(world: World) -> None:
    if not world.is_file:
        pytest.skip("cookies are read without a database")
