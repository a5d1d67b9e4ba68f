"""What shared caches are told of a response that depends on a session."""

from __future__ import annotations

import pytest
from litestar.datastructures import MutableScopeHeaders
from multidict import CIMultiDict

from sessionstore_sql.caching import Headers, keep_private, vary_by_cookie


def litestars(given: list[tuple[str, str]]) -> Headers:
    """Return headers as Litestar has them."""
    headers = MutableScopeHeaders()
    for name, value in given:
        headers.add(name, value)
    return headers


@pytest.fixture(params=[litestars, CIMultiDict], ids=["litestar", "aiohttp"])
def make(request: pytest.FixtureRequest) -> type[Headers]:
    """Each kind of headers there is."""
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("given", "cache_control"),
    [
        ([], ["private, no-cache"]),
        ([("Cache-Control", "")], ["private, no-cache"]),
        ([("Cache-Control", "public, max-age=60")], ["private, max-age=60"]),
        ([("Cache-Control", "PUBLIC , S-MaxAge=9,max-age=60")], ["private, max-age=60"]),
        ([("Cache-Control", 'private="a, b", no-cache="c, d"')], ['private, no-cache="c, d"']),
        ([("Cache-Control", "public"), ("Cache-Control", "max-age=1")], ["private, max-age=1"]),
        ([("Cache-Control", "No-Store, max-age=60")], ["No-Store, max-age=60"]),
        ([("Cache-Control", "public")], ["private"]),
    ],
    ids=str,
)
def test_only_the_client_may_keep_it(
    make: type[Headers], given: list[tuple[str, str]], cache_control: list[str]
) -> None:
    """What the application said of the client's cache stays."""
    headers = make(given)  # type: ignore[call-arg]

    keep_private(headers)

    assert headers.getall("cache-control", []) == cache_control
    assert headers.getall("vary", []) == ["Cookie"]


@pytest.mark.parametrize("name", ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control"])
def test_orders_to_networks_go(make: type[Headers], name: str) -> None:
    """They would be obeyed in place of ours."""
    headers = make([(name, "max-age=60"), ("Surrogate-Control", "max-age=60"), ("X-A", "b")])  # type: ignore[call-arg]

    keep_private(headers)

    assert {each.lower() for each in headers} == {"x-a", "vary", "cache-control"}


@pytest.mark.parametrize(
    ("given", "vary"),
    [
        ([], ["Cookie"]),
        ([("Vary", "Accept")], ["Accept", "Cookie"]),
        ([("Vary", "Accept, cookie")], ["Accept, cookie"]),
        ([("Vary", "*")], ["*"]),
    ],
    ids=str,
)
def test_caches_tell_cookies_apart(
    make: type[Headers], given: list[tuple[str, str]], vary: list[str]
) -> None:
    """Said once, however it was said."""
    headers = make(given)  # type: ignore[call-arg]

    vary_by_cookie(headers)

    assert headers.getall("vary", []) == vary
