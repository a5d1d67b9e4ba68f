"""Litestar: server-side sessions, and a key-value store for caches and rate limits.

    sessions = SQLSessionConfig(store=SQLSessionStore(url))
    app = Litestar([..], middleware=[sessions.middleware])

``request.session`` is a dict, as with Litestar's own sessions. Its content is in the database, and
the cookie holds an id that says nothing. The extra is ``litestar``.
"""

from importlib.util import find_spec

if find_spec("litestar") is None:
    raise ModuleNotFoundError(
        "litestar is not installed: pip install 'sessionstore-sql[litestar]'",
        name="litestar",
    )

from sessionstore_sql.accounts import SessionHandle, SessionInfo
from sessionstore_sql.litestar.fresh import fresh
from sessionstore_sql.litestar.functions import (
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
from sessionstore_sql.litestar.plugin import SQLSessionPlugin
from sessionstore_sql.litestar.sessions import SQLSessionBackend, SQLSessionConfig
from sessionstore_sql.litestar.stores import SQLStore
from sessionstore_sql.litestar.typed import typed_session
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.errors import SessionClosedError

__all__ = [
    "BearerToken",
    "ReauthenticationRequired",
    "SQLSessionBackend",
    "SQLSessionConfig",
    "SQLSessionPlugin",
    "SQLStore",
    "SessionClosedError",
    "SessionHandle",
    "SessionInfo",
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
