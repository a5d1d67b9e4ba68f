"""The cookie that holds the id of a session: its attributes, how it is set, and how it is read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.presented import GENERATED_LENGTH, Presented, ids_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.work import Outcome

SameSite = Literal["lax", "strict", "none"]

MAX_COOKIE_BYTES = 4_096
"""Browsers ignore a cookie whose name and value together are longer: RFC 6265bis, 5.7."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What the name of a cookie consists of: RFC 9110, 5.6.2."""

_ATTRIBUTE_VALUE = re.compile(r"[ -:<-~]+")
"""No control characters and no semicolon: RFC 6265, 4.1.1."""

_HOST_PREFIX = "__host-"
_SECURE_PREFIXES = ("__secure-", "__http-", _HOST_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookie:
    """The cookie of an application's sessions.

    It is always ``HttpOnly``: no script needs the id.

    Args:
        name: The name of the cookie.
        path: The ``Path`` of the cookie.
        same_site: The ``SameSite`` of the cookie.
        secure: Whether the cookie is ``Secure``.
        domain: The ``Domain`` of the cookie; ``None``: no other host receives it.
        partitioned: Whether the cookie is ``Partitioned``.

    Raises:
        ValueError: Browsers would not accept the cookie, or not as it is meant.
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
        if len(self.name) + GENERATED_LENGTH > MAX_COOKIE_BYTES:
            raise ValueError(f"a cookie's name and an id have at most {MAX_COOKIE_BYTES} bytes")
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

    @property
    def request_header(self) -> str:
        """The name of the request header that holds the id."""
        return "Cookie"

    @property
    def challenge(self) -> str:
        """The authentication scheme that a response 401 names."""
        return "Cookie"

    @property
    def is_for_tls_only(self) -> bool:
        """Whether clients ignore the id if it reaches them without TLS."""
        return self.secure

    def headers_after(self, outcome: Outcome) -> list[tuple[str, str]]:
        """Return the headers that tell the client what became of its session."""
        if outcome.cookie is Cookie.KEEP:
            return []
        if outcome.session_id is None:
            return [("Set-Cookie", self.removal_header())]
        return [("Set-Cookie", self.set_header(outcome.session_id, outcome.max_age))]

    def ids_in(self, headers: Iterable[tuple[bytes, bytes]]) -> Presented:
        """Return the ids that a request presents."""
        return ids_in(self.presented(headers))

    def set_header(self, session_id: SessionId, ttl: timedelta | None) -> str:
        """Return the value of a ``Set-Cookie`` with the id.

        Args:
            session_id: The id.
            ttl: How long the client may keep it; ``None``: until the browser is closed.
        """
        if ttl is None:
            return self._header(session_id.value)
        # Rounded up: Max-Age=0 would remove the cookie of a session that lives half a second.
        return self._header(session_id.value, f"Max-Age={math.ceil(ttl.total_seconds())}")

    def removal_header(self) -> str:
        """Return the value of a ``Set-Cookie`` that removes the cookie.

        It has the other attributes too: browsers reject a cookie without ``Secure`` whose name
        has a prefix, also if it only removes one.
        """
        return self._header("", "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT")

    def presented(self, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Return each value that a request has for this cookie.

        Only spaces and tabs around a name are ignored. ``str.strip`` would also accept a name
        with another blank before its prefix, which browsers let any page set.
        """
        return cookie_values(self.name, headers)

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


def cookie_values(name: str, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Return each value that a request has for the cookies of a name."""
    pairs = (
        pair.partition(b"=")
        for header, value in headers
        if header.lower() == b"cookie"
        for pair in value.split(b";")
    )
    return [value for key, _, value in pairs if key.strip(b" \t") == name.encode()]


def default_name(*, path: str, secure: bool, domain: str | None) -> str:
    """Return a name with the strictest prefix that browsers accept with these attributes.

    No other host, and no page without TLS, can set a cookie of the name ``__Host-session``:
    RFC 6265bis, 4.1.3. The name without a prefix is not that of Starlette's own sessions, whose
    cookies on the same host would be mistaken for ids.
    """
    if not secure:
        return "sessionstore_id"
    return "__Host-session" if _is_host_only(path, domain) else "__Secure-session"


def _is_host_only(path: str, domain: str | None) -> bool:
    return path == "/" and domain is None
