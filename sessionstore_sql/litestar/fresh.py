"""What a user may only do shortly after signing in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.litestar.functions import require_fresh
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from datetime import timedelta

    from litestar.handlers import BaseRouteHandler

    from sessionstore_sql.litestar.functions import AnyConnection


class FreshGuard:
    """A guard that requires a sign-in within a period; see ``fresh``."""

    def __init__(self, within: timedelta) -> None:
        self.within = within

    async def __call__(self, connection: AnyConnection, _handler: BaseRouteHandler) -> None:
        """Raise an exception unless the user has signed in lately."""
        require_fresh(connection, within=self.within)


def fresh(within: timedelta | float) -> FreshGuard:
    """Return a guard that requires a sign-in within a period.

        @delete("/account", guards=[fresh(timedelta(minutes=10))])
        async def delete_account() -> None: ...

    Without a user, the response is 401. If the user signed in earlier, it is 403, and the
    ``extra`` of its body is ``{"reason": "reauthentication_required", ..}``, so that a client
    knows that another sign-in helps. With ``SQLSessionPlugin``, both appear in the OpenAPI
    document of the application.

    Args:
        within: The period, a duration or seconds.

    Raises:
        TypeError, ValueError: ``within`` is not a duration of more than zero.
    """
    return FreshGuard(duration_of(within, "within"))
