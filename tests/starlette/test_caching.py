"""What becomes of an application's own caching headers."""

from __future__ import annotations

import pytest
from starlette.datastructures import MutableHeaders

from sessionstore_sql.starlette.caching import keep_private


def kept_private(*headers: tuple[str, str]) -> MutableHeaders:
    """Return the headers as they leave."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    changed = MutableHeaders(raw=raw)
    keep_private(changed)
    return changed


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
def test_what_is_shared_becomes_private(given: str, left: str) -> None:
    """What an application allows the client's own cache stays, and nothing else."""
    assert kept_private(("cache-control", given)).getlist("cache-control") == [left]


def test_several_headers_are_one_list() -> None:
    """A directive counts wherever it stands."""
    headers = kept_private(("cache-control", "max-age=60"), ("cache-control", "public"))

    assert headers.getlist("cache-control") == ["private, max-age=60"]


def test_an_application_that_says_nothing_gets_the_careful_answer() -> None:
    """The client may keep the response, but asks before it shows it again."""
    assert kept_private().getlist("cache-control") == ["private, no-cache"]


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
def test_the_response_varies_by_cookie(given: list[str], left: list[str]) -> None:
    """``Cookie`` is named once."""
    headers = kept_private(*(("vary", value) for value in given))

    assert headers.getlist("vary") == left


@pytest.mark.parametrize(
    "name", ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"]
)
def test_orders_to_delivery_networks_are_taken_back(name: str) -> None:
    """They would overrule ``Cache-Control``."""
    headers = kept_private((name, "max-age=600"), (name, "public"), ("etag", '"1"'))

    assert headers.keys() == ["etag", "vary", "cache-control"]
