"""``SQLSessionPlugin``: adds sessions to an application, and documents their responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from litestar.exceptions import NotAuthorizedException
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.routes import HTTPRoute

from sessionstore_sql.litestar.fresh import FreshGuard
from sessionstore_sql.litestar.functions import ReauthenticationRequired
from sessionstore_sql.litestar.typed import TypedSession
from sessionstore_sql.web.bearer import BearerToken

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.handlers import HTTPRouteHandler
    from litestar.routes import BaseRoute

    from sessionstore_sql.litestar.sessions import SQLSessionConfig

_SCHEME = "Session"


class SQLSessionPlugin(InitPlugin, ReceiveRoutePlugin):
    """Adds the middleware of a ``SQLSessionConfig`` to an application, outside of all others.

        sessions = SQLSessionConfig(store=store)
        app = Litestar([..], plugins=[SQLSessionPlugin(sessions)], lifespan=[store])

    In the application's OpenAPI document, handlers with the guard ``fresh`` or a dependency
    ``typed_session`` have the responses 401 and 403, and the security scheme ``Session``.

    Args:
        config: The sessions.
    """

    def __init__(self, config: SQLSessionConfig) -> None:
        self.config = config

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the middleware and the security scheme."""
        app_config.middleware = [self.config.middleware, *app_config.middleware]
        if app_config.openapi_config is not None:
            openapi = app_config.openapi_config
            given = openapi.components
            openapi.components = [
                *([given] if isinstance(given, Components) else given),
                Components(security_schemes={_SCHEME: self._scheme()}),
            ]
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Document the responses of a route's handlers."""
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                _document(handler)

    def _scheme(self) -> SecurityScheme:
        transport = self.config.transport
        if isinstance(transport, BearerToken):
            return SecurityScheme("http", scheme="bearer", description="The id of a session.")
        return SecurityScheme(
            "apiKey",
            name=transport.name,
            security_scheme_in="cookie",
            description="The cookie of a session.",
        )


def _document(handler: HTTPRouteHandler) -> None:
    guards = [each for layer in handler.ownership_layers for each in layer.guards or ()]
    is_fresh = any(isinstance(each, FreshGuard) for each in guards)
    dependencies = handler.resolve_dependencies().values()
    if not is_fresh and not any(isinstance(each, TypedSession) for each in dependencies):
        return
    added: list[Any] = [NotAuthorizedException]
    if is_fresh:
        added.append(ReauthenticationRequired)
    given = handler.raises or ()
    handler.raises = [*given, *(each for each in added if each not in given)]
    handler.security = [*(handler.security or ()), cast("Any", {_SCHEME: []})]
