"""What the account functions raise, with the responses that Django sends for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied

from sessionstore_sql.django.configuration import configured_bearer

if TYPE_CHECKING:
    from datetime import timedelta

REAUTHENTICATION_REQUIRED = "reauthentication_required"
"""The reason of a 403 that another login can turn into another response."""

NOT_AUTHENTICATED = "not_authenticated"
"""The reason of a 401."""


class AccountError(PermissionDenied):
    """The user has to sign in to do this.

    If a view does not handle it, the session middleware responds with JSON, which has a
    ``reason`` for scripts and a ``message``. Without the middleware, Django responds with 403.

    Attributes:
        status: The status of the response.
        reason: Why, for scripts.
        body: The body of the response, before it becomes JSON.
        headers: More headers of the response.
    """

    status = 403

    def __init__(self, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.reason = reason
        self.body: dict[str, Any] = {"reason": reason, "message": message, **details}
        self.headers: dict[str, str] = {}


class NotAuthenticated(AccountError):  # noqa: N818  # named after its response, as PermissionDenied is
    """401: no user is signed in."""

    status = 401

    def __init__(self) -> None:
        super().__init__(NOT_AUTHENTICATED, "Sign in to do this.")
        bearer = configured_bearer()
        challenge = "Cookie" if bearer is None else bearer.challenge
        self.headers = {"WWW-Authenticate": challenge}  # RFC 9110, 11.6.1


class ReauthenticationRequired(AccountError):  # noqa: N818  # likewise
    """403: the user has to sign in again.

    Attributes:
        within: The period within which the user has to have signed in.
    """

    def __init__(self, within: timedelta) -> None:
        seconds = int(within.total_seconds())
        message = "Sign in again to do this."
        super().__init__(REAUTHENTICATION_REQUIRED, message, within_seconds=seconds)
        self.within = within
