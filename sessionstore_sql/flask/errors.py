"""What the functions for users raise: errors of Werkzeug, which become responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import Forbidden, Unauthorized

if TYPE_CHECKING:
    from datetime import timedelta

REAUTHENTICATION_REQUIRED = "reauthentication_required"
"""The reason of a 403 that another login can turn into another response."""

_JSON = [("Content-Type", "application/json")]


class NotAuthenticated(Unauthorized):
    """401: no user is signed in. The body is JSON with a ``reason``."""

    def __init__(self, challenge: str = "Cookie") -> None:
        super().__init__()
        self._challenge = challenge

    def get_body(self, *_: Any, **__: Any) -> str:
        """Return the body."""
        return json.dumps({"reason": "not_authenticated", "message": "Sign in to do this."})

    def get_headers(self, *_: Any, **__: Any) -> list[tuple[str, str]]:
        """Return the headers. A 401 must have a challenge: RFC 9110, 11.6.1."""
        return [*_JSON, ("WWW-Authenticate", self._challenge)]


class ReauthenticationRequired(Forbidden):
    """403: the user has to sign in again. The body is JSON with a ``reason``.

    Attributes:
        within: The period within which the user has to have signed in.
    """

    def __init__(self, within: timedelta) -> None:
        super().__init__("Sign in again to do this.")
        self.within = within

    def get_body(self, *_: Any, **__: Any) -> str:
        """Return the body."""
        return json.dumps(
            {
                "reason": REAUTHENTICATION_REQUIRED,
                "message": self.description,
                "within_seconds": int(self.within.total_seconds()),
            }
        )

    def get_headers(self, *_: Any, **__: Any) -> list[tuple[str, str]]:
        """Return the headers."""
        return list(_JSON)
