"""What keeps a response that depends on a session out of the caches that people share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""Up to the next comma, but for those between quotes."""

_SHARING = {"public", "private", "s-maxage"}
"""``private`` as well: with the names of headers, it is about these headers only."""


class Headers(Protocol):
    """A response's headers by their names, whose case doesn't matter."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        ...

    def __setitem__(self, name: str, value: str, /) -> None:
        """Put one header in the place of all of this name."""
        ...

    def __delitem__(self, name: str, /) -> None:
        """Remove all headers of this name."""
        ...


def vary_by_cookie(headers: Headers, values_of: Callable[[str], list[str]]) -> None:
    """Let no cache reuse the response for a request with other cookies."""
    varying = values_of("vary")
    names = {name.strip().lower() for name in ",".join(varying).split(",")}
    if not names & {"cookie", "*"}:
        headers["vary"] = ", ".join([*varying, "Cookie"])


def keep_private(headers: Headers, values_of: Callable[[str], list[str]]) -> None:
    """Let no shared cache keep the response, and none reuse it for other cookies.

    The application's own ``Cache-Control`` is kept as far as it lets the client's cache keep
    the response: ``public`` becomes ``private``, and ``s-maxage`` goes. Where it said nothing,
    the client may keep the response but has to ask before it is used again. The headers that
    give orders to content delivery networks alone (RFC 9213, ``Surrogate-Control``) go too.

    Args:
        headers: The response's, to be changed.
        values_of: Returns the values of all headers of a name, and nothing for none.
    """
    vary_by_cookie(headers, values_of)
    for name in {name.lower() for name in headers if _is_for_networks(name.lower())}:
        del headers[name]
    given = values_of("cache-control")
    if not given:
        headers["cache-control"] = "private, no-cache"
        return
    directives = [
        directive.strip() for directive in _DIRECTIVE.findall(", ".join(given)) if directive.strip()
    ]
    if "no-store" in map(str.lower, directives):
        return
    own = [directive for directive in directives if _name_of(directive) not in _SHARING]
    headers["cache-control"] = ", ".join(["private", *own])


def _name_of(directive: str) -> str:
    return directive.partition("=")[0].strip().lower()


def _is_for_networks(name: str) -> bool:
    return name.endswith("cdn-cache-control") or name == "surrogate-control"
