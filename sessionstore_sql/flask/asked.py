"""What the functions of Flask and Quart do to a session without waiting for the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts import SessionHandle
from sessionstore_sql.flask.errors import NotAuthenticated, ReauthenticationRequired
from sessionstore_sql.flask.session import Session
from sessionstore_sql.web.asked_session import Freshness
from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from datetime import timedelta


def current_session(proxy: Any) -> Session | None:
    """Return the session behind ``flask.session`` or ``quart.session``, if it is one of these."""
    session = proxy._get_current_object()  # noqa: SLF001  # Werkzeug documents it
    return session if isinstance(session, Session) else None


def session_behind(proxy: Any) -> Session:
    """Return the session of the request, on which the response depends from here on.

    Raises:
        RuntimeError: There is no request, or the application has other sessions.
    """
    session = current_session(proxy)
    if session is None:
        raise RuntimeError(
            "the application has no SQLSessionInterface, or the path of this request is in its "
            "`exclude`"
        )
    session.accessed = True
    return session


def rotate(session: Session) -> None:
    """Ask for a new id."""
    session.request_session.rotate()


def sign_in(session: Session, subject: str | int, options: dict[str, Any]) -> None:
    """Ask for a sign-in."""
    lifetime = options.get("lifetime")
    if lifetime is not None:
        options["lifetime"] = duration_of(lifetime, "lifetime")
    session.request_session.sign_in(subject, **options)


def handle_of(handle: SessionHandle | str) -> SessionHandle:
    """Return a handle that may be given as text."""
    return SessionHandle(handle) if isinstance(handle, str) else handle


def require_fresh(session: Session, within: timedelta | float) -> None:
    """Raise an error unless the user has authenticated within a period."""
    period = duration_of(within, "within")
    freshness = session.request_session.freshness(period)
    if freshness is Freshness.NOT_SIGNED_IN:
        raise NotAuthenticated(session.challenge)
    if freshness is Freshness.STALE:
        raise ReauthenticationRequired(period)
