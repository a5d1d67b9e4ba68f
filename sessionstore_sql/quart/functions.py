"""What a Quart application does to its sessions, beside reading and writing ``session``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from quart import current_app, session

from sessionstore_sql.flask import asked
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sessionstore_sql.accounts import SessionHandle, SessionInfo
    from sessionstore_sql.records import JSON

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def rotate() -> None:
    """Give the session a new id with this response. Its content stays.

    Call it whenever a user gets more privileges. For a login, ``sign_in`` does this and more.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application uses another session interface.
        DatabaseError: The session could not be loaded.
    """
    asked.rotate(asked.session_behind(session))


def invalidate() -> None:
    """Empty the session, and delete it with this response. Call it at the logout.

    What is put into ``session`` afterwards begins a new session.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application uses another session interface.
        DatabaseError: The session could not be loaded.
    """
    asked.session_behind(session).invalidate()


def sign_in(
    subject: str | int,
    *,
    about: dict[str, JSON] | None = None,
    lifetime: timedelta | float | None = None,
    max_sessions: int | None = None,
) -> None:
    """Sign a user in. The session becomes theirs, and gets a new id with this response.

    Call it after you have checked the password, also if a user who is signed in proves again who
    they are. With the option ``subject_of`` you need not call it at a login, but you can, to pass
    ``about``.

    Args:
        subject: The id of the user.
        about: What the list of the user's sessions shows about this one, such as the name of the
            device.
        lifetime: Absolute lifetime of this session, a duration or seconds; ``None``: as the
            options say.
        max_sessions: Maximum number of the user's sessions; ``None``: as the options say.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``, or an argument has a wrong type.
        ValueError: An argument is out of range.
        DatabaseError: The session could not be loaded.
    """
    options = {"about": about, "lifetime": lifetime, "max_sessions": max_sessions}
    asked.sign_in(asked.session_behind(session), subject, options)


def set_max_age(max_age: timedelta | float | None) -> None:
    """Give the session an idle time of its own, for example if the user ticked "remember me".

    It stays with the session until it ends, or until it is set again.

    Args:
        max_age: A duration, or seconds; ``None``: as the configuration says.

    Raises:
        SessionClosedError: The response has started.
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``, or ``max_age`` is no duration.
        ValueError: ``max_age`` is out of range.
        DatabaseError: The session could not be loaded.
    """
    asked.session_behind(session).request_session.set_max_age(max_age)


def current_handle() -> SessionHandle | None:
    """Return the handle of this session, to mark it in a list; ``None`` if it is anonymous.

    A session that this request signs in has its handle from the next request on.

    Raises:
        RuntimeError: The application uses another session interface.
        DatabaseError: The session could not be loaded.
    """
    request_session = asked.session_behind(session).request_session
    request_session.require_loaded()
    return request_session.handle


async def sessions_of(*, limit: int = 100) -> list[SessionInfo]:
    """Return the sessions of the user who is signed in, the one written last first.

    The list is empty if no user is signed in. See ``AccountSessionBackend.sessions_of``.

    Raises:
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    request_session = asked.session_behind(session).request_session
    return await request_session.sessions_of(limit=limit)


async def revoke(handle: SessionHandle | str) -> bool:
    """End one session of the user who is signed in, at once, and return whether there was one.

    A handle of another user's session ends nothing. If it is the session of this request, that
    is invalidated.

    Args:
        handle: The handle, or its text as a form sends it.

    Raises:
        ValueError: The text is no handle.
        SessionClosedError: It is the session of this request, and the response has started.
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``, or ``handle`` no handle.
        DatabaseError: The database failed.
    """
    given, this = asked.handle_of(handle), asked.session_behind(session)
    is_this = given == this.request_session.handle
    ended = await this.request_session.revoke(given)
    if is_this:
        this.invalidate()
    return ended


async def sign_out_everywhere(*, keep_this: bool = True) -> int:
    """End the user's other sessions at once, and return how many were ended.

    Call it when a password was changed, and offer it as a button.

    Args:
        keep_this: Whether to keep the session of this request. If not, it is invalidated.

    Raises:
        SessionClosedError: This session would end too, but the response has started.
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The database failed.
    """
    this = asked.session_behind(session)
    ended = await this.request_session.sign_out_everywhere(keep_this=keep_this)
    if not keep_this:
        this.invalidate()
    return ended


def require_fresh(*, within: timedelta | float) -> None:
    """Raise an error unless the user has authenticated within a period.

    Args:
        within: The period, a duration or seconds.

    Raises:
        NotAuthenticated: No user is signed in: 401.
        ReauthenticationRequired: The user signed in earlier: 403.
        RuntimeError: The application uses another session interface.
        TypeError: The store is no ``AccountSessionBackend``.
        DatabaseError: The session could not be loaded.
    """
    asked.require_fresh(asked.session_behind(session), within)


def fresh_required(
    within: timedelta | float,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator for views that require a sign-in within a period.

        @app.post("/account/delete")
        @fresh_required(timedelta(minutes=10))
        async def delete_account(): ...

    The errors are those of ``require_fresh``. If the application does not handle them, the
    response is JSON with a ``reason``.

    Args:
        within: The period, a duration or seconds.

    Raises:
        TypeError, ValueError: ``within`` is no duration of more than zero.
    """
    period = duration_of(within, "within")

    def decorate(view: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        wrapped: Any = view

        @functools.wraps(view)
        async def call(*args: Any, **kwargs: Any) -> object:
            require_fresh(within=period)
            return await current_app.ensure_async(wrapped)(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


async def reload() -> bool:
    """Load the session again, and return whether it is still live.

    For responses and WebSockets that go on for long. A session that has ended is empty then.

    Raises:
        RuntimeError: Changes would be lost that are stored only with the response; or the
            application has other sessions.
        DatabaseError: The database failed.
    """
    return await asked.session_behind(session).reload()
