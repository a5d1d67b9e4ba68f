"""Ids in a header instead of a cookie, for clients that are not browsers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.presented import Presented, ids_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sessionstore_sql.web.work import Outcome

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What the name of a header consists of: RFC 9110, 5.6.2."""

_CREDENTIALS = re.compile(rb"bearer +(\S+)", re.IGNORECASE)
"""RFC 6750, 2.1; the case of the scheme does not matter: RFC 9110, 11.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerToken:
    """Sends the id in a header, for applications on phones, command lines and other servers.

    The client sends ``Authorization: Bearer <id>``. Whenever the id changes, a response has the
    new one in the header ``Session-Token``: after the first change of the session, a sign-in, a
    rotation. An empty ``Session-Token`` means that the session has ended. The client stores what
    it receives, and forgets what it stored before.

    No browser sends the header by itself, so requests from other sites cannot use the session:
    there is nothing for a token against cross-site request forgery to do. But a page's scripts
    have to store the id where any script on the page can read it. In a browser, use the cookie.

    Args:
        name: The name of the response header.

    Raises:
        ValueError: It is no name of a header.
    """

    name: str = "Session-Token"

    def __post_init__(self) -> None:
        if _TOKEN.fullmatch(self.name) is None:
            raise ValueError("the name of a header holds no blanks and no separators")

    @property
    def request_header(self) -> str:
        """The name of the request header that holds the id."""
        return "Authorization"

    @property
    def challenge(self) -> str:
        """The authentication scheme that a response 401 names."""
        return "Bearer"

    @property
    def is_for_tls_only(self) -> bool:
        """Whether clients ignore the id if it reaches them without TLS."""
        return False

    def headers_after(self, outcome: Outcome) -> list[tuple[str, str]]:
        """Return the headers that tell the client what became of its session."""
        if outcome.cookie is Cookie.KEEP:
            return []
        value = "" if outcome.session_id is None else outcome.session_id.value
        return [(self.name, value), ("Cache-Control", "no-store")]

    def ids_in(self, headers: Iterable[tuple[bytes, bytes]]) -> Presented:
        """Return the ids that a request presents."""
        given = [value for name, value in headers if name.lower() == b"authorization"]
        found = map(_CREDENTIALS.fullmatch, (each.strip(b" \t") for each in given))
        return ids_in(match[1] for match in found if match is not None)
