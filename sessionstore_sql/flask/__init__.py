"""Server-side sessions for Flask.

Needs the extra ``flask``: ``pip install 'sessionstore-sql[flask]'``.
"""

from importlib.util import find_spec

if find_spec("flask") is None:
    raise ModuleNotFoundError(
        "flask is not installed: pip install 'sessionstore-sql[flask]'", name="flask"
    )

from sessionstore_sql.flask.errors import NotAuthenticated, ReauthenticationRequired
from sessionstore_sql.flask.functions import (
    current_handle,
    fresh_required,
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
from sessionstore_sql.flask.interface import SQLSessionInterface
from sessionstore_sql.flask.session import Session
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.errors import SessionClosedError

__all__ = [
    "BearerToken",
    "NotAuthenticated",
    "ReauthenticationRequired",
    "SQLSessionInterface",
    "Session",
    "SessionClosedError",
    "current_handle",
    "fresh_required",
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
