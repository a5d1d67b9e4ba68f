"""The session of a request, for adapters to web frameworks.

The framework adapters of this package are built on these names, and so can yours be. An adapter
reads the request, gives the application a dict, and writes the response. ``Sessions`` does the
rest: it loads, and decides and stores when the response is about to start.

    sessions = Sessions(store, SessionOptions())
    cookie = SessionCookie(name="__Host-session")

    session = await sessions.begin(cookie.ids_in(request_headers))
    state = SessionDict.of(session)             # the application reads and changes it
    outcome = await session.finish(state.complete_state())
    response_headers += cookie.headers_after(outcome)

If the framework speaks ASGI, ``SessionMiddleware`` is all that it needs.
"""

from sessionstore_sql.web.asgi import SessionMiddleware
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.background import BackgroundStore
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.cache_control import keep_private
from sessionstore_sql.web.cookie import SessionCookie, default_name
from sessionstore_sql.web.decision import (
    Cookie,
    Decision,
    Facts,
    Found,
    Lost,
    Step,
    Wish,
    decide,
)
from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.lifetimes import Lifetimes, duration_of
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.presented import Presented
from sessionstore_sql.web.request_session import RequestSession
from sessionstore_sql.web.session_dict import SessionDict
from sessionstore_sql.web.sessions import Sessions
from sessionstore_sql.web.setup import SessionSetup
from sessionstore_sql.web.work import Outcome

__all__ = [
    "BackgroundStore",
    "BearerToken",
    "Cookie",
    "Decision",
    "Facts",
    "Found",
    "Freshness",
    "Lifetimes",
    "Lost",
    "Outcome",
    "Presented",
    "RequestSession",
    "SessionClosedError",
    "SessionCookie",
    "SessionDict",
    "SessionMiddleware",
    "SessionOptions",
    "SessionSetup",
    "Sessions",
    "Step",
    "Wish",
    "decide",
    "default_name",
    "duration_of",
    "keep_private",
]
