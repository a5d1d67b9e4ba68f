"""Sessions for aiohttp: a storage for aiohttp-session, and functions to sign in and out.

    setup(app, SQLStorage(SQLSessionStore(url)))

``await get_session(request)`` of aiohttp-session gives a dict-like session. Its content is in the
database, and the cookie holds an id that says nothing. The extra is ``aiohttp``.
"""

from importlib.util import find_spec

if find_spec("aiohttp_session") is None:
    raise ModuleNotFoundError(
        "aiohttp_session is not installed: pip install 'sessionstore-sql[aiohttp]'",
        name="aiohttp_session",
    )

from sessionstore_sql.accounts import SessionHandle, SessionInfo
from sessionstore_sql.aiohttp.functions import (
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
from sessionstore_sql.aiohttp.session import SQLSession
from sessionstore_sql.aiohttp.storage import SQLStorage, setup
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.errors import SessionClosedError

__all__ = [
    "BearerToken",
    "ReauthenticationRequired",
    "SQLSession",
    "SQLStorage",
    "SessionClosedError",
    "SessionHandle",
    "SessionInfo",
    "current_handle",
    "invalidate",
    "reload",
    "require_fresh",
    "revoke",
    "rotate",
    "sessions_of",
    "set_max_age",
    "setup",
    "sign_in",
    "sign_out_everywhere",
]
