"""What a user may only do shortly after signing in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Security
from starlette.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotation

from sessionstore_sql.fastapi.openapi import FRESH_SESSION
from sessionstore_sql.starlette import functions
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta


class ReauthenticationRequired(functions.ReauthenticationRequired):
    """403: the user has to sign in again. ``detail`` is a dict with a ``reason``."""

    def __init__(self, within: timedelta) -> None:
        super().__init__(within)
        detail = {
            "reason": functions.REAUTHENTICATION_REQUIRED,
            "message": "Sign in again to do this.",
            "within_seconds": int(within.total_seconds()),
        }
        self.detail = detail  # type: ignore[assignment]  # FastAPI sends any JSON


def require_fresh(connection: HTTPConnection, *, within: timedelta | float) -> None:
    """Raise an ``HTTPException`` unless the user has authenticated within a period.

    Args:
        connection: The request.
        within: The period, a duration or seconds.

    Raises:
        HTTPException: 401, if no user is signed in; else ``ReauthenticationRequired``, 403.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The session could not be loaded.
    """
    try:
        functions.require_fresh(connection, within=within)
    except functions.ReauthenticationRequired as error:
        period = error.within
    else:
        return
    raise ReauthenticationRequired(period)


def fresh(within: timedelta | float) -> Callable[[HTTPConnection], Awaitable[None]]:
    """Return a dependency that requires a sign-in within a period.

        @app.delete("/account", dependencies=[Depends(fresh(timedelta(minutes=10)))])
        async def delete_account() -> None: ...

    Without a user, the response is 401. If the user signed in earlier, it is 403, and the
    ``detail`` of its body is ``{"reason": "reauthentication_required", ..}``, so that a client
    knows that another sign-in helps. Both appear in the OpenAPI document of the application.

    Args:
        within: The period, a duration or seconds.

    Raises:
        TypeError, ValueError: ``within`` is not a duration of more than zero.
        RuntimeError: When a request did not pass through ``SessionMiddleware``.
    """
    period = duration_of(within, "within")

    async def dependency(
        connection: HTTPConnection, _scheme: Annotated[None, Security(FRESH_SESSION)] = None
    ) -> None:
        require_fresh(connection, within=period)

    return dependency
