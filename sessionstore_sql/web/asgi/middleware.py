"""The middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.web.asgi.exchange import Exchange, has_session
from sessionstore_sql.web.lifetimes import DEFAULT_MAX_AGE, DEFAULT_RENEWAL_THRESHOLD
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES
from sessionstore_sql.web.setup import DEFAULT_RECHECK, SessionSetup

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.web.asgi.exchange import ASGIApp, Receive, Scope, Send
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.cookie import SameSite
    from sessionstore_sql.web.options import OnConflict, SubjectOf
    from sessionstore_sql.web.setup import Exclude


class SessionMiddleware:
    """Gives every request and WebSocket ``scope["session"]``: a dict kept in the database.

    The session is loaded in one statement if the request presents an id, and stored before the
    response starts. A client that has received the response has a session that is committed.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        app: ASGIApp,
        store: SessionStorageBackend,
        *,
        session_cookie: str | None = None,
        max_age: timedelta | float = DEFAULT_MAX_AGE,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool = True,
        domain: str | None = None,
        partitioned: bool = False,
        bearer: BearerToken | None = None,
        anonymous_max_age: timedelta | float | None = None,
        persistent: bool = True,
        lifetime: timedelta | float | None = None,
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
        max_sessions: int | None = None,
        subject_of: SubjectOf | None = None,
        on_conflict: OnConflict = "merge",
        max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES,
        exclude: Exclude = (),
        websocket_recheck: timedelta | float | None = DEFAULT_RECHECK,
    ) -> None:
        self.app = app
        self.setup = SessionSetup(
            store,
            session_cookie=session_cookie,
            max_age=max_age,
            path=path,
            same_site=same_site,
            https_only=https_only,
            domain=domain,
            partitioned=partitioned,
            bearer=bearer,
            anonymous_max_age=anonymous_max_age,
            persistent=persistent,
            lifetime=lifetime,
            renewal_threshold=renewal_threshold,
            max_sessions=max_sessions,
            subject_of=subject_of,
            on_conflict=on_conflict,
            max_state_bytes=max_state_bytes,
            exclude=exclude,
            websocket_recheck=websocket_recheck,
        )
        self.transport = self.setup.transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session, if the scope can have one and needs one."""
        if not has_session(self.setup, scope):
            await self.app(scope, receive, send)
            return
        exchange = Exchange(self.app, self.setup, scope, receive, send)
        # The scope holds the cookie, and error trackers show the variables of every frame.
        del scope, receive, send
        await exchange.run()
