"""What an application does to its sessions, beside reading and writing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp_session import STORAGE_KEY, get_session

from sessionstore_sql.accounts import SessionHandle
from sessionstore_sql.aiohttp.exchange import Exchange, exchanges_of
from sessionstore_sql.aiohttp.session import SQLSession
from sessionstore_sql.aiohttp.storage import SQLStorage
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts import SessionInfo
    from sessionstore_sql.records import JSON
    from sessionstore_sql.web.request_session import RequestSession

REAUTHENTICATION_REQUIRED = "reauthentication_required"
"""The reason of a 403 that a new login can turn into another response."""


class ReauthenticationRequired(web.HTTPForbidden):
    """403: the user has to sign in again.

    Its body is a JSON object whose ``reason`` is ``reauthentication_required``.

    Attributes:
        within: The period within which the user has to have signed in.
    """

    def __init__(self, within: timedelta) -> None:
        body = {
            "reason": REAUTHENTICATION_REQUIRED,
            "message": "Sign in again to do this.",
            "within_seconds": int(within.total_seconds()),
        }
        super().__init__(text=json.dumps(body), content_type="application/json")
        self.within = within


async def rotate(request: web.Request) -> None:
    """Give the session a new id with this response. Its content stays.

    Call it whenever a user gets more privileges. An id that an attacker has planted or learned
    before is useless afterwards. For a login, ``sign_in`` does this and more.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        DatabaseError: The session could not be loaded.
    """
    (await _session_of(request)).rotate()


async def invalidate(request: web.Request) -> None:
    """Empty the session, and delete it with this response. Call it at the logout.

    The response removes the cookie, unless something is put into the session afterwards:
    that begins a new session, with an id of its own.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        DatabaseError: The session could not be loaded.
    """
    (await _session_of(request)).invalidate()


async def sign_in(
    request: web.Request,
    subject: str | int,
    *,
    about: dict[str, JSON] | None = None,
    lifetime: timedelta | None = None,
    max_sessions: int | None = None,
) -> None:
    """Sign a user in. The session becomes theirs, and gets a new id with this response.

    Call it after you have checked the password, or whatever proves who the user is; also if a
    user who is signed in proves it again. With the option ``subject_of`` you need not call it
    at a login, but you can, to pass ``about``.

    Args:
        request: The request.
        subject: The id of the user.
        about: What the list of the user's sessions shows about this one, such as the name of the
            device.
        lifetime: Absolute lifetime of this session; ``None``: as the options say.
        max_sessions: Maximum number of the user's sessions; ``None``: as the options say.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``, or an argument has a wrong type.
        ValueError: An argument is out of range.
        DatabaseError: The session could not be loaded.
    """
    (await _request_session_of(request)).sign_in(
        subject, about=about, lifetime=lifetime, max_sessions=max_sessions
    )


async def set_max_age(request: web.Request, max_age: timedelta | float | None) -> None:
    """Give the session an idle time of its own, for example if the user ticked "remember me".

    It stays with the session until it ends, or until it is set again.

    Args:
        request: The request.
        max_age: A duration, or seconds; ``None``: as the options say.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``, or ``max_age`` is no duration.
        ValueError: ``max_age`` is out of range.
        DatabaseError: The session could not be loaded.
    """
    (await _request_session_of(request)).set_max_age(max_age)


async def current_handle(request: web.Request) -> SessionHandle | None:
    """Return the handle of this session, to mark it in a list; ``None`` if it is anonymous.

    A session that this request signs in has its handle from the next request on.

    Raises:
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        DatabaseError: The session could not be loaded.
    """
    return (await _request_session_of(request)).handle


async def sessions_of(request: web.Request, *, limit: int = 100) -> list[SessionInfo]:
    """Return the sessions of the user who is signed in, the one written last first.

    The list is empty if no user is signed in. See ``AccountSessionBackend.sessions_of``.

    Raises:
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    return await (await _request_session_of(request)).sessions_of(limit=limit)


async def revoke(request: web.Request, handle: SessionHandle | str) -> bool:
    """End one session of the user who is signed in, at once, and return whether there was one.

    A handle of another user's session ends nothing. If it is the session of this request, that
    is invalidated.

    Args:
        request: The request.
        handle: The handle, or its text as a form sends it.

    Raises:
        ValueError: The text is no handle.
        SessionClosedError: It is the session of this request, and the response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``, or ``handle`` no handle.
        DatabaseError: The database failed.
    """
    session = await _session_of(request)
    if isinstance(handle, str):
        handle = SessionHandle(handle)
    request_session = await _request_session_of(request)
    is_this = handle == request_session.handle
    ended = await request_session.revoke(handle)
    if is_this:
        session.invalidate()
    return ended


async def sign_out_everywhere(request: web.Request, *, keep_this: bool = True) -> int:
    """End the user's other sessions at once, and return how many were ended.

    Call it when a password was changed, and offer it as a button.

    Args:
        request: The request.
        keep_this: Whether to keep the session of this request. If not, it is invalidated.

    Raises:
        SessionClosedError: This session would end too, but the response has started.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    session = await _session_of(request)
    ended = await (await _request_session_of(request)).sign_out_everywhere(keep_this=keep_this)
    if not keep_this:
        session.invalidate()
    return ended


async def require_fresh(request: web.Request, *, within: timedelta | float) -> None:
    """Raise an ``HTTPException`` unless the user has authenticated within a period.

    Args:
        request: The request.
        within: The period, a duration or seconds.

    Raises:
        HTTPException: 401, if no user is signed in; else ``ReauthenticationRequired``, 403.
        RuntimeError: The application has no ``SQLStorage``, or the path is in its ``exclude``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The session could not be loaded.
    """
    period = duration_of(within, "within")
    freshness = (await _request_session_of(request)).freshness(period)
    if freshness is Freshness.NOT_SIGNED_IN:
        # A 401 must have a challenge: RFC 9110, 11.6.1.
        challenge = next(exchanges_of(request)).setup.transport.challenge
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": challenge})
    if freshness is Freshness.STALE:
        raise ReauthenticationRequired(period)


async def reload(request: web.Request) -> bool:
    """Load the session again, and return whether it is still live: ``await session.reload()``.

    For responses and WebSockets that go on for long. A session that has ended is empty then.

    Raises:
        RuntimeError: Changes would be lost that are stored only when the response starts; or the
            application has no ``SQLStorage``, or the path is in its ``exclude``.
        DatabaseError: The database failed.
    """
    return await (await _session_of(request)).reload()


async def _session_of(request: web.Request) -> SQLSession:
    session = await get_session(request)
    if not isinstance(session, SQLSession):
        raise RuntimeError(  # noqa: TRY004  # the set-up is at fault, not the argument
            "the application's sessions are not those of a SQLStorage"
        )
    return session


async def _request_session_of(request: web.Request) -> RequestSession:
    session = await _session_of(request)
    if session.request_session is None:  # Only ``SQLStorage.new_session`` returns such.
        storage = request.get(STORAGE_KEY)
        assert isinstance(storage, SQLStorage | Exchange), "it made the session"
        return await storage.adopt(request, session)
    return session.request_session
