"""Require that the user of a Django project has signed in recently."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from asgiref.sync import iscoroutinefunction

from sessionstore_sql.django import account_calls as calls
from sessionstore_sql.django.accounts import session_of
from sessionstore_sql.django.errors import NotAuthenticated, ReauthenticationRequired
from sessionstore_sql.django.process import result_of, wait_for
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from django.http import HttpRequest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def require_fresh(request: HttpRequest, *, within: timedelta | float) -> None:
    """Raise an error unless the user has authenticated within a period.

    Args:
        request: The request.
        within: The period, a duration or seconds.

    Raises:
        NotAuthenticated: No user is signed in.
        ReauthenticationRequired: The user signed in earlier.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The session could not be loaded.
    """
    period = duration_of(within, "within")
    _require(wait_for(calls.freshness, session_of(request), period), period)


async def arequire_fresh(request: HttpRequest, *, within: timedelta | float) -> None:
    """Do as ``require_fresh`` does."""
    period = duration_of(within, "within")
    _require(await result_of(calls.freshness, session_of(request), period), period)


def fresh_required(
    within: timedelta | float,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator for views that require a login within a period.

        @fresh_required(timedelta(minutes=10))
        def delete_account(request): ...

    The errors are those of ``require_fresh``. If the view does not handle them, the response is
    JSON with a ``reason``: 401, or 403 if another login helps.

    Args:
        within: The period, a duration or seconds.

    Raises:
        TypeError, ValueError: ``within`` is no duration of more than zero.
    """
    period = duration_of(within, "within")

    def decorate(view: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        wrapped: Any = view
        if iscoroutinefunction(view):

            @functools.wraps(view)
            async def acall(request: HttpRequest, *args: Any, **kwargs: Any) -> object:
                await arequire_fresh(request, within=period)
                return await wrapped(request, *args, **kwargs)

            return acall  # type: ignore[return-value]

        @functools.wraps(view)
        def call(request: HttpRequest, *args: Any, **kwargs: Any) -> object:
            require_fresh(request, within=period)
            return wrapped(request, *args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def _require(freshness: Freshness, within: timedelta) -> None:
    if freshness is Freshness.NOT_SIGNED_IN:
        raise NotAuthenticated
    if freshness is Freshness.STALE:
        raise ReauthenticationRequired(within)
