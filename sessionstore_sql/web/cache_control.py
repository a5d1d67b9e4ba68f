"""Keeps responses that depend on a session out of shared caches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""Everything up to the next comma that is not inside of quotes."""

_SHARING = {"public", "private", "s-maxage"}
"""Directives about shared caches. ``private`` with names of headers concerns only these headers."""


class Headers(Protocol):
    """The headers of a response. The case of their names does not matter."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        ...

    def __setitem__(self, name: str, value: str, /) -> None:
        """Replace all headers of this name by one."""
        ...

    def __delitem__(self, name: str, /) -> None:
        """Remove all headers of this name."""
        ...


def vary_by_cookie(
    headers: Headers, values_of: Callable[[str], list[str]], *, name: str = "Cookie"
) -> None:
    """Add the header that holds the id to ``Vary``: no cache reuses the response for another one.

    Args:
        headers: The headers of the response, which are changed.
        values_of: Returns the values of all headers of a name, in their order.
        name: The name of the request header.
    """
    varying = values_of("vary")
    if not varying:
        headers["vary"] = name
        return
    names = {each.strip().lower() for each in ",".join(varying).split(",")}
    if not names & {name.lower(), "*"}:
        headers["vary"] = ", ".join([*varying, name])


def keep_private(
    headers: Headers, values_of: Callable[[str], list[str]], *, name: str = "Cookie"
) -> None:
    """Keep the response out of shared caches, and do what ``vary_by_cookie`` does.

    The application's own ``Cache-Control`` is kept as far as it concerns the client's cache:
    ``public`` becomes ``private``, and ``s-maxage`` is removed. Without one, the client may keep
    the response but has to ask before it uses it again. Headers for content delivery networks
    (RFC 9213, ``Surrogate-Control``) are removed.

    Args:
        headers: The headers of the response, which are changed.
        values_of: Returns the values of all headers of a name, in their order.
        name: The name of the request header that holds the id.
    """
    vary_by_cookie(headers, values_of, name=name)
    for each in {each.lower() for each in headers if _is_for_networks(each.lower())}:
        del headers[each]
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
