"""The session interface of Quart."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from flask.sessions import NullSession
from quart import (
    Quart,
    got_request_exception,
    request,
    session,
)
from quart.sessions import SessionInterface
from quart.wrappers import Websocket

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.flask.asked import current_session
from sessionstore_sql.flask.cookies import (
    UNAVAILABLE_HEADERS,
    make_unavailable,
    presented_by,
    tell_client,
    warn_of_plain_http,
)
from sessionstore_sql.flask.session import Session, session_for
from sessionstore_sql.flask.storing import finish, lifetimes_of, subject_of_stored
from sessionstore_sql.quart.streams import watch_stream
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.lifetimes import DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES
from sessionstore_sql.web.recheck import POLICY_VIOLATION, REASON, wait_until_ended
from sessionstore_sql.web.setup import DEFAULT_RECHECK, SessionSetup
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from datetime import timedelta

    from flask.sessions import SessionMixin
    from quart.wrappers import BaseRequestWebsocket, Response
    from werkzeug.wrappers import Response as WerkzeugResponse

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.options import OnConflict, SubjectOf
    from sessionstore_sql.web.setup import Exclude

logger = logging.getLogger("sessionstore_sql.lifecycle")


class ExcludedSession(NullSession):
    """The session of a request that has none, as its path is in ``exclude``."""

    def _fail(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise RuntimeError("the path of this request is in `exclude`: it has no session")

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class SQLSessionInterface(SessionInterface):
    """Keeps the sessions of a Quart application in a database.

        store = SQLSessionStore("postgresql://host/shop")
        SQLSessionInterface(store).init_app(app)

    The configuration of Quart sets the cookie: ``SESSION_COOKIE_NAME`` and the other options,
    ``PERMANENT_SESSION_LIFETIME``, ``SESSION_REFRESH_EACH_REQUEST``.

    Args:
        store: The store of the sessions. The application opens and closes it.
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
        websocket_recheck: How often the session of an open WebSocket is looked up. If it has
            ended, the WebSocket is closed with 1008. ``None``: never.

    Raises:
        TypeError: An option is of a wrong type, or needs a store that knows users.
        ValueError: An option is out of range.
    """

    null_session_class = ExcludedSession

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        store: SessionStorageBackend,
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
        websocket_recheck: timedelta | float | None = DEFAULT_RECHECK,
    ) -> None:
        self._setup = SessionSetup(
            store,
            subject_of=subject_of_stored(subject_of),
            lifetime=lifetime,
            max_sessions=max_sessions,
            anonymous_max_age=anonymous_max_age,
            renewal_threshold=renewal_threshold,
            on_conflict=on_conflict,
            max_state_bytes=max_state_bytes,
            bearer=bearer,
            exclude=exclude,
            websocket_recheck=websocket_recheck,
            https_option="SESSION_COOKIE_SECURE",
        )

    def init_app(self, app: Quart) -> None:
        """Give an application these sessions, and the response 503 while the database fails."""
        app.session_interface = self  # type: ignore[assignment]  # annotated as Quart's default
        app.register_error_handler(DatabaseError, _respond_unavailable)
        app.teardown_websocket(_stop_watching)
        got_request_exception.connect(_close_session, app)

    @property
    def bearer(self) -> BearerToken | None:
        """What sends the id in headers; ``None``: a cookie does."""
        return self._setup.bearer

    def regenerate(self, session: SessionMixin) -> None:
        """Give a session a new id with this response. Flask-Session has a method of this name."""
        assert isinstance(session, Session)
        session.request_session.rotate()

    async def open_session(self, app: Quart, request: BaseRequestWebsocket) -> Session | None:
        """Load the session of a request or a WebSocket.

        That of a WebSocket can only be read: no response could carry a cookie. Change sessions in
        requests.
        """
        if self._setup.excludes(request.path):
            return None
        name, setup = self.get_cookie_name(app), self._setup
        setup.sessions.name = name if setup.bearer is None else setup.bearer.name
        presented = presented_by(request.headers, name, setup.bearer)
        begun = await setup.sessions.begin(presented)
        session = session_for(begun, challenge=setup.transport.challenge)
        if isinstance(request, Websocket):
            session.request_session.close()
            period = setup.websocket_recheck
            if period is not None and session.request_session.session_id is not None:
                session.watcher = asyncio.create_task(_watch(session, request, period))
        return session

    async def save_session(
        self, app: Quart, session: SessionMixin, response: Response | WerkzeugResponse | None
    ) -> None:
        """Store the session of a request, and tell the client.

        Raises:
            SerializationError, ConflictError: The session cannot be stored; nothing was changed.
            DatabaseError: The database failed, and a retry would not help.
        """
        assert isinstance(session, Session)
        if response is None:
            return
        outcome = Outcome(Cookie.KEEP)
        if not session.request_session.closed:
            try:
                outcome = await self._finish(app, session)
                watch_stream(response, session)
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

    async def _finish(self, app: Quart, session: Session) -> Outcome:
        state = session.complete_state()
        lifetimes = lifetimes_of(session, state, app, self._setup.sessions.options.lifetimes)
        return await finish(session, state, lifetimes)


async def _watch(session: Session, websocket: Websocket, period: timedelta) -> None:
    """Close a WebSocket when its session has ended."""
    await wait_until_ended(session.request_session, period)
    with suppress(OSError, RuntimeError):  # The client or the application closed it already.
        await websocket.close(POLICY_VIOLATION, REASON)


async def _stop_watching(_error: BaseException | None) -> None:
    current = current_session(session)
    if current is not None and current.watcher is not None:
        current.watcher.cancel()


async def _close_session(_app: Quart, **_: Any) -> None:
    """Let nothing be stored of a request that failed."""
    current = current_session(session)
    if current is not None:
        current.request_session.close()


async def _respond_unavailable(error: DatabaseError) -> tuple[str, int, dict[str, str]]:
    if not error.transient:
        raise error
    logger.error("a request was answered with 503, as the database failed: %s", error)
    return "Service Unavailable", 503, UNAVAILABLE_HEADERS
