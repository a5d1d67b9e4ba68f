"""Finds the session middleware of an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sessionstore_sql.web.asgi import SessionMiddleware
from sessionstore_sql.web.setup import SessionSetup

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH = 50
"""How many layers of middleware and mounted applications are looked through."""


def setup_of(app: object, depth: int = _MAX_DEPTH) -> SessionSetup | None:
    """Return what the sessions of an application go by; ``None`` if it has none.

    Args:
        app: An ASGI application, which is a middleware or has some.
        depth: How many layers to look through.
    """
    setup = getattr(app, "setup", None)
    if isinstance(setup, SessionSetup):
        return setup
    if depth == 0:
        return None
    for middleware in getattr(app, "user_middleware", ()):
        made = middleware.cls
        if isinstance(made, type) and issubclass(made, SessionMiddleware):
            # Starlette makes them with the first request.
            return made(cast("Any", app), *middleware.args, **middleware.kwargs).setup
    for inner in _inside(app):
        found = setup_of(inner, depth - 1)
        if found is not None:
            return found
    return None


def _inside(app: object) -> Iterator[object]:
    """Yield what an application passes requests on to."""
    inner = getattr(app, "app", None)
    if inner is not None:
        yield inner
    for route in getattr(app, "routes", None) or ():
        if hasattr(route, "app"):
            yield route.app
