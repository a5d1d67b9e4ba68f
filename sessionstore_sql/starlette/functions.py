"""What an application does to its sessions, beside reading and writing ``request.session``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from sessionstore_sql.accounts import SessionHandle
from sessionstore_sql.starlette.session import session_of
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from datetime import timedelta

    from starlette.requests import HTTPConnection

    from sessionstore_sql.accounts import SessionInfo
    from sessionstore_sql.records import JSON

REAUTHENTICATION_REQUIRED = "reauthentication_required"
"""The reason of a 403 that a new login can turn into another response."""


class ReauthenticationRequired(HTTPException):
    """403: the user has to sign in again.

    ``detail``, which Starlette sends as the body, is ``reauthentication_required``.

    Attributes:
        within: The period within which the user has to have signed in.
    """

    def __init__(self, within: timedelta) -> None:
        super().__init__(403, REAUTHENTICATION_REQUIRED)
        self.within = within


def rotate(connection: HTTPConnection) -> None:
    """Give the session a new id with this response. Its content stays.

    Call it whenever a user gets more privileges. An id that an attacker has planted or learned
    before is useless afterwards. For a login, ``sign_in`` does this and more.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        DatabaseError: The session could not be loaded.
    """
    session_of(connection).request_session.rotate()


def invalidate(connection: HTTPConnection) -> None:
    """Empty the session, and delete it with this response. Call it at the logout.

    The response removes the cookie, unless something is put into ``request.session`` afterwards:
    that begins a new session, with an id of its own.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        DatabaseError: The session could not be loaded.
    """
    session_of(connection).invalidate()


def sign_in(
    connection: HTTPConnection,
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
        connection: The request.
        subject: The id of the user.
        about: What the list of the user's sessions shows about this one, such as the name of the
            device.
        lifetime: Absolute lifetime of this session; ``None``: as the options say.
        max_sessions: Maximum number of the user's sessions; ``None``: as the options say.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``, or an argument has a wrong type.
        ValueError: An argument is out of range.
        DatabaseError: The session could not be loaded.
    """
    session_of(connection).request_session.sign_in(
        subject, about=about, lifetime=lifetime, max_sessions=max_sessions
    )


def set_max_age(connection: HTTPConnection, max_age: timedelta | float | None) -> None:
    """Give the session an idle time of its own, for example if the user ticked "remember me".

    It stays with the session until it ends, or until it is set again.

    Args:
        connection: The request.
        max_age: A duration, or seconds; ``None``: as the options say.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``, or ``max_age`` is no duration.
        ValueError: ``max_age`` is out of range.
        DatabaseError: The session could not be loaded.
    """
    session_of(connection).request_session.set_max_age(max_age)


def current_handle(connection: HTTPConnection) -> SessionHandle | None:
    """Return the handle of this session, to mark it in a list; ``None`` if it is anonymous.

    A session that this request signs in has its handle from the next request on.

    Raises:
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        DatabaseError: The session could not be loaded.
    """
    session = session_of(connection)
    session.mark_accessed()
    return session.request_session.handle


async def sessions_of(connection: HTTPConnection, *, limit: int = 100) -> list[SessionInfo]:
    """Return the sessions of the user who is signed in, the one written last first.

    The list is empty if no user is signed in. See ``AccountSessionBackend.sessions_of``.

    Raises:
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    session = session_of(connection)
    session.mark_accessed()
    return await session.request_session.sessions_of(limit=limit)


async def revoke(connection: HTTPConnection, handle: SessionHandle | str) -> bool:
    """End one session of the user who is signed in, at once, and return whether there was one.

    A handle of another user's session ends nothing. If it is the session of this request, that
    is invalidated.

    Args:
        connection: The request.
        handle: The handle, or its text as a form sends it.

    Raises:
        ValueError: The text is no handle.
        SessionClosedError: It is the session of this request, and the response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``, or ``handle`` no handle.
        DatabaseError: The database failed.
    """
    session = session_of(connection)
    session.mark_accessed()
    if isinstance(handle, str):
        handle = SessionHandle(handle)
    request_session = session.request_session
    is_this = handle == request_session.handle
    ended = await request_session.revoke(handle)
    if is_this:
        session.invalidate()
    return ended


async def sign_out_everywhere(connection: HTTPConnection, *, keep_this: bool = True) -> int:
    """End the user's other sessions at once, and return how many were ended.

    Call it when a password was changed, and offer it as a button.

    Args:
        connection: The request.
        keep_this: Whether to keep the session of this request. If not, it is invalidated.

    Raises:
        SessionClosedError: This session would end too, but the response has started.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    session = session_of(connection)
    session.mark_accessed()
    ended = await session.request_session.sign_out_everywhere(keep_this=keep_this)
    if not keep_this:
        session.invalidate()
    return ended


def require_fresh(connection: HTTPConnection, *, within: timedelta | float) -> None:
    """Raise an ``HTTPException`` unless the user has authenticated within a period.

    Args:
        connection: The request.
        within: The period, a duration or seconds.

    Raises:
        HTTPException: 401, if no user is signed in; else ``ReauthenticationRequired``, 403.
        RuntimeError: The request did not pass through ``SessionMiddleware``.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The session could not be loaded.
    """
    period = duration_of(within, "within")
    session = session_of(connection)
    session.mark_accessed()
    freshness = session.request_session.freshness(period)
    if freshness is Freshness.NOT_SIGNED_IN:
        raise not_authenticated(connection)
    if freshness is Freshness.STALE:
        raise ReauthenticationRequired(period)


def not_authenticated(connection: HTTPConnection) -> HTTPException:
    """Return the error for a request without a user."""
    # A 401 must have a challenge: RFC 9110, 11.6.1.
    challenge = session_of(connection).challenge
    return HTTPException(401, "Not authenticated", {"WWW-Authenticate": challenge})


async def reload(connection: HTTPConnection) -> bool:
    """Load the session again, and return whether it is still live: ``await session.reload()``.

    For responses and WebSockets that go on for long. A session that has ended is empty then.

    Raises:
        RuntimeError: Changes would be lost that are stored only when the response starts; or the
            request did not pass through ``SessionMiddleware``.
        DatabaseError: The database failed.
    """
    return await session_of(connection).reload()
