"""The session interface of Flask."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from flask import got_request_exception, request, session
from flask.sessions import NullSession, SessionInterface

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.flask.asked import current_session
from sessionstore_sql.flask.cookies import (
    UNAVAILABLE_HEADERS,
    make_unavailable,
    presented_by,
    tell_client,
    warn_of_plain_http,
)
from sessionstore_sql.flask.opened import StoreFactory
from sessionstore_sql.flask.session import Session, session_for
from sessionstore_sql.flask.storing import finish, lifetimes_of, subject_of_stored
from sessionstore_sql.web.background import BackgroundStore
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.lifetimes import DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import timedelta

    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin
    from sqlalchemy import URL

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.flask.opened import OpenedStore
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.lifetimes import Lifetimes
    from sessionstore_sql.web.options import OnConflict, SubjectOf
    from sessionstore_sql.web.presented import Presented
    from sessionstore_sql.web.request_session import RequestSession
    from sessionstore_sql.web.setup import Exclude

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

logger = logging.getLogger("sessionstore_sql.lifecycle")


class ExcludedSession(NullSession):
    """The session of a request that has none, as its path is in ``exclude``."""

    def _fail(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise RuntimeError("the path of this request is in `exclude`: it has no session")

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class SQLSessionInterface(SessionInterface):
    """Keeps the sessions of a Flask application in a database.

        sessions = SQLSessionInterface("postgresql://host/shop")
        sessions.init_app(app)

    The configuration of Flask sets the cookie: ``SESSION_COOKIE_NAME`` and the other options,
    ``PERMANENT_SESSION_LIFETIME``, ``SESSION_REFRESH_EACH_REQUEST``. The store works in a thread
    of its own, which all threads of a process share; a child process begins with its own.

    Args:
        store: The URL of the database, or a function that returns a new store.
        subject_of: Returns the user of a session: a change to a user is a sign-in, a change to
            ``None`` ends the session.
        lifetime: Absolute lifetime of a session, a duration or seconds; ``None``: the store's.
        max_sessions: Maximum number of sessions of one user; ``None``: the store's.
        anonymous_max_age: Idle time of sessions without a user; ``None``:
            ``PERMANENT_SESSION_LIFETIME``.
        renewal_threshold: The share of the idle time below which a session is renewed.
        on_conflict: What happens if another request has changed the session: ``"merge"``,
            ``"overwrite"`` or ``"error"``.
        max_state_bytes: Maximum size of a session as JSON; ``None``: none.
        bearer: Sends the id in headers instead of a cookie. The configuration of the cookie has no
            effect then.
        exclude: Paths, or patterns of paths, whose requests have no session.

    Raises:
        TypeError: An option is of a wrong type, or needs a store that knows users.
        ValueError: An option is out of range.
    """

    null_session_class = ExcludedSession

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        store: str | URL | SessionStorageBackend | Callable[[], SessionStorageBackend],
        *,
        subject_of: SubjectOf | None = None,
        lifetime: timedelta | float | None = None,
        max_sessions: int | None = None,
        anonymous_max_age: timedelta | float | None = None,
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
        on_conflict: OnConflict = "merge",
        max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES,
        bearer: BearerToken | None = None,
        exclude: Exclude = (),
    ) -> None:
        options = {
            "subject_of": subject_of_stored(subject_of),
            "lifetime": lifetime,
            "max_sessions": max_sessions,
            "anonymous_max_age": anonymous_max_age,
            "renewal_threshold": renewal_threshold,
            "on_conflict": on_conflict,
            "max_state_bytes": max_state_bytes,
            "bearer": bearer,
            "exclude": exclude,
            "https_option": "SESSION_COOKIE_SECURE",
        }
        factory = StoreFactory(store, options)
        self._setup = factory.peek().setup
        self._background: BackgroundStore[OpenedStore] = BackgroundStore(factory)
        self._closes: set[int] = set()

    def init_app(self, app: Flask) -> None:
        """Give an application these sessions, and the response 503 while the database fails."""
        app.session_interface = self
        app.register_error_handler(DatabaseError, _respond_unavailable)

    def close(self) -> None:
        """Close the store of this process. The next session opens another one."""
        self._background.close()

    def run(
        self,
        function: Callable[Parameters, Coroutine[Any, Any, Result]],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Return the result of a coroutine function that runs in the thread of the store."""

        async def operation(_opened: OpenedStore) -> Result:
            return await function(*args, **kwargs)

        return self._background.run(operation)

    @property
    def bearer(self) -> BearerToken | None:
        """What sends the id in headers; ``None``: a cookie does."""
        return self._setup.bearer

    def regenerate(self, session: SessionMixin) -> None:
        """Give a session a new id with this response. Flask-Session has a method of this name."""
        assert isinstance(session, Session)
        session.request_session.rotate()

    def open_session(self, app: Flask, request: Request) -> Session | None:
        """Load the session of a request."""
        if self._setup.excludes(request.path):
            return None
        if id(app) not in self._closes:
            got_request_exception.connect(_close_session, app)
            self._closes.add(id(app))
        name, bearer = self.get_cookie_name(app), self._setup.bearer
        presented = presented_by(request.headers, name, bearer)
        begun = self._background.run(_begin, presented, name if bearer is None else bearer.name)
        return session_for(begun, challenge=self._setup.transport.challenge)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store the session of a request, and tell the client.

        Raises:
            SerializationError, ConflictError: The session cannot be stored; nothing was changed.
            DatabaseError: The database failed, and a retry would not help.
        """
        assert isinstance(session, Session)
        outcome = Outcome(Cookie.KEEP)
        if not session.request_session.closed:
            try:
                outcome = self._finish(app, session)
                if response.is_streamed:
                    response.call_on_close(session.log_late_changes)
            except DatabaseError as error:
                session.request_session.close()
                if not error.transient:
                    raise
                logger.error("a request was answered with 503, as the database failed: %s", error)  # noqa: TRY400  # without the traceback, once for each request
                make_unavailable(response)
                return
            except BaseException:
                # The response that reports this error is not another chance to store the session.
                session.request_session.close()
                raise
        tell_client(self, app, session, response, outcome, bearer=self._setup.bearer)
        warn_of_plain_http(self._setup, self, app, outcome, request.scheme)

    def _finish(self, app: Flask, session: Session) -> Outcome:
        state = session.complete_state()
        lifetimes = lifetimes_of(session, state, app, self._setup.sessions.options.lifetimes)
        return self._background.run(_finish, session, state, lifetimes)


async def _begin(opened: OpenedStore, presented: Presented, name: str) -> RequestSession:
    sessions = opened.setup.sessions
    sessions.name = name
    return await sessions.begin(presented)


async def _finish(
    _opened: OpenedStore, session: Session, state: dict[str, Any], lifetimes: Lifetimes
) -> Outcome:
    return await finish(session, state, lifetimes)


def _close_session(_app: Flask, **_: Any) -> None:
    """Let nothing be stored of a request that failed."""
    current = current_session(session)
    if current is not None:
        current.request_session.close()


def _respond_unavailable(error: DatabaseError) -> tuple[str, int, dict[str, str]]:
    if not error.transient:
        raise error
    logger.error("a request was answered with 503, as the database failed: %s", error)
    return "Service Unavailable", 503, UNAVAILABLE_HEADERS
