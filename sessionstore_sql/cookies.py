"""The session's cookie: its name and attributes, and which id, if any, a client presents.

What a browser takes, and from whom, is the same whatever the web framework.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sessionstore_sql.lifecycle import Cookie
from sessionstore_sql.records import MAX_ID_LENGTH, SessionId

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from sessionstore_sql.lifecycle import Outcome

SameSite = Literal["lax", "strict", "none"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, 5.6.2: what a cookie's name is made of."""

_ATTRIBUTE_VALUE = re.compile(r"[ -:<-~]+")
"""RFC 6265, 4.1.1: no control characters and no semicolon."""

_ID = re.compile(rb"[!#-+\--:<-\[\]-~]+")
"""RFC 6265, 4.1.1: what the value of a cookie is made of, without the quotes that it allows."""

_HOST_PREFIX = "__host-"
_SECURE_PREFIXES = ("__secure-", "__http-", _HOST_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookie:
    """How the session's cookie is set, removed and read.

    It is always ``HttpOnly``: no script has any business with the id.

    Raises:
        ValueError: Browsers would not accept the cookie, or not as it was meant.
    """

    name: str
    path: str = "/"
    same_site: SameSite = "lax"
    secure: bool = True
    domain: str | None = None
    partitioned: bool = False

    def __post_init__(self) -> None:
        if _TOKEN.fullmatch(self.name) is None:
            raise ValueError("a cookie's name holds no blanks and no separators")
        if not self.path.startswith("/") or _ATTRIBUTE_VALUE.fullmatch(self.path) is None:
            raise ValueError("a cookie's path begins with a slash, and holds no semicolon")
        if self.domain is not None and _ATTRIBUTE_VALUE.fullmatch(self.domain) is None:
            raise ValueError("a cookie's domain is a host's name")
        if self.same_site not in {"lax", "strict", "none"}:
            raise ValueError("a cookie's SameSite is lax, strict or none")
        if not self.secure and (self.same_site == "none" or self.partitioned):
            raise ValueError("SameSite=None and Partitioned need Secure")
        # Browsers look for the prefixes without regard to case: RFC 6265bis, 5.7.
        name = self.name.lower()
        if name.startswith(_SECURE_PREFIXES) and not self.secure:
            raise ValueError("the prefix of the cookie's name needs Secure")
        if name.startswith(_HOST_PREFIX) and not _is_host_only(self.path, self.domain):
            raise ValueError("the prefix __Host- needs Path=/ and no Domain")

    def header_after(self, outcome: Outcome, ttl: timedelta | None) -> str | None:
        """Return the value of the ``Set-Cookie`` that a response needs; ``None`` if it needs none.

        Args:
            outcome: What came of the session.
            ttl: As for ``set_header``.
        """
        if outcome.session_id is not None:
            return self.set_header(outcome.session_id, ttl)
        return self.removal_header() if outcome.cookie is Cookie.REMOVE else None

    def set_header(self, session_id: SessionId, ttl: timedelta | None) -> str:
        """Return the value of a ``Set-Cookie`` that lets a client keep the id for ``ttl``.

        With ``None``, until the browser is closed.
        """
        if ttl is None:
            return self._header(session_id.value)
        # Rounded up: Max-Age=0 would remove what lives for half a second.
        return self._header(session_id.value, f"Max-Age={math.ceil(ttl.total_seconds())}")

    def removal_header(self) -> str:
        """Return the value of a ``Set-Cookie`` that lets a client forget the id.

        With the other attributes, as no browser lets a cookie without ``Secure`` replace one
        whose name has a prefix, not even to remove it.
        """
        return self._header("", "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT")

    def presented(self, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Return each value that a request has for this cookie.

        Only spaces and tabs around a name are ignored: to strip more, as ``str.strip`` does,
        is to accept a name with other blanks before the prefix, which browsers let anyone set.
        """
        name = self.name.encode()
        pairs = (
            pair.partition(b"=")
            for header, value in headers
            if header.lower() == b"cookie"
            for pair in value.split(b";")
        )
        return [value for key, _, value in pairs if key.strip(b" \t") == name]

    def _header(self, value: str, *lifetime: str) -> str:
        attributes = [f"{self.name}={value}", f"Path={self.path}", *lifetime, "HttpOnly"]
        attributes.append(f"SameSite={self.same_site.capitalize()}")
        if self.secure:
            attributes.append("Secure")
        if self.domain is not None:
            attributes.append(f"Domain={self.domain}")
        if self.partitioned:
            attributes.append("Partitioned")
        return "; ".join(attributes)


def default_name(*, path: str, secure: bool, domain: str | None) -> str:
    """Return ``session``, with the strictest prefix that browsers accept with these attributes.

    No other host, and no page without TLS, can set a cookie of the name ``__Host-session``:
    RFC 6265bis, 4.1.3.
    """
    if not secure:
        return "session"
    return "__Host-session" if _is_host_only(path, domain) else "__Secure-session"


def id_of(presented: list[bytes]) -> SessionId | None:
    """Return the id that a client presents; ``None`` where it presents none, or not just one.

    What is too long or no cookie's value is no id. Of two cookies of the name, one was set for
    another path or domain, and which one is ours cannot be told (cookie tossing): neither is.
    """
    if len(presented) != 1:
        return None
    (value,) = presented
    if len(value) > MAX_ID_LENGTH or _ID.fullmatch(value) is None:
        return None
    return SessionId(value.decode("ascii"))


def _is_host_only(path: str, domain: str | None) -> bool:
    return path == "/" and domain is None
