"""The options of ``SQLSessionConfig``, and the cookie that they make."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sessionstore_sql.litestar import SQLSessionConfig
from tests.litestar.applications import application, browser
from tests.unit.memory_backend import MemoryBackend

pytestmark = pytest.mark.anyio


async def cookie_with(**options: Any) -> str:
    """Return the ``Set-Cookie`` of a new session."""
    async with browser(application(MemoryBackend(), **options)) as client:
        response = await client.get("/put?color=red")
    return str(response.headers["set-cookie"])


async def test_the_cookie_is_secure_by_default() -> None:
    """Every attribute that protects it is there."""
    name_and_id, *attributes = (await cookie_with()).split("; ")

    assert name_and_id.startswith("__Host-session=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=36000", "Path=/", "SameSite=Lax", "Secure"]


async def test_the_cookie_has_the_attributes_that_were_asked_for() -> None:
    """And a name that browsers accept with them."""
    cookie = await cookie_with(
        path="/shop", domain="shop.example", samesite="strict", max_age=60, key=""
    )
    name_and_id, *attributes = cookie.split("; ")

    assert name_and_id.startswith("__Secure-session=")
    assert sorted(attributes) == [
        *("Domain=shop.example", "HttpOnly", "Max-Age=60"),
        *("Path=/shop", "SameSite=Strict", "Secure"),
    ]


async def test_a_site_without_tls_has_to_ask_for_it() -> None:
    """On a laptop, for example."""
    cookie = await cookie_with(secure=False)

    assert cookie.startswith("sessionstore_id=")
    assert "Secure" not in cookie


async def test_a_name_can_be_chosen() -> None:
    """Any that a cookie can have."""
    assert (await cookie_with(key="sid")).startswith("sid=")


async def test_the_cookie_is_removed_with_the_attributes_it_was_set_with() -> None:
    """Or browsers would keep it."""
    app = application(MemoryBackend(), path="/", domain="shop.example")
    async with browser(app) as client:
        await client.get("/put?color=red")
        response: httpx.Response = await client.get("/logout")

    name_and_id, *attributes = response.headers["set-cookie"].split("; ")
    assert name_and_id == "__Secure-session="
    assert {"Domain=shop.example", "Path=/", "Secure", "Max-Age=0"} <= set(attributes)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"store": None}, TypeError),
        ({"store": "sqlite://"}, TypeError),
        ({"max_age": "60"}, TypeError),
        ({"max_age": True}, TypeError),
        ({"subject_of": "user"}, TypeError),
        ({"subject_of": str}, TypeError),
        ({"partitioned": True, "secure": False}, ValueError),
        ({"max_age": 0}, ValueError),
        ({"max_age": -1}, ValueError),
        ({"max_age": 10**12}, ValueError),
        ({"renewal_threshold": -0.1}, ValueError),
        ({"renewal_threshold": 1.1}, ValueError),
        ({"key": "a b"}, ValueError),
        ({"samesite": "none", "secure": False}, ValueError),
        ({"key": "__Host-session", "secure": False}, ValueError),
        ({"key": "__Host-session", "domain": "shop.example"}, ValueError),
        ({"path": "shop"}, ValueError),
        ({"domain": "a;b"}, ValueError),
        ({"samesite": "sometimes"}, ValueError),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_rejected(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """When the application is made, and not when the first browser drops the cookie."""
    with pytest.raises(error):
        SQLSessionConfig(**{"store": MemoryBackend()} | options)


def test_the_cookie_cannot_be_shown_to_scripts() -> None:
    """There is no option for it, but Litestar may ask."""
    assert SQLSessionConfig(store=MemoryBackend()).httponly is True
    with pytest.raises(TypeError, match="httponly"):
        SQLSessionConfig(store=MemoryBackend(), httponly=False)  # type: ignore[call-arg]
