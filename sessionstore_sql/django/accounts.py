"""What a Django project does to the sessions of its users, beside ``login`` and ``logout``.

Django's ``login`` signs the session in: its user is known, and it appears in the list of the
user's sessions. ``logout`` ends it. Nothing has to be set for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in

from sessionstore_sql.accounts import SessionHandle
from sessionstore_sql.accounts.arguments import require_lifetime, require_max_sessions
from sessionstore_sql.django import account_calls as calls
from sessionstore_sql.django.configuration import USER_KEY
from sessionstore_sql.django.errors import NotAuthenticated
from sessionstore_sql.django.process import result_of, wait_for
from sessionstore_sql.django.sessions import SessionStore
from sessionstore_sql.web.lifetimes import duration_of
from sessionstore_sql.web.options import subject_text

if TYPE_CHECKING:
    from datetime import timedelta

    from django.http import HttpRequest

    from sessionstore_sql.accounts import SessionInfo
    from sessionstore_sql.records import JSON


def sign_in(
    request: HttpRequest,
    *,
    about: dict[str, JSON] | None = None,
    lifetime: timedelta | float | None = None,
    max_sessions: int | None = None,
) -> None:
    """Say more about the login of this request. Call it after ``login``.

    ``login`` alone signs the session in. Without ``login``, a call of this function says that the
    user who is signed in has proved again who they are.

    Args:
        request: The request.
        about: What the list of the user's sessions shows about this one, such as the name of the
            device.
        lifetime: Absolute lifetime of this session, a duration or seconds; ``None``: that of the
            store.
        max_sessions: Maximum number of the user's sessions; ``None``: that of the store.

    Raises:
        NotAuthenticated: No user is signed in.
        SessionClosedError: The response has started.
        TypeError: The store is no ``AccountSessionBackend``, or an argument has a wrong type.
        ValueError: An argument is out of range.
        DatabaseError: The session could not be loaded.
    """
    session = session_of(request)
    _sign_in(
        session,
        session.get(USER_KEY),
        about=about,
        lifetime=None if lifetime is None else duration_of(lifetime, "lifetime"),
        max_sessions=max_sessions,
    )


async def asign_in(request: HttpRequest, **options: Any) -> None:
    """Do as ``sign_in`` does."""
    await session_of(request).aget(USER_KEY)
    sign_in(request, **options)


def set_max_age(request: HttpRequest, max_age: timedelta | float | None) -> None:
    """Give the session an idle time of its own, for example if the user ticked "remember me".

    It stays with the session until it ends, or until it is set again. Every use of the session
    counts, which is the difference to ``request.session.set_expiry`` with a ``timedelta``.

    Args:
        request: The request.
        max_age: A duration, or seconds; ``None``: as the settings say.

    Raises:
        SessionClosedError: The response has started.
        TypeError, ValueError: ``max_age`` is no duration of more than zero.
        DatabaseError: The session could not be loaded.
    """
    seconds = None if max_age is None else duration_of(max_age, "max_age").total_seconds()
    session_of(request).set_expiry(None if seconds is None else max(1, int(seconds)))


async def aset_max_age(request: HttpRequest, max_age: timedelta | float | None) -> None:
    """Do as ``set_max_age`` does."""
    await session_of(request).aget(USER_KEY)
    set_max_age(request, max_age)


def current_handle(request: HttpRequest) -> SessionHandle | None:
    """Return the handle of this session, to mark it in a list; ``None`` if it is anonymous.

    A session that this request signs in has its handle from the next request on.

    Raises:
        DatabaseError: The session could not be loaded.
    """
    return wait_for(calls.current_handle, session_of(request))


async def acurrent_handle(request: HttpRequest) -> SessionHandle | None:
    """Do as ``current_handle`` does."""
    return await result_of(calls.current_handle, session_of(request))


def sessions_of(request: HttpRequest, *, limit: int = 100) -> list[SessionInfo]:
    """Return the sessions of the user who is signed in, the one written last first.

    The list is empty if no user is signed in. See ``AccountSessionBackend.sessions_of``.

    Raises:
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    return wait_for(calls.sessions_of, session_of(request), limit)


async def asessions_of(request: HttpRequest, *, limit: int = 100) -> list[SessionInfo]:
    """Do as ``sessions_of`` does."""
    return await result_of(calls.sessions_of, session_of(request), limit)


def revoke(request: HttpRequest, handle: SessionHandle | str) -> bool:
    """End one session of the user who is signed in, at once, and return whether there was one.

    A handle of another user's session ends nothing. If it is the session of this request, that
    is flushed. Then call ``logout`` as well: ``request.user`` is still the user.

    Args:
        request: The request.
        handle: The handle, or its text as a form sends it.

    Raises:
        ValueError: The text is no handle.
        SessionClosedError: It is the session of this request, and the response has started.
        TypeError: The store is no ``AccountSessionBackend``, or ``handle`` no handle.
        DatabaseError: The database failed.
    """
    session = session_of(request)
    ended, is_this = wait_for(calls.revoke, session, _handle(handle))
    if is_this:
        session.flush()
    return ended


async def arevoke(request: HttpRequest, handle: SessionHandle | str) -> bool:
    """Do as ``revoke`` does."""
    session = session_of(request)
    ended, is_this = await result_of(calls.revoke, session, _handle(handle))
    if is_this:
        await session.aflush()
    return ended


def sign_out_everywhere(request: HttpRequest, *, keep_this: bool = True) -> int:
    """End the user's other sessions at once, and return how many were ended.

    Call it when a password was changed, and offer it as a button.

    Args:
        request: The request.
        keep_this: Whether the session of this request stays. If not, it is flushed.

    Raises:
        SessionClosedError: This session would end too, but the response has started.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    session = session_of(request)
    ended = wait_for(calls.sign_out_everywhere, session, keep_this)
    if not keep_this:
        session.flush()
    return ended


async def asign_out_everywhere(request: HttpRequest, *, keep_this: bool = True) -> int:
    """Do as ``sign_out_everywhere`` does."""
    session = session_of(request)
    ended = await result_of(calls.sign_out_everywhere, session, keep_this)
    if not keep_this:
        await session.aflush()
    return ended


def session_of(request: HttpRequest) -> SessionStore:
    """Return the session of a request.

    Raises:
        RuntimeError: It has none of this engine.
    """
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise RuntimeError(  # noqa: TRY004  # the settings are at fault, not the argument
            "the request has no session of sessionstore_sql: SESSION_ENGINE is "
            "'sessionstore_sql.django', and SessionMiddleware is in MIDDLEWARE"
        )
    return session


def note_login(sender: object, request: HttpRequest | None, **_: Any) -> None:
    """Sign the session in when Django has logged a user in, also if it is the same user again."""
    del sender
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.visit.note_login(subject_text(session.get(USER_KEY)))


user_logged_in.connect(note_login, dispatch_uid="sessionstore_sql")


def _sign_in(session: SessionStore, user: object, **options: Any) -> None:
    if user is None:
        raise NotAuthenticated
    require_lifetime(options.get("lifetime"))
    require_max_sessions(options.get("max_sessions"))
    session.modified = True
    session.visit.sign_in(subject_text(user), **options)


def _handle(handle: SessionHandle | str) -> SessionHandle:
    return SessionHandle(handle) if isinstance(handle, str) else handle
