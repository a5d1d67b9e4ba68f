"""How the shop uses its sessions: what they hold, how long they last, and what they allow."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel
from storefront.devices import about_device

from sessionstore_sql.fastapi import fresh, set_max_age, sign_in, typed_session

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


class Visit(BaseModel):
    """The session of any visitor. It is created with the first item in the cart."""

    user: str | None = None
    cart: list[str] = []
    message: str | None = None


class Login(Visit):
    """The session of a logged-in user."""

    user: str  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]


Visitor = Annotated[Visit, Depends(typed_session(Visit))]
Customer = Annotated[Login, Depends(typed_session(Login))]

NEEDS_PASSWORD = [Depends(fresh(FRESHNESS))]
"""Dependencies of routes that ask for the password, unless the user entered it lately."""


def enter(request: Request, user: str, *, keep: bool) -> None:
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
