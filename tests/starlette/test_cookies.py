"""How the cookie is named, set and removed, and which options browsers would not accept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from sessionstore_sql import SessionId
from sessionstore_sql.starlette import SessionMiddleware
from sessionstore_sql.web.cookie import SessionCookie
from tests.starlette.applications import application, browser
from tests.unit.memory_backend import MemoryBackend

HOUR = timedelta(hours=1)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing."""


async def set_cookie(**options: Any) -> str:
    """Return the header that sets the cookie of a new session."""
    async with browser(application(MemoryBackend(), max_age=HOUR, **options)) as client:
        response = await client.get("/put?name=ada")
    return response.headers["set-cookie"].partition("=")[0] + _attributes(response)


def _attributes(response: Any) -> str:
    return response.headers["set-cookie"][response.headers["set-cookie"].index(";") :]


SECURE = "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, f"__Host-session{SECURE}"),
        ({"session_cookie": "id"}, f"id{SECURE}"),
        ({"domain": "shop.example"}, f"__Secure-session{SECURE}; Domain=shop.example"),
        ({"path": "/app"}, f"__Secure-session{SECURE.replace('/', '/app', 1)}"),
        ({"https_only": False}, f"sessionstore_id{SECURE.removesuffix('; Secure')}"),
        ({"same_site": "strict"}, f"__Host-session{SECURE.replace('Lax', 'Strict')}"),
        (
            {"same_site": "none", "partitioned": True},
            f"__Host-session{SECURE.replace('Lax', 'None')}; Partitioned",
        ),
    ],
    ids=str,
)
async def test_the_cookie_is_as_strict_as_the_options_let_it_be(
    options: dict[str, Any], header: str
) -> None:
    """Secure by default; a name that is not given has the prefix that its attributes allow."""
    assert await set_cookie(**options) == header


@pytest.mark.anyio
async def test_the_cookie_is_removed_with_the_attributes_it_was_set_with() -> None:
    """A browser removes only the cookie of the same path, domain and partition."""
    app = application(
        MemoryBackend(), path="/app", domain="shop.example", same_site="none", partitioned=True
    )
    async with browser(app) as client:
        response = await client.get("/logout", headers={"cookie": "__Secure-session=unknown"})

    assert response.headers["set-cookie"] == (
        "__Secure-session=; Path=/app; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT;"
        " HttpOnly; SameSite=None; Secure; Domain=shop.example; Partitioned"
    )


def test_less_than_a_second_is_not_nothing() -> None:
    """``Max-Age`` is rounded up: zero would remove the cookie."""
    cookie = SessionCookie(
        name="id", path="/", same_site="lax", secure=True, domain=None, partitioned=False
    )

    header = cookie.set_header(SessionId("x"), timedelta(milliseconds=1))

    assert "Max-Age=1;" in header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"session_cookie": ""}, "name"),
        ({"session_cookie": "a b"}, "name"),
        ({"session_cookie": "a=b"}, "name"),
        ({"session_cookie": "é"}, "name"),
        ({"path": "app"}, "slash"),
        ({"path": ""}, "slash"),
        ({"path": "/; HttpOnly"}, "semicolon"),
        ({"path": "/\r\nX: y"}, "semicolon"),
        ({"domain": ""}, "domain"),
        ({"domain": "a; Path=/"}, "domain"),
        ({"same_site": "Lax"}, "SameSite"),
        ({"same_site": None}, "SameSite"),
        ({"same_site": "none", "https_only": False}, "Secure"),
        ({"partitioned": True, "https_only": False}, "Secure"),
        ({"session_cookie": "__Host-id", "https_only": False}, "prefix"),
        ({"session_cookie": "__Secure-id", "https_only": False}, "prefix"),
        ({"session_cookie": "__Http-id", "https_only": False}, "prefix"),
        ({"session_cookie": "__Host-id", "domain": "shop.example"}, "no Domain"),
        ({"session_cookie": "__Host-id", "path": "/app"}, "no Domain"),
        ({"session_cookie": "__HOST-id", "path": "/app"}, "no Domain"),
        ({"max_age": 0}, "more than zero"),
        ({"max_age": -1}, "between 0"),
        ({"max_age": timedelta(days=40_000)}, "between 0"),
        ({"renewal_threshold": -0.1}, "between 0 and 1"),
        ({"renewal_threshold": 1.1}, "between 0 and 1"),
    ],
    ids=str,
)
def test_a_cookie_that_browsers_would_reject_is_rejected(
    options: dict[str, Any], message: str
) -> None:
    """A cookie that would never come back, or an option out of range, is found at once."""
    with pytest.raises(ValueError, match=message):
        SessionMiddleware(nowhere, MemoryBackend(), **options)


@pytest.mark.parametrize(
    "options", [{"store": "sqlite://"}, {"max_age": None}, {"max_age": "3600"}], ids=str
)
def test_wrong_types_are_rejected(options: dict[str, Any]) -> None:
    """A URL is not a store, and a session without an end is not stored."""
    with pytest.raises(TypeError):
        SessionMiddleware(nowhere, **{"store": MemoryBackend()} | options)
