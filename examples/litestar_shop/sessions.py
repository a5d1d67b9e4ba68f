"""How the shop uses its sessions: what they hold, how long they last, and what they allow."""

from datetime import timedelta
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from msgspec import Struct
from storefront.devices import about_device

from sessionstore_sql.litestar import fresh, set_max_age, sign_in, typed_session

MAX_AGE = timedelta(hours=2)
"""How long a session lasts without a visit."""

KEPT_MAX_AGE = timedelta(days=30)
"""The same, if the user ticked "keep me signed in"."""

LIFETIME = timedelta(days=90)
"""How long a login lasts at most, however often the user comes back."""

MAX_SESSIONS = 20
"""In how many places a user can be signed in. The next login ends the oldest session."""

FRESHNESS = timedelta(minutes=10)
"""How long after entering it a user may change their password without entering it again."""

Visit = Request[Any, Any, Any]


class VisitorSession(Struct, kw_only=True):
    """The session of any visitor. It is created with the first item in the cart."""

    user: str | None = None
    cart: list[str] = []
    message: str | None = None

    def take_message(self) -> str | None:
        """Return the message for the next page, once."""
        message, self.message = self.message, None
        return message


class CustomerSession(VisitorSession, kw_only=True):
    """The session of a logged-in user."""

    user: str  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]


Visitor = NamedDependency[VisitorSession]
Customer = NamedDependency[CustomerSession]

DEPENDENCIES = {
    "visitor": typed_session(VisitorSession),
    "customer": typed_session(CustomerSession),
}
"""A route with a ``customer`` is for users who are logged in."""

NEEDS_PASSWORD = [fresh(FRESHNESS)]
"""Guards of routes that ask for the password, unless the user entered it lately."""


def enter(request: Visit, user: str, *, keep: bool) -> None:
    """Sign a user in who has entered the right password.

    Args:
        request: The request of the login form.
        user: The user.
        keep: Whether the user ticked "keep me signed in".
    """
    address = None if request.client is None else request.client.host
    sign_in(request, user, about=about_device(request.headers.get("user-agent", ""), address))
    request.session["user"] = user
    set_max_age(request, KEPT_MAX_AGE if keep else None)
