"""What keeps a response that depends on a session out of the caches that people share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""Up to the next comma, but for those between quotes."""

_SHARING = {"public", "private", "s-maxage"}
"""``private`` as well: with the names of headers, it is about these headers only."""


class Headers(Protocol):
    """A response's headers, as Litestar and aiohttp have them: by name, and some more than once."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        ...

    def __setitem__(self, name: str, value: str, /) -> None:
        """Put one header in the place of all of this name."""
        ...

    def __delitem__(self, name: str, /) -> None:
        """Remove all headers of this name."""
        ...

    def add(self, key: str, value: str, /) -> None:
        """Add a header to those of the same name."""
        ...

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Return the values of a header."""
        ...


def vary_by_cookie(headers: Headers) -> None:
    """Let no cache reuse the response for a request with other cookies."""
    names = {name.strip().lower() for name in ",".join(headers.getall("vary", [])).split(",")}
    if not names & {"cookie", "*"}:
        headers.add("vary", "Cookie")


def keep_private(headers: Headers) -> None:
    """Let no shared cache keep the response, and none reuse it for other cookies.

    The application's own ``Cache-Control`` is kept as far as it lets the client's cache keep
    the response: ``public`` becomes ``private``, and ``s-maxage`` goes. Where it said nothing,
    the client may keep the response but has to ask before it is used again. The headers that
    give orders to content delivery networks alone (RFC 9213, ``Surrogate-Control``) go too.
    """
    vary_by_cookie(headers)
    for name in {name.lower() for name in headers if _is_for_networks(name.lower())}:
        del headers[name]
    own = [
        directive.strip()
        for directive in _DIRECTIVE.findall(", ".join(headers.getall("cache-control", [])))
        if directive.strip()
    ]
    if "no-store" in map(str.lower, own):
        return
    kept = [directive for directive in own if _name_of(directive) not in _SHARING]
    headers["cache-control"] = ", ".join(["private", *(kept if own else ["no-cache"])])


def _name_of(directive: str) -> str:
    return directive.partition("=")[0].strip().lower()


def _is_for_networks(name: str) -> bool:
    return name.endswith("cdn-cache-control") or name == "surrogate-control"
