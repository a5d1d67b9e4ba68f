"""What becomes of an application's own caching headers, as each framework has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from litestar.datastructures import MutableScopeHeaders
from multidict import CIMultiDict
from starlette.datastructures import MutableHeaders

from sessionstore_sql.web.cache_control import keep_private, vary_by_cookie

Given = list[tuple[str, str]]


class Kept(NamedTuple):
    """Headers as they leave."""

    headers: Any
    values_of: Callable[[str], list[str]]


def of_starlette(given: Given) -> Kept:
    """Return what Starlette has."""
    headers = MutableHeaders(raw=[(name.lower().encode(), value.encode()) for name, value in given])
    return Kept(headers, headers.getlist)


def of_litestar(given: Given) -> Kept:
    """Return what Litestar has."""
    headers = MutableScopeHeaders()
    for name, value in given:
        headers.add(name, value)
    return Kept(headers, lambda name: headers.getall(name, []))


def of_aiohttp(given: Given) -> Kept:
    """Return what aiohttp has."""
    headers = CIMultiDict(given)
    return Kept(headers, lambda name: headers.getall(name, []))


@pytest.fixture(params=[of_starlette, of_litestar, of_aiohttp])
def kept_private(request: pytest.FixtureRequest) -> Callable[[Given], Kept]:
    """Returns given headers as they leave, for each framework."""

    def kept(given: Given) -> Kept:
        headers: Kept = request.param(given)
        keep_private(*headers)
        return headers

    return kept


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("private", "private"),
        ("no-store", "no-store"),
        ("No-Store, max-age=0", "No-Store, max-age=0"),
        ("no-cache", "private, no-cache"),
        ("max-age=60", "private, max-age=60"),
        ("private, max-age=60", "private, max-age=60"),
        ("max-age=60, private", "private, max-age=60"),
        ("public", "private"),
        ("PUBLIC, max-age=60", "private, max-age=60"),
        ("max-age=60, s-maxage=600", "private, max-age=60"),
        ("S-MaxAge = 600", "private"),
        ('private="Set-Cookie, X"', "private"),
        ('no-cache="Set-Cookie, X", public', 'private, no-cache="Set-Cookie, X"'),
        (r'x="a\", public, b", public', r'private, x="a\", public, b"'),
        (", ,max-age=60,", "private, max-age=60"),
        ("", "private"),
    ],
)
def test_what_is_shared_becomes_private(
    kept_private: Callable[[Given], Kept], given: str, left: str
) -> None:
    """What an application allows the client's own cache stays, and nothing else."""
    kept = kept_private([("Cache-Control", given)])

    assert kept.values_of("cache-control") == [left]


def test_several_headers_are_one_list(kept_private: Callable[[Given], Kept]) -> None:
    """A directive counts wherever it stands."""
    kept = kept_private([("Cache-Control", "max-age=60"), ("Cache-Control", "public")])

    assert kept.values_of("cache-control") == ["private, max-age=60"]


def test_an_application_that_says_nothing_gets_the_careful_answer(
    kept_private: Callable[[Given], Kept],
) -> None:
    """The client may keep the response, but asks before it shows it again."""
    assert kept_private([]).values_of("cache-control") == ["private, no-cache"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([], ["Cookie"]),
        (["Accept"], ["Accept, Cookie"]),
        (["Accept", "Origin"], ["Accept, Origin, Cookie"]),
        (["accept, cookie"], ["accept, cookie"]),
        (["*"], ["*"]),
    ],
)
def test_the_response_varies_by_cookie(
    kept_private: Callable[[Given], Kept], given: list[str], left: list[str]
) -> None:
    """``Cookie`` is named once."""
    kept = kept_private([("Vary", value) for value in given])

    assert kept.values_of("vary") == left


def test_a_response_may_vary_and_be_shared() -> None:
    """What else it says of caches stays."""
    kept = of_aiohttp([("Cache-Control", "public")])

    vary_by_cookie(*kept)

    assert kept.values_of("vary") == ["Cookie"]
    assert kept.values_of("cache-control") == ["public"]


@pytest.mark.parametrize(
    "name", ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control"]
)
def test_orders_to_delivery_networks_are_taken_back(
    kept_private: Callable[[Given], Kept], name: str
) -> None:
    """They would overrule ``Cache-Control``."""
    kept = kept_private([(name, "max-age=600"), (name, "public"), ("ETag", '"1"')])

    assert {each.lower() for each in kept.headers} == {"etag", "vary", "cache-control"}
