"""Sessions for FastAPI: those of Starlette, and dependencies on them.

    LoggedIn = Annotated[Login, Depends(typed_session(Login))]

    @app.get("/me")
    async def me(login: LoggedIn) -> str:
        return login.name

``Login`` is a Pydantic model of what ``request.session`` holds. The extra is ``fastapi``.

Importing this module lets ``FastAPI.openapi`` document the responses of these dependencies.
"""

from importlib.util import find_spec

if find_spec("fastapi") is None:
    raise ModuleNotFoundError(
        "fastapi is not installed: pip install 'sessionstore-sql[fastapi]'",
        name="fastapi",
    )

from sessionstore_sql.fastapi.fresh import ReauthenticationRequired, fresh, require_fresh
from sessionstore_sql.fastapi.openapi import add_session_responses
from sessionstore_sql.fastapi.typed import typed_session
from sessionstore_sql.starlette import (
    BearerToken,
    SessionClosedError,
    SessionHandle,
    SessionInfo,
    SessionMiddleware,
    current_handle,
    invalidate,
    reload,
    revoke,
    rotate,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)

__all__ = [
    "BearerToken",
    "ReauthenticationRequired",
    "SessionClosedError",
    "SessionHandle",
    "SessionInfo",
    "SessionMiddleware",
    "add_session_responses",
    "current_handle",
    "fresh",
    "invalidate",
    "reload",
    "require_fresh",
    "revoke",
    "rotate",
    "sessions_of",
    "set_max_age",
    "sign_in",
    "sign_out_everywhere",
    "typed_session",
]
