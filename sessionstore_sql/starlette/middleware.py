"""``SessionMiddleware``: a session before the application, stored before the response."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.caching import keep_private
from sessionstore_sql.cookies import SessionCookie, default_name
from sessionstore_sql.lifecycle import DEFAULT_RENEWAL_THRESHOLD, Cookie
from sessionstore_sql.records import require_ttl
from sessionstore_sql.starlette.session import Session, session_of
from sessionstore_sql.visits import Visit, require_threshold

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sessionstore_sql.cookies import SameSite
    from sessionstore_sql.lifecycle import Outcome

_STARTS = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""The messages that carry headers: the last moment for a cookie. A WebSocket that is closed
without having been accepted has none."""


class SessionMiddleware:
    """Gives ``request.session`` and ``websocket.session``: a dict, kept in the database.

    It takes the place of Starlette's own, whose options it has, and is secure unless told
    otherwise. The session is loaded, in one statement, when a request presents a cookie that
    may be an id, and stored before the response starts: a client that has the response has a
    session that is committed. Nothing is written for a session that is only read, but its
    life is extended when too little of it remains, and its cookie renewed with it.

    A session that was changed after the response had started cannot be stored: see
    ``SessionClosedError``. An exception that no handler of the application answers stores
    nothing. A session that ended while a request was using it is not revived.

    Where a response depends on a session, or carries its cookie, ``Vary: Cookie`` and
    ``Cache-Control: private`` keep shared caches from it.

    Args:
        app: The application.
        store: Where the sessions are; its life is the application's affair.
        session_cookie: The name of the cookie. ``__Host-session`` where none is given,
            ``__Secure-session`` with another ``path`` than ``/`` or a ``domain``, and
            ``session`` where ``https_only`` is off.
        max_age: How long a session lives after it was stored or extended; seconds, if an int.
        path: The ``Path`` of the cookie.
        same_site: The ``SameSite`` of the cookie.
        https_only: Whether the cookie is ``Secure``.
        domain: The ``Domain`` of the cookie; with ``None``, no other host gets it.
        partitioned: Whether the cookie is ``Partitioned``: one for each site that embeds this one.
        renewal_threshold: The share of ``max_age``, from 0 to 1, below which the remaining life
            is extended. With 0 it never is.

    Raises:
        TypeError: ``store`` or ``max_age`` is of another type.
        ValueError: ``max_age`` or ``renewal_threshold`` is out of range, or browsers would not
            accept such a cookie.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        app: ASGIApp,
        store: SessionStorageBackend,
        *,
        session_cookie: str | None = None,
        max_age: timedelta | int = timedelta(days=14),
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool = True,
        domain: str | None = None,
        partitioned: bool = False,
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
    ) -> None:
        if not isinstance(store, SessionStorageBackend):
            raise TypeError(f"store is a session store, not {type(store).__name__}")
        require_threshold(renewal_threshold)
        if session_cookie is None:
            session_cookie = default_name(path=path, secure=https_only, domain=domain)
        self.app = app
        self._store = store
        self._ttl = _ttl_of(max_age)
        self._renewal_threshold = renewal_threshold
        self._cookie = SessionCookie(
            name=session_cookie,
            path=path,
            same_site=same_site,
            secure=https_only,
            domain=domain,
            partitioned=partitioned,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a session, where the scope can have one."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        visit = await Visit.begin(self._store, self._cookie.presented(scope["headers"]))
        session = scope["session"] = Session(visit)

        async def send_after_saving(message: Message) -> None:
            if message["type"] in _STARTS and not visit.closed:
                outcome = await visit.finish(
                    self._store,
                    session.complete_state(),
                    ttl=self._ttl,
                    renewal_threshold=self._renewal_threshold,
                )
                self._write_headers(message, session, outcome)
            await send(message)

        await self.app(scope, receive, send_after_saving)
        visit.require_finished(session.complete_state())

    def _write_headers(self, message: Message, session: Session, outcome: Outcome) -> None:
        if outcome.cookie is Cookie.KEEP and not session.accessed:
            return
        message.setdefault("headers", [])
        headers = MutableHeaders(scope=message)
        keep_private(headers, headers.getlist)
        header = self._cookie.header_after(outcome, self._ttl)
        if header is not None:
            headers.append("Set-Cookie", header)


def rotate(connection: HTTPConnection) -> None:
    """Give the session another id with this response; what it holds stays.

    To be called wherever somebody's privileges change, as when they log in: an id that an
    attacker planted before, or has learned, is worth nothing afterwards. The old id is unknown
    from then on, to requests of the same browser that are under way as well.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
    """
    session_of(connection).rotate()


def invalidate(connection: HTTPConnection) -> None:
    """Empty the session, and have it deleted, and its cookie removed, with this response.

    To be called when somebody logs out. What is put into ``request.session`` afterwards begins
    a new session, with an id of its own.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
    """
    session_of(connection).invalidate()


def _ttl_of(max_age: timedelta | int) -> timedelta:
    ttl = max_age if isinstance(max_age, timedelta) else timedelta(seconds=max_age)
    require_ttl(ttl)
    if not ttl:
        raise ValueError("max_age is more than zero")
    return ttl
