"""Documents the responses 401 and 403 of the dependencies in an application's OpenAPI document.

FastAPI lets a dependency name a security scheme, but no response. So the operations that depend on
a session are found by their security scheme, and get their responses afterwards.
``FastAPI.openapi`` does that once ``sessionstore_sql.fastapi`` is imported.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.models import APIKey, APIKeyIn, HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotation

from sessionstore_sql.starlette.functions import REAUTHENTICATION_REQUIRED
from sessionstore_sql.starlette.middleware import SessionMiddleware
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.cookie import default_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Scheme(SecurityBase):
    """A security scheme that only documents: the dependency that has it does the work."""

    def __init__(self, scheme_name: str, description: str) -> None:
        self.scheme_name = scheme_name
        self.model = _cookie_model(default_name(path="/", secure=True, domain=None), description)

    async def __call__(self, connection: HTTPConnection) -> None:
        """Do nothing."""


def _cookie_model(name: str, description: str | None) -> APIKey:
    return APIKey.model_validate({"in": APIKeyIn.cookie, "name": name, "description": description})


SESSION = _Scheme("Session", "The cookie of a session.")
FRESH_SESSION = _Scheme("FreshSession", "The cookie of a session whose user signed in lately.")

_UNAUTHORIZED = {
    "description": "There is no session, or no user is signed in",
    "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["detail"],
                "properties": {"detail": {"type": "string"}},
            }
        }
    },
}
_REAUTHENTICATION = {
    "description": "The user has to sign in again",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "detail": {
                        "type": "object",
                        "required": ["reason", "message", "within_seconds"],
                        "properties": {
                            "reason": {"type": "string", "const": REAUTHENTICATION_REQUIRED},
                            "message": {"type": "string"},
                            "within_seconds": {"type": "integer"},
                        },
                    }
                },
            }
        }
    },
}
_RESPONSES = {
    SESSION.scheme_name: {"401": _UNAUTHORIZED},
    FRESH_SESSION.scheme_name: {"401": _UNAUTHORIZED, "403": _REAUTHENTICATION},
}


def add_session_responses(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the responses of ``typed_session`` and ``fresh`` to an OpenAPI document, and return it.

    Only applications with an ``openapi`` function of their own need to call it. Responses that an
    operation documents itself are kept.
    """
    for operation in _operations_of(schema):
        for name in {name for each in operation.get("security", ()) for name in each}:
            responses = operation.setdefault("responses", {})
            for status, response in _RESPONSES.get(name, {}).items():
                responses.setdefault(status, response)
    return schema


def _operations_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema.get("paths", {}).values():
        yield from (each for each in path.values() if isinstance(each, dict))


def _name_transport(app: FastAPI, schema: dict[str, Any]) -> None:
    """Replace the default cookie in the security schemes by what the application uses."""
    schemes = schema.get("components", {}).get("securitySchemes", {})
    named = schemes.keys() & _RESPONSES.keys()
    transport = _transport_of(app) if named else None
    if transport is None:
        return
    for name in named:
        description = schemes[name].get("description")
        if isinstance(transport, BearerToken):
            model: APIKey | HTTPBearer = HTTPBearer(description="The id of a session.")
        else:
            model = _cookie_model(transport.name, description)
        schemes[name] = model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _transport_of(app: FastAPI) -> Any:  # noqa: ANN401  # a cookie, a bearer token or nothing
    for middleware in app.user_middleware:
        if isinstance(middleware.cls, type) and issubclass(middleware.cls, SessionMiddleware):
            made: Any = middleware.cls
            return made(app, *middleware.args, **middleware.kwargs).transport
    return None


def _documented(openapi: Callable[[FastAPI], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @functools.wraps(openapi)
    def with_session_responses(app: FastAPI) -> dict[str, Any]:
        schema = add_session_responses(openapi(app))
        _name_transport(app, schema)
        return schema

    return with_session_responses


FastAPI.openapi = _documented(FastAPI.openapi)  # type: ignore[method-assign]
