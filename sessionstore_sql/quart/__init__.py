"""Server-side sessions for Quart.

Needs the extra ``quart``: ``pip install 'sessionstore-sql[quart]'``.
"""

from importlib.util import find_spec

if find_spec("quart") is None:
    raise ModuleNotFoundError(
        "quart is not installed: pip install 'sessionstore-sql[quart]'", name="quart"
    )

from sessionstore_sql.flask.errors import NotAuthenticated, ReauthenticationRequired
from sessionstore_sql.flask.session import Session
from sessionstore_sql.quart.functions import (
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
from sessionstore_sql.quart.interface import SQLSessionInterface
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
