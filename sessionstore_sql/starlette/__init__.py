"""Sessions for Starlette and FastAPI: ``SessionMiddleware`` and functions to sign in and out.

    app.add_middleware(SessionMiddleware, store=SQLSessionStore(url))

``request.session`` is a dict, as with Starlette's own middleware. Its content is in the database,
and the cookie holds an id that says nothing. The extra is ``starlette``.
"""

from importlib.util import find_spec

if find_spec("starlette") is None:
    raise ModuleNotFoundError(
        "starlette is not installed: pip install 'sessionstore-sql[starlette]'",
        name="starlette",
    )

from sessionstore_sql.accounts import SessionHandle, SessionInfo
from sessionstore_sql.starlette.functions import (
    ReauthenticationRequired,
    current_handle,
    invalidate,
    reload,
    require_fresh,
    revoke,
    rotate,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.starlette.middleware import SessionMiddleware
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.errors import SessionClosedError

__all__ = [
    "BearerToken",
    "ReauthenticationRequired",
    "SessionClosedError",
    "SessionHandle",
    "SessionInfo",
    "SessionMiddleware",
    "current_handle",
    "invalidate",
    "reload",
    "require_fresh",
    "revoke",
    "rotate",
    "sessions_of",
    "set_max_age",
    "sign_in",
    "sign_out_everywhere",
]
