"""What keeps a response that depends on a session out of the caches that people share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import MutableHeaders

_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""Up to the next comma, but for those between quotes."""


def keep_private(headers: MutableHeaders) -> None:
    """Let no shared cache keep the response, and none reuse it for other cookies.

    The application's own ``Cache-Control`` is kept as far as it lets the client's cache keep
    the response: ``public`` becomes ``private``, and ``s-maxage`` goes. Where it said nothing,
    the client may keep the response but has to ask before it is used again. The headers that
    give orders to content delivery networks alone (RFC 9213, ``Surrogate-Control``) go too.
    """
    _vary_by_cookie(headers)
    for name in {name for name in headers if _is_for_networks(name)}:
        del headers[name]
    if "cache-control" not in headers:
        headers["cache-control"] = "private, no-cache"
        return
    directives = [
        directive.strip()
        for directive in _DIRECTIVE.findall(", ".join(headers.getlist("cache-control")))
        if directive.strip()
    ]
    if "no-store" in map(str.lower, directives):
        return
    own = [directive for directive in directives if _directive_name(directive) not in _SHARING]
    headers["cache-control"] = ", ".join(["private", *own])


_SHARING = {"public", "private", "s-maxage"}
"""``private`` as well: with the names of headers, it is about these headers only."""


def _directive_name(directive: str) -> str:
    return directive.partition("=")[0].strip().lower()


def _is_for_networks(name: str) -> bool:
    return name.endswith("cdn-cache-control") or name == "surrogate-control"


def _vary_by_cookie(headers: MutableHeaders) -> None:
    # Not add_vary_header: Starlette 1.0 keeps only the first of several headers there.
    varying = headers.getlist("vary")
    names = {name.strip().lower() for name in ",".join(varying).split(",")}
    if not names & {"cookie", "*"}:
        headers["vary"] = ", ".join([*varying, "Cookie"])
